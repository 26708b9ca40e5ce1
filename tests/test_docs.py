"""The documentation says what the code does: settings, options, reasons, links, and examples that run."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import inspect
import re
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel

from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_clients import trusting
from requiretls_plugin import hookspecs
from requiretls_plugin.cli import requiretls
from requiretls_plugin.level import Level
from requiretls_plugin.reason import Reason
from requiretls_plugin.settings import Settings

PROJECT = Path(__file__).parents[1]
DOCS = PROJECT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
_LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def _generator() -> Any:
    specification = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


GENERATED: Mapping[str, Callable[[], str]] = _generator().PAGES


def _text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GENERATED)
def test_generated_pages_are_up_to_date(name: str) -> None:
    """If not: python docs/generate.py."""
    assert _text(name) == GENERATED[name]()


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{name}.")
        else:
            yield prefix + name


def test_every_key_of_the_settings_is_documented_in_its_section() -> None:
    """Read from the page itself, not from the generator."""
    documented = []
    section = ""
    for line in _text("settings.md").splitlines():
        if heading := re.fullmatch(r"## (?:At the top|`\[(\w+)\]`)", line):
            section = f"{heading[1]}." if heading[1] else ""
        elif row := re.match(r"\| `(\w+)` \|", line):
            documented.append(section + row[1])

    levels = {f"levels.{level.value}" for level in Level if re.fullmatch(r"\w+", level.value)}
    assert set(documented) == set(_keys(Settings)) - {"levels"} | levels


def test_every_key_of_the_settings_has_a_meaning() -> None:
    """A field without a docstring would be an empty cell."""
    assert not re.findall(r"^\| `\w+` \|[^|]*\|\s*\|$", _text("settings.md"), re.MULTILINE)


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for child, subcommand in command.commands.items():
            yield from _commands(subcommand, f"{name} {child}")


def test_every_command_and_option_is_documented() -> None:
    """Each command has a heading, and each of its options stands below it."""
    page = _text("command_line.md")
    for name, command in _commands(requiretls, "requiretls"):
        _, heading, section = page.partition(f"## `{name}`\n")
        assert heading, name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[0] in section.split("\n## ")[0], f"{name} {parameter.opts[0]}"


@pytest.mark.parametrize("command", [command for _, command in _commands(requiretls, "")], ids=str)
def test_every_command_explains_itself_and_its_options(command: click.Command) -> None:
    """Help, completion and man pages are made of it."""
    assert command.help
    assert all(parameter.help for parameter in command.params if isinstance(parameter, click.Option)), (
        command.name
    )


def test_every_reason_is_documented_for_both_readers() -> None:
    """What the sender reads, what the operator does."""
    sections = _text("reasons.md").split("\n## ")[1:]

    assert [section.split("\n")[0].strip("`") for section in sections] == [reason.value for reason in Reason]
    for section in sections:
        assert "**The sender reads:**" in section
        assert len(section.partition("**The operator:**")[2].strip()) > 10


def test_every_hook_has_a_heading() -> None:
    """docs/hooks.md is about hooks, all of them."""
    hooks = [name for name in vars(hookspecs) if name.startswith("requiretls_")]

    assert all(f"### `{hook}(" in _text("hooks.md") for hook in hooks)


def _targets(page: Path) -> Iterator[str]:
    for match in _LINK.finditer(_CODE.sub("", page.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", match["target"]):
            yield match["target"]


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page", [*PAGES, PROJECT / "README.md", PROJECT / "CHANGELOG.md"], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the project, and every fragment one of its headings."""
    for target in _targets(page):
        name, _, fragment = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        assert not fragment or fragment in _anchors(file), target


def test_the_pages_do_not_say_how_they_were_made() -> None:
    """They speak to users."""
    for page in PAGES:
        assert not re.search(r"\b(TODO|FIXME|XXX|lorem ipsum)\b", page.read_text(encoding="utf-8")), page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_in_the_documentation_are_good(page: Path, tmp_path: Path) -> None:
    """Every TOML block loads, but for files that only the reader has."""
    for block in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        lines = [line.strip() for line in block.splitlines()]
        own = "\n".join(line for line in lines if not re.match(r"(certificate|private_key|ca_file) *=", line))
        file = tmp_path / "requiretls.toml"
        file.write_text(own, encoding="utf-8")
        Settings.load(file)


def test_html_is_built_without_a_warning(tmp_path: Path) -> None:
    """As `make docs` does it."""
    options = ["-n", "-W", "--keep-going", "-q", "-b", "html"]
    command = [sys.executable, "-m", "sphinx", *options, str(DOCS), str(tmp_path)]

    built = subprocess.run(command, capture_output=True, text=True, check=False)

    assert built.stderr == ""
    assert (tmp_path / "index.html").exists()


def test_man_pages_are_made_of_the_commands(tmp_path: Path) -> None:
    """As `make man` does it; each command has one."""
    subprocess.run([sys.executable, str(DOCS / "generate.py"), str(tmp_path)], check=True)

    made = {page.stem for page in tmp_path.glob("*.1")}
    assert made == {name.replace(" ", "-") for name, _ in _commands(requiretls, "requiretls")}


def test_the_shell_completes_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the line in docs/command_line.md sets it up."""
    words = {"_REQUIRETLS_COMPLETE": "bash_complete", "COMP_WORDS": "requiretls exp", "COMP_CWORD": "1"}

    completed = subprocess.run(
        [Path(sys.executable).with_name("requiretls")],
        env={**words, "PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert completed.stdout.strip() == "plain,explain"


def _documented_relay() -> dict[str, Any]:
    [source] = re.findall(r"```python\n(.*?)```", _text("install_aiosmtpd.md"), re.DOTALL)
    module: dict[str, Any] = {}
    exec(compile(source, "install_aiosmtpd.md", "exec"), module)
    return module


def _relayed(lab: Laboratory, place: tuple[str, int], recipient: str) -> tuple[int, bytes]:
    """Return the reply to a message under REQUIRETLS."""
    for _ in range(200):
        with contextlib.suppress(ConnectionRefusedError), smtplib.SMTP(*place, timeout=10) as client:
            client.starttls(context=_not_asking_for_a_name(lab))
            client.ehlo()
            client.mail("alice@sender.test", ["REQUIRETLS"])
            client.rcpt(recipient)
            return client.data("Subject: hello\r\n\r\nhello\r\n")
        time.sleep(0.02)
    raise AssertionError("the relay does not listen")


def _not_asking_for_a_name(lab: Laboratory) -> ssl.SSLContext:
    context = trusting(lab)
    context.check_hostname = False
    return context


def test_the_relay_in_the_documentation_works(lab: Laboratory, tmp_path: Path) -> None:
    """Copied as it stands: it takes REQUIRETLS, delivers it, and passes refusals on."""
    own = lab.write_settings(tmp_path / "requiretls.toml")
    relay = _documented_relay()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = probe.getsockname()
    loop = asyncio.new_event_loop()
    task = loop.create_task(relay["serve"](own, *place))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        delivered = _relayed(lab, place, "bob@dane-ee.test")
        refused = _relayed(lab, place, "bob@no-keyword.test")
    finally:
        loop.call_soon_threadsafe(task.cancel)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()

    assert delivered[0] == 250
    assert (refused[0], refused[1][:6]) == (550, b"5.7.30")
    assert lab.destination("mx.dane-ee.test").messages[0].requiretls
