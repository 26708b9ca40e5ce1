"""Without the plugin in its place nothing leaves and nothing starts."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from typing import Any

import pytest
from mailman.mta import base

import requiretls_mailman
from requiretls_mailman import known_mailman, runners
from requiretls_mailman.adapter import Adapter
from requiretls_mailman.errors import NotInstalledError, UnknownMailmanError
from requiretls_mailman.kept import kept_tag, tag_in
from requiretls_mailman.plugin import RequireTLSPlugin
from requiretls_plugin.errors import EngineStopped, SettingsError
from requiretls_plugin.requirement import Requirement
from tests.hooks.mailman.bed import POST, QUEUES, Bed, config


@pytest.fixture
def without_plugin(bed: Bed) -> Iterator[Bed]:
    """Mailman as it is after the plugin failed to start: it is gone, the rest of its code is there."""
    plugin = config.plugins.pop("requiretls")
    try:
        yield bed
    finally:
        config.plugins["requiretls"] = plugin


@pytest.mark.parametrize("name", [*QUEUES, "lmtp"])
def test_no_runner_starts_without_the_plugin(without_plugin: Bed, name: str) -> None:
    """Mail waits, and the MTA is told to come again."""
    with pytest.raises(NotInstalledError, match=r"not enabled or could not start"):
        {**QUEUES, "lmtp": runners.LMTPRunner}[name](name)


def test_nothing_is_delivered_without_the_plugin(without_plugin: Bed) -> None:
    """Raised to the out runner, which shunts the message."""
    with pytest.raises(NotInstalledError):
        requiretls_mailman.deliver(None, None, {"recipients": {"a@b.test"}})


def test_the_out_runner_refuses_to_deliver_by_another_function(bed: Bed) -> None:
    """A forgotten line in [mta] would send everything without its tag."""
    config.push("stock", "[mta]\noutgoing: mailman.mta.deliver.deliver\n")
    try:
        with pytest.raises(NotInstalledError, match=r"outgoing: requiretls_mailman\.deliver"):
            runners.OutgoingRunner("out")
    finally:
        config.pop("stock")


def test_mailmans_own_delivery_cannot_send_past_us(bed: Bed) -> None:
    """Whoever calls Mailman's agents directly gets an error instead of an untagged message."""
    agent = base.BaseDelivery()
    with pytest.raises(NotInstalledError):
        agent._connection.sendmail("a@b.test", ["c@d.test"], b"")


def test_queues_tag_also_after_mailman_made_them_anew(bed: Bed) -> None:
    """Reading the configuration again replaces them all."""
    config.push("again", "[mta]\nmax_recipients: 5\n")
    try:
        assert {type(board).__name__ for board in config.switchboards.values()} == {"TaggingSwitchboard"}
    finally:
        config.pop("again")


@pytest.mark.parametrize("version", ["3.3.9", "3.2.0", "3.4.0", "4.0", "3.3.10b1"])
def test_another_mailman_is_refused_with_a_remedy(version: str) -> None:
    """The plugin names what is installed and what to do."""
    if version == "3.3.10b1":
        with pytest.raises(UnknownMailmanError):
            known_mailman.check_mailman(version)
        return
    with pytest.raises(UnknownMailmanError, match=rf"Mailman {version} is installed.*Install"):
        known_mailman.check_mailman(version)


def test_a_changed_function_of_mailmans_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the name of what differs."""
    monkeypatch.setattr("mailman.mta.deliver.deliver", lambda mlist, msg, data, extra: None)
    with pytest.raises(UnknownMailmanError, match=r"mailman\.mta\.deliver\.deliver"):
        known_mailman.check_mailman()


def test_a_missing_function_of_mailmans_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it is gone altogether."""
    monkeypatch.delattr("mailman.core.chains.process")
    with pytest.raises(UnknownMailmanError, match="is missing"):
        known_mailman.check_mailman()


def test_settings_with_a_mistake_keep_the_plugin_from_starting(bed: Bed, tmp_path: Any) -> None:
    """Mailman disables it then, and no runner starts."""
    broken = tmp_path / "broken.toml"
    broken.write_text("[mailman]\nrequire = 'sometimes'\n")
    config.push("broken", f"[plugin.requiretls]\nconfiguration: {broken}\n")
    try:
        plugin = RequireTLSPlugin()
        with pytest.raises(SettingsError, match=r"mailman\.require"):
            plugin.pre_hook()
        assert plugin.adapter is None
    finally:
        config.pop("broken")


@pytest.mark.parametrize("word", ["yes", "REQUIRED", "", None, 1])
def test_a_tag_that_nobody_can_read_means_required(word: object) -> None:
    """As `mailman inject -m requiretls=yes` writes."""
    assert tag_in({"requiretls": word}).requirement is Requirement.REQUIRED


def test_attack_a_message_cannot_bring_the_attribute_that_mailman_keeps_a_tag_in() -> None:
    """What is parsed from text has no attributes of its own."""
    from email import message_from_string

    from mailman.email.message import Message

    message = message_from_string("requiretls: ('optional', None)\n" + POST, Message)
    assert kept_tag(message, {}).requirement is Requirement.UNSTATED


def test_a_message_under_requiretls_whose_engine_stopped_waits(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mailman tries again later, for more members than there are connections."""
    bed.create_list(["b@dane-ee.test"])
    bed.post(POST, "REQUIRETLS")
    bed.run("in", "pipeline")
    [entry] = bed.queued("out")
    entry.msgdata["recipients"] = {f"m{number}@dane-ee.test" for number in range(60)}
    entry.msgdata["verp"] = True
    config.switchboards["out"].enqueue(entry.msg, entry.msgdata)

    def stopped(work: Any) -> None:
        work.close()
        raise EngineStopped("gone")

    monkeypatch.setattr(bed.adapter.engine, "submit", stopped)
    bed.run("out")

    [waiting] = bed.queued("retry")
    assert waiting.msgdata["requiretls"] == "required"
    assert len(waiting.msgdata["recipients"]) == 60


def test_a_delivery_that_the_engine_never_ends_is_tried_again(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the server had not answered."""
    bed.create_list(["b@dane-ee.test"])
    bed.post(POST, "REQUIRETLS")
    bed.run("in", "pipeline")

    def never(work: Any) -> concurrent.futures.Future[Any]:
        work.close()
        return concurrent.futures.Future()

    monkeypatch.setattr(bed.adapter.engine, "submit", never)
    monkeypatch.setattr(Adapter, "patience", 0.01)
    bed.run("out")

    assert bed.queued("retry")[0].msgdata["requiretls"] == "required"
