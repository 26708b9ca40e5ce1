"""MTA-STS policies that prove a name, and policies that do not."""

from __future__ import annotations

from dataclasses import replace

from requiretls_lab.authority import EXPIRED, Issuer, Leaf
from requiretls_lab.domains import Domain, MailHost, Policy
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.policy_host import PolicyAnswer, policy_text
from requiretls_lab.selftest.outgoing.shorthand import DANE, under_policy
from requiretls_lab.selftest.outgoing.steps import Asks, Do, OutgoingCase, Send
from requiretls_lab.zones import ZoneKind


def _enforce(name: str) -> Policy:
    return Policy.enforce(f"mx.{name}.test")


def _policy_host_goes_down(lab: Laboratory) -> None:
    lab.stop(lab.policy_site("outage-with-cache.test"))


def _mx_is_forged(lab: Laboratory) -> None:
    lab.stop(lab.policy_site("forged-mx.test"))
    lab.publish(
        Domain(
            "forged-mx.test",
            zone=ZoneKind.UNSIGNED,
            policy=_enforce("forged-mx"),
            records=("@ MX 10 mx.forged-mx-attacker.test.",),
        )
    )


def _policy_is_renewed(lab: Laboratory) -> None:
    renewed = _enforce("renewed")
    lab.policy_site("renewed.test").answer = renewed.answer
    lab.publish(
        Domain("renewed.test", (MailHost(),), ZoneKind.UNSIGNED, replace(renewed, txt="v=STSv1; id=2;"))
    )


def _policy_site_is_replaced(lab: Laboratory) -> None:
    lab.policy_site("replaced.test").answer = PolicyAnswer(policy_text("none"))


