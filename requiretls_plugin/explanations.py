"""What each reason means, in words for people who do not run mail servers.

One table for the notices that senders get and for the documentation, so that
both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from requiretls_plugin.reason import Reason


@dataclass(frozen=True, slots=True)
class Explanation:
    """What happened, what that means, and what the sender can do about it.

    The three are sentences with places for `{server}`, `{domain}` (the
    recipient's) and `{reporter}` (the mail server that tells). *about_tls*
    tells that a message which asks less of TLS might have arrived.
    """

    happened: str
    meaning: str
    remedy: str
    about_tls: bool = False

    def filled(self, *, server: str, domain: str, reporter: str) -> tuple[str, str, str]:
        """Return the three with their places filled; what is filled in is not looked at again."""
        happened, meaning, remedy = (
            sentence.format(server=server, domain=domain, reporter=reporter)
            for sentence in (self.happened, self.meaning, self.remedy)
        )
        return happened[:1].upper() + happened[1:], meaning[:1].upper() + meaning[1:], remedy


_OPEN_TO_OTHERS = "Handed over there, the message could be read or changed on its way."
_PERHAPS_AN_IMPOSTOR = "Somebody else may be posing as that server, so it was not given the message."
_TELL_THE_PROVIDER = (
    "Tell the recipient by some other way, so that those who run {server} can set it right; then send again."
)
_SEND_LATER = "Send the message again later."
_CHECK_THE_ADDRESS = "Look for a mistake in the address; if there is none, ask the recipient for another one."

EXPLANATIONS: Mapping[Reason, Explanation] = {
    Reason.REQUIRETLS_NOT_OFFERED: Explanation(
        "{server} does not promise to protect the message all the way to the mailbox"
        " (it does not offer REQUIRETLS).",
        "The message needs that promise, so it was not sent there.",
        "Ask the recipient for an address at a provider that offers REQUIRETLS.",
        about_tls=True,
    ),
    Reason.STARTTLS_NOT_OFFERED: Explanation(
        "{server} does not offer an encrypted connection.",
        _OPEN_TO_OTHERS,
        _TELL_THE_PROVIDER,
        about_tls=True,
    ),
    Reason.STARTTLS_REFUSED: Explanation(
        "{server} says that it can encrypt the connection, but refused when it was asked to.",
        _OPEN_TO_OTHERS,
        _TELL_THE_PROVIDER,
        about_tls=True,
    ),
    Reason.TLS_HANDSHAKE_FAILED: Explanation(
        "no encrypted connection with {server} could be agreed on.",
        _OPEN_TO_OTHERS,
        _TELL_THE_PROVIDER,
        about_tls=True,
    ),
    Reason.CERTIFICATE_NOT_TRUSTED: Explanation(
        "{server} showed a certificate that nobody trusted here vouches for.",
        _PERHAPS_AN_IMPOSTOR,
        _TELL_THE_PROVIDER,
        about_tls=True,
    ),
    Reason.CERTIFICATE_EXPIRED: Explanation(
        "{server} showed a certificate that is out of date.",
        _PERHAPS_AN_IMPOSTOR,
        _TELL_THE_PROVIDER,
        about_tls=True,
    ),
    Reason.CERTIFICATE_NAME_MISMATCH: Explanation(
        "{server} showed a certificate that was issued for another name.",
        _PERHAPS_AN_IMPOSTOR,
        _TELL_THE_PROVIDER,
        about_tls=True,
    ),
    Reason.DANE_MISMATCH: Explanation(
        "{server} showed another certificate than the one its owner has published (DANE).",
        _PERHAPS_AN_IMPOSTOR,
        _TELL_THE_PROVIDER,
        about_tls=True,
    ),
    Reason.NAME_NOT_PROVEN: Explanation(
        "nothing proves which mail servers belong to {domain}: what it publishes about them"
        " is protected neither by DNSSEC nor by MTA-STS.",
        "The message could have been led astray to somebody else's server, so it was not sent.",
        "Tell the recipient by some other way, so that those who run {domain} can publish that proof;"
        " or ask for an address elsewhere.",
        about_tls=True,
    ),
    Reason.STS_MISMATCH: Explanation(
        "{server} is not among the mail servers that {domain} names in its security policy (MTA-STS).",
        _PERHAPS_AN_IMPOSTOR,
        "Tell the recipient by some other way, so that those who run {domain} can correct the policy;"
        " then send again.",
        about_tls=True,
    ),
    Reason.STS_UNAVAILABLE: Explanation(
        "{domain} announces a security policy for its mail (MTA-STS), but the policy could not be fetched.",
        "Without it nothing tells the right mail servers from wrong ones.",
        _SEND_LATER,
        about_tls=True,
    ),
    Reason.DNS_FAILURE: Explanation(
        "the directory of the internet (DNS) gave no usable answer about {domain}.",
        "Nobody could say where its mail has to go.",
        _SEND_LATER,
    ),
    Reason.DNSSEC_BOGUS: Explanation(
        "what the directory of the internet (DNS) says about {domain} has a wrong signature (DNSSEC).",
        "The answer may be forged, so it was not followed.",
        "Tell the recipient by some other way, so that those who run {domain} can set it right;"
        " then send again.",
    ),
    Reason.NULL_MX: Explanation(
        "{domain} states that it takes no mail at all.",
        "No address there can be written to.",
        _CHECK_THE_ADDRESS,
    ),
    Reason.NO_SUCH_DOMAIN: Explanation(
        "there is no domain called {domain}.",
        "The part of the address behind the @ is wrong, or no longer in use.",
        _CHECK_THE_ADDRESS,
    ),
    Reason.HOST_UNREACHABLE: Explanation(
        "{server} could not be reached.",
        "It is switched off or cut off from the network.",
        _SEND_LATER,
    ),
    Reason.REJECTED: Explanation(
        "{server} did not accept the message.",
        "That decision was made there; the code below is its own reason.",
        "Check the address and what the code says, or ask the recipient by some other way.",
    ),
    Reason.CONNECTION_LOST: Explanation(
        "the connection with {server} broke before it had confirmed the message.",
        "Most likely it does not have the message.",
        _SEND_LATER,
    ),
    Reason.PROTOCOL_VIOLATION: Explanation(
        "{server} gave answers that make no sense in the language of mail servers.",
        "It is faulty, or it is no mail server.",
        _TELL_THE_PROVIDER,
    ),
    Reason.CONFIGURATION: Explanation(
        "the settings of {reporter} are at fault.",
        "Neither your message nor the recipient is to blame.",
        "Tell postmaster@{reporter}, so that it can be set right; then send again.",
    ),
}

# For an outcome without a reason, as a plugin could make one.
UNEXPLAINED = Explanation(
    "the message could not be handed over to {server}.",
    "The code below says what is known.",
    "Ask postmaster@{reporter}, or the recipient by some other way.",
)


def explanation_of(reason: Reason | None) -> Explanation:
    """Return the words for *reason*."""
    return UNEXPLAINED if reason is None else EXPLANATIONS[reason]
