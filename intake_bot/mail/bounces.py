"""Which recipients a bounce says it could not deliver to: by its delivery status (RFC 3464), else by what older
programs write.

A notice of delay says so too, and names none: the mail is still under way.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from intake_bot.mail.addresses import normalised
from intake_bot.mail.fields import Fields
from intake_bot.mail.parts import Part
from intake_bot.mail.text import clean_line

_STATUS_PARTS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_MAX_FAILED = 50
_MAX_STATUS_CHARS = 200_000
_MAX_TEXT_CHARS = 8_000
# How far below an address its reason stands.
_REASON_CHARS = 600

_FIELD = re.compile(r"^([A-Za-z][A-Za-z-]{0,40})[ \t]*:[ \t]*(.*)$")
_ADDRESS = r"[^\s<>@\"'(),;:\[\]]{1,64}@[^\s<>@\"'(),;:\[\]]{1,255}"
_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY_CODE = re.compile(r"(?<![\d.])([45])\d\d(?=[ \-:]|$)", re.MULTILINE)

# Postfix, Exim, qmail, sendmail, Exchange: the address begins a line. Gmail, Outlook.com, Lotus: it stands in a sentence.
_ON_ITS_LINE = re.compile(rf"(?m)^[ \t>*•-]{{0,12}}<?({_ADDRESS})>?(?=\s*(?:$|:|\(|\[|on \d|\.\.\.|said))")
_IN_A_SENTENCE = re.compile(
    rf"(?i)(?:delivered to|deliver(?:y)?(?: of)?(?: (?:your|the|this) (?:e-?mail|message))? to|recipient|"
    rf"to the following (?:address|recipient)s?|user|mailbox|addressed to|unknown address|"
    rf"reach)\W{{1,4}}(?:\w+ ){{0,2}}[<(]?({_ADDRESS})"
)
_COPY_BEGINS = re.compile(
    r"(?im)^[-\s>*]*(?:below this line is a copy|(?:this|the following) is a copy of (?:the|your) message|"
    r"original message (?:follows|headers)|the (?:original|returned) message|returned message|included is a copy|"
    r"-{3,}.{0,20}original message|message header|unsent message below|return-path:|received: )"
)
_DELAY = re.compile(
    r"(?i)warning message only|do(?:es)? not need to (?:be )?resen[dt]|(?:has been|is|was) delayed|delivery (?:is |"
    r"status notification \()delay|not yet been delivered|will (?:be retried|keep trying|continue (?:to try|trying))|"
    r"could not be delivered for .{1,30}will|delayed mail|transient(?: non-fatal)? error"
)
_PERMANENT = re.compile(
    r"(?i)permanent|giving up|gave up|fatal errors|given up|no longer be retried|does not exist|"
    r"could ?n[o']t be found|returned to sender"
)


@dataclass(frozen=True, slots=True)
class FailedRecipient:
    """An address that a bounce says was not reached. ``status`` is the code of RFC 3463 ("5.1.1"), its class alone
    ("5") where only an SMTP reply is given, or empty.
    """

    address: str
    status: str

    @property
    def is_permanent(self) -> bool:
        """Whether sending again would be of no use (RFC 3463 § 2); what no status says is taken for it."""
        return not self.status.startswith("4")


def failed_recipients(
    parts: Sequence[Part], opening: str, own_addresses: Collection[str]
) -> tuple[FailedRecipient, ...]:
    """Whom a bounce says it did not reach, each once. ``opening`` is the start of its text.

    A delivery status decides alone where there is one: only ``Action: failed`` counts (RFC 3464 § 2.3.3).
    """
    status_parts = [part for part in parts if part.content_type in _STATUS_PARTS]
    if status_parts:
        found = [item for part in status_parts for item in _by_status(part.text(set())[:_MAX_STATUS_CHARS])]
        if found or any(_has_groups(part) for part in status_parts):
            return _once(failed for failed, is_failed in found if is_failed)
    named = [clean_line(value.decode("latin-1"), 2_000) for value in parts[0].fields.all("x-failed-recipients")]
    if is_still_trying(parts, opening):
        return ()
    text = _own_words(opening)
    listed = [address for value in named for address in re.findall(_ADDRESS, value)]
    if listed:
        return _once(FailedRecipient(_address(address), _status_below(text, address)) for address in listed)
    return _once(_by_words(text, {_address(address) for address in own_addresses}))


def is_still_trying(parts: Sequence[Part], opening: str) -> bool:
    """Whether a bounce is a notice of delay: it says of nobody that the mail will not come."""
    reported = [
        is_failed
        for part in parts
        if part.content_type in _STATUS_PARTS
        for _, is_failed in _by_status(part.text(set())[:_MAX_STATUS_CHARS])
    ]
    if reported:
        return not any(reported)
    text = _own_words(opening)
    return bool(_DELAY.search(text)) and not _PERMANENT.search(text)


def _by_status(text: str) -> Iterator[tuple[FailedRecipient, bool]]:
    """Each group of fields that names a recipient, and whether it says that delivery failed."""
    for group in re.split(r"\n[ \t]*\n", text):
        fields = _group_fields(group)
        typed = fields.get("final-recipient") or fields.get("original-recipient")
        address = _address((typed or "").rpartition(";")[2])
        if not address:
            continue
        status = _ENHANCED.search(fields.get("status", "")) or _ENHANCED.search(fields.get("diagnostic-code", ""))
        code = status[1] if status else ""
        action = fields.get("action", "").split(maxsplit=1)[0].strip(";,").lower() if fields.get("action") else ""
        yield FailedRecipient(address, code), action == "failed" or (not action and code.startswith("5"))


def _has_groups(part: Part) -> bool:
    return "action:" in part.text(set())[:_MAX_STATUS_CHARS].lower()


def _group_fields(group: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in group.split("\n"):
        if line[:1] in {" ", "\t"} and name:
            fields[name] += f" {line.strip()}"
        elif field := _FIELD.match(line[:2_000]):
            name = field[1].lower()
            fields.setdefault(name, field[2].strip())
    return fields


def _own_words(opening: str) -> str:
    """What the mail system wrote, without the copy of our message under it."""
    text = opening[:_MAX_TEXT_CHARS]
    copy = _COPY_BEGINS.search(text, 80)
    return text[: copy.start()] if copy else text


def _by_words(text: str, own: Collection[str]) -> Iterator[FailedRecipient]:
    for pattern in (_ON_ITS_LINE, _IN_A_SENTENCE):
        found = [match for match in pattern.finditer(text) if _address(match[1]) not in own]
        for match in found:
            yield FailedRecipient(_address(match[1]), _status_in(text[match.end() : match.end() + _REASON_CHARS]))
        if found:
            return


def _status_below(text: str, address: str) -> str:
    place = text.find(address)
    return _status_in(text[place : place + len(address) + _REASON_CHARS] if place >= 0 else text)


def _status_in(reason: str) -> str:
    enhanced = _ENHANCED.search(reason)
    if enhanced:
        return enhanced[1]
    reply = _REPLY_CODE.search(reason)
    return reply[1] if reply else ""


def _address(text: str) -> str:
    return normalised(clean_line(text, 400).strip("<> .;,")) or ""


def _once(found: Iterator[FailedRecipient]) -> tuple[FailedRecipient, ...]:
    by_address: dict[str, FailedRecipient] = {}
    for item in found:
        if item.address:
            by_address.setdefault(item.address, item)
        if len(by_address) >= _MAX_FAILED:
            break
    return tuple(by_address.values())


# What mail systems write in place of a delivery status; two such signs make a bounce whoever it seems to be from.
_SIGNS = re.compile(
    r"(?i)(?P<qmail>this is the qmail-send program|i wasn't able to deliver|i'm not going to try again)|"
    r"(?P<exim>created automatically by mail delivery software|could not be delivered to one or more of its)|"
    r"(?P<postfix>this is the (?:mail system|postfix program) at host|delivered to one or more recipients)|"
    r"(?P<sendmail>had permanent fatal errors|transcript of session follows)|"
    r"(?P<exchange>did not reach some or all of the intended recipients|delivery has failed to these recipients|"
    r"diagnostic information for administrators|the following recipient\(s\) (?:cannot|could not) be reached)|"
    r"(?P<google>address not found|message blocked|wasn't delivered to|delivery to the following recipients? failed)|"
    r"(?P<lotus>not listed in (?:domino|public name)|routing path|failure (?:delivering|in delivery))|"
    r"(?P<reply>\b5\d\d[ -]5\.\d\.\d|remote host said|smtp error from remote|error transferring to|"
    r"unrouteable address|user unknown|mailbox (?:unavailable|not found|full|is full)|no such user|"
    r"recipient address rejected|over quota)|(?P<yahoo>sorry,? (?:we were|i was) unable to deliver|"
    r"unable to deliver your message)|(?P<copy>below this line is a copy of the message|returned message below|"
    r"original message headers|message headers follow)"
)


def signs_of_bounce(opening: str) -> int:
    """How many different signs of a mail system's report the text begins with."""
    return len({found.lastgroup for found in _SIGNS.finditer(opening[:_MAX_TEXT_CHARS])})


def display_name_of_system(fields: Fields) -> bool:
    """Whether From gives itself out as a mail system by its name."""
    return bool(
        re.search(
            r"(?i)mail delivery (?:system|subsystem|service)|mail(?:er)? ?daemon|mail system", fields.text("from")
        )
    )