CASES = (
    OutgoingCase(
        "mta-sts/enforce",
        "A policy in mode enforce proves the names it lists",
        "RFC 8689 section 4.2.1",
        under_policy("enforce", "unsigned, MTA-STS enforce for its host", _enforce("enforce")),
        (Send("delivered sts-pkix requiretls"), Send("delivered sts-pkix", Asks.NOTHING)),
    ),
    OutgoingCase(
        "mta-sts/star",
        "A star in a policy stands for one label",
        "RFC 8461 section 4.1",
        under_policy("star", "unsigned, MTA-STS enforce for *.star.test", Policy.enforce("*.star.test")),
        (Send("delivered sts-pkix requiretls"),),
    ),
    OutgoingCase(
        "mta-sts/star-too-short",
        "A star in a policy stands for no more than one label",
        "RFC 8461 section 4.1",
        under_policy(
            "star-too-short",
            "unsigned, MTA-STS enforce for *.star-too-short.test, host a.mx.star-too-short.test",
            Policy.enforce("*.star-too-short.test"),
            label="a.mx",
        ),
        (Send("failed 550 5.7.10 sts-mismatch"),),
    ),
    OutgoingCase(
        "mta-sts/mismatch",
        "A host that the policy does not list gets no mail: REQUIRETLS fails, ordinary mail waits",
        "RFC 8461 section 5",
        under_policy(
            "policy-mismatch", "MTA-STS enforce for another host", Policy.enforce("mx.elsewhere.test")
        ),
        (
            Send("failed 550 5.7.10 sts-mismatch", untouched=True),
            Send("deferred 451 4.7.5 sts-mismatch", Asks.NOTHING, untouched=True),
        ),
    ),
    OutgoingCase(
        "mta-sts/testing",
        "A policy in mode testing proves no name, and stops no ordinary mail",
        "RFC 8461 section 5",
        under_policy("testing", "MTA-STS testing for its host", Policy.testing("mx.testing.test")),
        (Send("failed 550 5.7.10 name-not-proven"), Send("delivered encrypted", Asks.NOTHING)),
    ),
    OutgoingCase(
        "mta-sts/none",
        "A policy in mode none is none",
        "RFC 8461 section 5",
        under_policy(
            "none", "MTA-STS none for its host", Policy(PolicyAnswer(policy_text("none", "mx.none.test")))
        ),
        (Send("failed 550 5.7.10 name-not-proven"), Send("delivered encrypted", Asks.NOTHING)),
    ),
    OutgoingCase(
        "mta-sts/outage",
        "While a policy cannot be fetched REQUIRETLS mail waits, and ordinary mail goes",
        "RFC 8461 section 3.3",
        under_policy(
            "outage",
            "MTA-STS record, the policy host refuses connections",
            Policy(_enforce("outage").answer, listening=False),
        ),
        (
            Send("deferred 451 4.7.10 sts-unavailable"),
            Send("delivered encrypted", Asks.NOTHING),
        ),
    ),
    OutgoingCase(
        "mta-sts/outage-with-cache",
        "A policy that was fetched before goes on to count while its host is down",
        "RFC 8461 section 3.3",
        under_policy("outage-with-cache", "MTA-STS enforce for its host", _enforce("outage-with-cache")),
        (
            Send("delivered sts-pkix requiretls"),
            Do("the policy host goes down", _policy_host_goes_down),
            Send("delivered sts-pkix requiretls"),
        ),
    ),
    OutgoingCase(
        "mta-sts/forged-mx",
        "Whoever forges the MX record and blocks the policy gets nothing while it is cached",
        "RFC 8461 section 10.2",
        (
            *under_policy("forged-mx", "MTA-STS enforce for its host", _enforce("forged-mx")),
            Domain("forged-mx-attacker.test", (MailHost(preference=None, tlsa=DANE),)),
        ),
        (
            Send("delivered sts-pkix requiretls"),
            Do("the policy host goes down, MX names a perfect host of another domain", _mx_is_forged),
            Send("failed 550 5.7.10 sts-mismatch"),
            Send("deferred 451 4.7.5 sts-mismatch", Asks.NOTHING),
        ),
    ),
    OutgoingCase(
        "mta-sts/renewed",
        "Before a cached policy fails a message for good, a newer one is fetched",
        "RFC 8461 section 5.1",
        under_policy("renewed", "MTA-STS enforce for another host", Policy.enforce("mx.elsewhere.test")),
        (
            Send("failed 550 5.7.10 sts-mismatch"),
            Do("a policy with a new id lists the host", _policy_is_renewed),
            Send("delivered sts-pkix requiretls"),
        ),
    ),
    OutgoingCase(
        "mta-sts/replaced",
        "Whoever takes over the policy host alone cannot make a policy go away",
        "RFC 8461 section 10.2",
        under_policy("replaced", "MTA-STS enforce for another host", Policy.enforce("mx.elsewhere.test")),
        (
            Send("deferred 451 4.7.5 sts-mismatch", Asks.NOTHING),
            Do("the policy host now says mode none, under the same id", _policy_site_is_replaced),
            Send("deferred 451 4.7.5 sts-mismatch", Asks.NOTHING),
        ),
    ),
    OutgoingCase(
        "mta-sts/redirect",
        "A redirect on the policy host is not followed",
        "RFC 8461 section 3.3",
        under_policy(
            "redirect",
            "the policy host redirects to another one that has a policy",
            Policy(PolicyAnswer(status=301, redirect="https://mta-sts.enforce.test/.well-known/mta-sts.txt")),
        ),
        (Send("deferred 451 4.7.10 sts-unavailable"),),
    ),
    OutgoingCase(
        "mta-sts/policy-certificate-expired",
        "A policy host with an expired certificate has no policy",
        "RFC 8461 section 3.3",
        under_policy(
            "policy-certificate-expired",
            "MTA-STS enforce, the policy host's certificate expired yesterday",
            Policy(
                _enforce("policy-certificate-expired").answer,
                leaf=Leaf(("mta-sts.policy-certificate-expired.test",), days=EXPIRED),
            ),
        ),
        (Send("deferred 451 4.7.10 sts-unavailable"),),
    ),
    OutgoingCase(
        "mta-sts/policy-certificate-wrong-name",
        "A policy host with a certificate for another name has no policy",
        "RFC 8461 section 3.3",
        under_policy(
            "policy-certificate-wrong-name",
            "MTA-STS enforce, the policy host's certificate is for another name",
            Policy(_enforce("policy-certificate-wrong-name").answer, leaf=Leaf(("mta-sts.elsewhere.test",))),
        ),
        (Send("deferred 451 4.7.10 sts-unavailable"),),
    ),
    OutgoingCase(
        "mta-sts/not-text",
        "A policy that is not text/plain is none",
        "RFC 8461 section 3.2",
        under_policy(
            "not-text",
            "the policy comes as text/html",
            Policy(PolicyAnswer(policy_text("enforce", "mx.not-text.test"), content_type="text/html")),
        ),
        (Send("deferred 451 4.7.10 sts-unavailable"),),
    ),
    OutgoingCase(
        "mta-sts/host-expired",
        "A host under a policy has to have a certificate in force: ordinary mail waits",
        "RFC 8461 section 4.2",
        under_policy(
            "host-expired",
            "MTA-STS enforce, the mail host's certificate expired yesterday",
            _enforce("host-expired"),
            leaf=Leaf(("mx.host-expired.test",), days=EXPIRED),
        ),
        (
            Send("failed 550 5.7.10 certificate-expired"),
            Send("deferred 451 4.7.5 certificate-expired", Asks.NOTHING),
        ),
    ),
    OutgoingCase(
        "mta-sts/host-self-signed",
        "A host under a policy has to have a certificate of a known authority: ordinary mail waits",
        "RFC 8461 section 4.2",
        under_policy(
            "host-self-signed",
            "MTA-STS enforce, the mail host's certificate is self-signed",
            _enforce("host-self-signed"),
            leaf=Leaf(("mx.host-self-signed.test",), issuer=Issuer.SELF),
        ),
        (
            Send("failed 550 5.7.10 certificate-not-trusted"),
            Send("deferred 451 4.7.5 certificate-not-trusted", Asks.NOTHING),
        ),
    ),
    OutgoingCase(
        "mta-sts/two-records",
        "Two MTA-STS records are none",
        "RFC 8461 section 3.1",
        (
            Domain(
                "two-records.test",
                (MailHost(),),
                ZoneKind.UNSIGNED,
                _enforce("two-records"),
                records=('_mta-sts TXT "v=STSv1; id=2;"',),
                meaning="two TXT records, a good policy behind them",
            ),
        ),
        (Send("failed 550 5.7.10 name-not-proven"),),
    ),
    OutgoingCase(
        "mta-sts/dane-beside-it",
        "A policy that is met does not rescue a TLSA record that is not",
        "RFC 8461 section 2",
        (
            Domain(
                "dane-beside-it.test",
                (MailHost(tlsa=("3 1 1 wrong",)),),
                policy=_enforce("dane-beside-it"),
                meaning="signed, TLSA of another key, MTA-STS enforce and a certificate that meet",
            ),
        ),
        (
            Send("failed 550 5.7.10 dane-mismatch"),
            Send("deferred 451 4.7.5 dane-mismatch", Asks.NOTHING),
        ),
    ),
)
