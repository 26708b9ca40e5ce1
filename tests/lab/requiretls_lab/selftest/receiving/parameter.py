"""The parameter REQUIRETLS on MAIL, where it belongs and where it does not."""

from __future__ import annotations

from requiretls_lab.selftest.case import Broken, Skipped
from requiretls_lab.selftest.receiving.cases import ReceivingCase
from requiretls_lab.selftest.receiving.target import MESSAGE, Server, accepted, delivered, refused
from requiretls_plugin.requirement import Requirement


def _taken(server: Server) -> str:
    server.needs_requiretls()
    with server.talk() as talk:
        reply = delivered(server, talk, f"{server.mail} REQUIRETLS", server.rcpt)
    return str(reply) if server.taken is None else _tagged(server, Requirement.REQUIRED)


def _tagged(server: Server, requirement: Requirement) -> str:
    """Return what the last message is tagged with; raises Broken if it is not *requirement*, and Skipped."""
    found = server.last_taken().requirement
    if found is not requirement:
        raise Broken(f"tagged {found.value}")
    return f"tagged {found.value}"


def _in_cleartext(server: Server) -> str:
    with server.talk(tls=False) as talk:
        return refused(
            server,
            talk,
            talk.say(f"{server.mail} REQUIRETLS"),
            "530 5.7.10" if server.must_offer else "555 5.5.4",
        )


def _not_offered(server: Server) -> str:
    server.needs_tls()
    if server.offers_requiretls:
        raise Skipped("it is offered")
    return _refused_inside_tls(server, "REQUIRETLS", "555 5.5.4")


def _refused_inside_tls(server: Server, parameters: str, usual: str) -> str:
    server.needs_tls()
    with server.talk() as talk:
        return refused(server, talk, talk.say(f"{server.mail} {parameters}"), usual)


def _with_value(server: Server) -> str:
    return _refused_inside_tls(server, "REQUIRETLS=yes", "501 5.5.4" if server.must_offer else "555 5.5.4")


def _with_empty_value(server: Server) -> str:
    return _refused_inside_tls(server, "REQUIRETLS=", "501 5.5.4")


def _twice(server: Server) -> str:
    server.needs_tls()
    with server.talk() as talk:
        reply = talk.say(f"{server.mail} REQUIRETLS REQUIRETLS")
        if reply.positive and server.taken is None:
            raise Skipped(f"answers {reply}; whether it tags the message cannot be seen from outside")
        return refused(server, talk, reply, "501 5.5.4")


def _on_rcpt(server: Server) -> str:
    server.needs_tls()
    with server.talk() as talk:
        accepted(talk, server.mail)
        reply = talk.say(f"{server.rcpt} REQUIRETLS")
        if reply.code // 100 != 5:
            raise Broken(f"answers {reply}")
        after = talk.say("DATA")
    if after.positive:
        raise Broken(f"answers {reply}, and {after} to DATA all the same")
    return str(reply)


def _lower_case(server: Server) -> str:
    return _accepted_inside_tls(server, f"{server.mail} requiretls")


def _accepted_inside_tls(server: Server, mail: str) -> str:
    server.needs_requiretls()
    with server.talk() as talk:
        reply = talk.say(mail)
    if not reply.positive:
        raise Broken(f"answers {reply}")
    return str(reply)


def _null_sender(server: Server) -> str:
    return _accepted_inside_tls(server, "MAIL FROM:<> REQUIRETLS")


def _beats_the_field(server: Server) -> str:
    server.needs_requiretls()
    content = b"TLS-Required: No\r\n" + MESSAGE
    with server.talk() as talk:
        delivered(server, talk, f"{server.mail} REQUIRETLS", server.rcpt, content=content)
    return _tagged(server, Requirement.REQUIRED)


def _field_alone(server: Server) -> str:
    server.needs_tls()
    content = b"TLS-Required: No\r\n" + MESSAGE
    with server.talk() as talk:
        delivered(server, talk, server.mail, server.rcpt, content=content)
    return _tagged(server, Requirement.OPTIONAL)


_SECTION = "RFC 8689 section 2"
_REFUSED = "5yz, and no transaction"

CASES = (
    ReceivingCase(
        "parameter/taken",
        "A message with the parameter is taken and tagged",
        "RFC 8689 section 4.1",
        "MAIL with REQUIRETLS inside TLS, RCPT, DATA",
        "2yz to all; where it can be seen, the tag is `required`",
        _taken,
    ),
    ReceivingCase(
        "parameter/in-cleartext",
        "The parameter is refused outside TLS",
        _SECTION,
        "MAIL with REQUIRETLS in cleartext",
        f"530 5.7.10 or another {_REFUSED}",
        _in_cleartext,
    ),
    ReceivingCase(
        "parameter/not-offered",
        "Who does not offer the extension refuses the parameter instead of forgetting it",
        "RFC 5321 section 4.1.1.11",
        "MAIL with REQUIRETLS inside TLS",
        f"555 or another {_REFUSED}",
        _not_offered,
    ),
    ReceivingCase(
        "parameter/with-value",
        "The parameter has no value: REQUIRETLS=yes is refused",
        _SECTION,
        "MAIL with REQUIRETLS=yes inside TLS",
        f"501 or another {_REFUSED}",
        _with_value,
    ),
    ReceivingCase(
        "parameter/with-empty-value",
        "`REQUIRETLS=` with nothing behind it is refused",
        _SECTION,
        "MAIL with `REQUIRETLS=` inside TLS",
        f"501 or another {_REFUSED}",
        _with_empty_value,
    ),
    ReceivingCase(
        "parameter/twice",
        "The parameter stands once",
        _SECTION,
        "MAIL with REQUIRETLS REQUIRETLS inside TLS",
        f"501 or another {_REFUSED}; or the message is tagged",
        _twice,
    ),
    ReceivingCase(
        "parameter/on-rcpt",
        "RCPT has no such parameter",
        _SECTION,
        "MAIL, RCPT with REQUIRETLS inside TLS, DATA",
        "555 or another 5yz, and no recipient",
        _on_rcpt,
    ),
    ReceivingCase(
        "parameter/lower-case",
        "The parameter is known in any case",
        _SECTION,
        "MAIL with requiretls inside TLS",
        "2yz",
        _lower_case,
    ),
    ReceivingCase(
        "parameter/null-sender",
        "The parameter goes with the null return path",
        "RFC 8689 section 5",
        "MAIL FROM:<> with REQUIRETLS inside TLS",
        "2yz",
        _null_sender,
    ),
    ReceivingCase(
        "parameter/beats-the-field",
        "With the parameter, TLS-Required: No has no effect",
        "RFC 8689 section 4.1",
        "MAIL with REQUIRETLS, a message that says TLS-Required: No",
        "taken, and the tag is `required`",
        _beats_the_field,
    ),
    ReceivingCase(
        "parameter/field-alone",
        "Without the parameter, TLS-Required: No is the tag",
        "RFC 8689 section 4.1",
        "MAIL without REQUIRETLS, a message that says TLS-Required: No",
        "taken, and the tag is `optional`",
        _field_alone,
    ),
)
