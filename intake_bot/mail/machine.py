"""Whether a machine sent a message, by headers, envelope and structure: such mail is kept and shown, never answered.

Bounces, receipts, abuse reports and vacation replies are about a message of ours and open no case. Whatever else is
marked (a list, a portal, an automatic forward) may carry a consultation, so it opens one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from intake_bot.mail.addresses import without_tag
from intake_bot.mail.fields import Fields, message_ids
from intake_bot.mail.parts import Part
from intake_bot.mail.text import clean_line

OWN_HEADER = "x-intake-bot"


@dataclass(frozen=True, slots=True)
class MachineMark:
    """Why a message counts as machine-sent (a fixed code) and whether it may open a case all the same.

    ``for_a_person``: it answers in somebody's name (a vacation reply), so it is that person who must be a participant.
    """

    reason: str
    opens_case: bool
    for_a_person: bool = False


_FOR_A_PERSON = frozenset({"auto_replied", "precedence_auto_reply", "x_autoreply", "vacation_subject"})


_REPORTS = {
    "delivery-status": "dsn",
    "disposition-notification": "mdn",
    "feedback-report": "arf",
}
_REPORT_PARTS = {
    "message/delivery-status": "dsn",
    "message/global-delivery-status": "dsn",
    "message/disposition-notification": "mdn",
    "message/global-disposition-notification": "mdn",
    "message/feedback-report": "arf",
}
_HEADERS_ONLY = {"text/rfc822-headers", "message/global-headers"}

_MAILER_DAEMON = re.compile(r"(?i)\bmailer-daemon\b|^microsoftexchange[0-9a-f]{32}@|^mdaemon@")
# As an author it is a machine that reports; as an envelope sender it is also where portals and bulk programs have their own
# bounces sent, and says nothing about what they carry.
_BOUNCE_ADDRESS = re.compile(r"(?i)^(?:mail)?bounces?@")
_BOUNCE_SUBJECT = re.compile(
    r"(?i)\s*(?:undeliver(?:able|ed)|delivery status notification|delivery (?:has )?fail|delivery failure|"
    r"mail delivery (?:failed|failure|system|subsystem)|returned mail\b|failure notice|message undeliverable|"
    r"non ?remis|unzustellbar|no se puede entregar|warning: (?:could not send|message .{1,40} delayed)|"
    r"undelivered mail returned to sender|mail system error|delayed mail)"
)
_BOUNCE_BODY = re.compile(
    r"(?i)(?:could not be|was not|has not been|cannot be|wasn't|couldn't be) delivered|undeliverable|"
    r"delivery (?:to .{1,80} )?(?:has )?failed|returned to sender|permanent (?:fatal )?error|does not like recipient"
)
# Whole prefixes at the very start: "Re: Automatic reply" typed by a person is none. The weak ones are also words
# that a person may begin a subject with, so they count only before a colon or as the whole subject; those that are
# everyday words of English (a school writes about an absence) count only in what answers something.
_STRONG_SUBJECTS = (
    "automatic reply|automatic response|auto-?\\s?reply|auto-?\\s?response|automated (?:reply|response)|autoresponder|"
    "out of (?:the )?office auto-?\\s?reply|vacation (?:reply|response|message|auto-?reply)|ateb awtomatig|ymateb awtomatig|"
    "automatische antwort|autom\\. antwort|abwesenheitsnotiz|abwesenheitsnachricht|réponse automatique|"
    "message d['’]absence|respuesta automática|contestación automática|resposta automática|resposta automàtica|"
    "risposta automatica|automatisch antwoord|afwezigheidsbericht|automatiskt svar|autosvar|automatisk svar|"
    "automaattinen vastaus|automatyczna odpowiedź|odpowiedź automatyczna|automatická odpověď|automatická odpoveď|"
    "automatikus válasz|răspuns automat|otomatik yanıt|автоматический ответ|автоответ|автоматична відповідь|"
    "автоматичен отговор|αυτόματη απάντηση|automatski odgovor|samodejni odgovor|自動返信|自動応答|自動回覆|自动答复|"
    "自动回复|자동 회신|자동 응답|رد تلقائي|תשובה אוטומטית|trả lời tự động"
)
_WEAK_SUBJECTS = (
    "out of (?:the )?office|ooo|oof|away from (?:my )?(?:the )?office|allan o['’]r swyddfa|abwesend|abwesenheit|"
    "nicht im büro|absence du bureau|absent(?:e)? du bureau|fuera de la oficina|fuori (?:sede|ufficio)|"
    "assente|fora do escritório|ausência|afwezig|niet aanwezig|frånvaro|ikke til stede|fraværende|poissa|"
    "nieobecność|poza biurem|mimo kancelář|nepřítomnost|нет на месте"
)
_EVERYDAY_SUBJECT = re.compile(r"(?i)\s*(?:absence|absent|away|on leave|annual leave)\s*(?::|$)")
_GATEWAY_TAG = re.compile(
    r"(?i)\s*(?:\[[^\]]{0,20}ext(?:ernal|ern)?[^\]]{0,20}\]|\*+\s*external\s*\*+|external\s*:)\s*"
)
_VACATION_SUBJECT = re.compile(
    rf"(?i)\s*[\[(*]*\s*(?:(?:{_STRONG_SUBJECTS})\s*(?:[\])*]+|[:：]|\s[-–—|]\s|$)|(?:{_WEAK_SUBJECTS})\s*(?:[\])*]*\s*[:：]|[\])*]*\s*$))"
)
_LIST_FIELDS = {
    "list-archive", "list-help", "list-id", "list-owner", "list-post", "list-subscribe", "list-unsubscribe", "mailing-list",
    "x-beenthere", "x-google-group-id", "x-mailing-list", "x-mailman-version",
}  # fmt: skip
_REPLY_FIELD = re.compile(r"x-(?:mail-)?auto-?(?:reply|respond|response$)|x-vacation")
_EXCHANGE_RULE_FIELDS = {"x-ms-exchange-generated-message-source", "x-ms-exchange-inbox-rules-loop"}
_NO = {"", "no", "none", "false", "0"}
_ID_LINE = re.compile(r"(?im)^[>\s]*(?:original-)?message-id:\s*(<[^<>\s]{1,990}>)")


def machine_mark(
    parts: Sequence[Part],
    *,
    envelope_from: str,
    from_addresses: Sequence[str],
    subject: str,
    opening: str,
    own_addresses: Collection[str],
) -> MachineMark | None:
    """The mark of a message, or None where a person seems to have sent it. ``opening`` is the start of its text.

    What opens no case is looked for first: Exchange marks its vacation replies with the same field as its forwards.
    """
    reason = _about_our_mail(parts, envelope_from, from_addresses, subject, opening)
    if reason:
        return MachineMark(reason, opens_case=False, for_a_person=reason in _FOR_A_PERSON)
    reason = next(_otherwise_marked(parts[0].fields, envelope_from, from_addresses, own_addresses), None)
    return MachineMark(reason, opens_case=True) if reason else None


def answered_ids(parts: Sequence[Part], opening: str, limit: int) -> tuple[str, ...]:
    """The Message-IDs that a bounce, receipt or vacation reply is about: those of its own header (In-Reply-To,
    References), of the message or header that it returns (RFC 3462), of its Original-Message-ID (RFC 8098 § 3.2.5),
    and in bounces older than these standards, of the copy in its text.
    """
    top = parts[0].fields
    found: list[str] = []
    for name in ("in-reply-to", "references"):
        for value in top.all(name):
            found += message_ids(value, limit)
    for part in parts[1:]:
        parent = parts[part.parent] if part.parent is not None else None
        if parent is not None and parent.is_message:
            for value in part.fields.all("message-id"):
                found += message_ids(value, 1)
        elif part.content_type in _HEADERS_ONLY or part.content_type in _REPORT_PARTS:
            found += _ID_LINE.findall(part.text(set()).replace("\n ", " ").replace("\n\t", " "))
    found += _ID_LINE.findall(opening)
    return tuple(dict.fromkeys(found))[:limit]


def _about_our_mail(
    parts: Sequence[Part], envelope_from: str, from_addresses: Sequence[str], subject: str, opening: str
) -> str | None:
    """Bounces, receipts, reports, vacation replies, and our own mail come back."""
    fields = parts[0].fields
    if OWN_HEADER in fields:
        return "own_mail"
    null_sender = is_null_sender(envelope_from)
    daemon = (
        any(_MAILER_DAEMON.search(address) for address in (*from_addresses, envelope_from))
        or any(_BOUNCE_ADDRESS.match(address) for address in from_addresses)
        or bool(not from_addresses and _MAILER_DAEMON.search(fields.text("from")))
    )
    report = _report(parts, nested=null_sender or daemon)
    if report:
        return report
    if "x-ms-exchange-message-is-ndr" in fields or "x-failed-recipients" in fields:
        return "bounce"
    postmaster = any(address.lower().startswith("postmaster@") for address in (*from_addresses, envelope_from))
    if daemon:
        return "mailer_daemon"
    if (null_sender or postmaster or _BOUNCE_ADDRESS.match(envelope_from)) and (
        _BOUNCE_SUBJECT.match(subject) or _BOUNCE_BODY.search(opening[:2_000])
    ):
        return "bounce"
    return next(_vacation(fields, subject, answers=null_sender or _answers_something(fields)), None)


def _report(parts: Sequence[Part], *, nested: bool) -> str | None:
    """RFC 6522: a report is the whole message. Gateways wrap reports to add a footer: with a sender that only
    machines use, one level down counts too. A bounce that a person forwards as an attachment counts as none.
    """
    top = parts[0]
    if top.content_type in _REPORT_PARTS:
        return _REPORT_PARTS[top.content_type]
    candidates = [top] if top.content_type == "multipart/report" else []
    if nested:
        candidates += [parts[index] for index in top.children if parts[index].content_type == "multipart/report"]
    for report in candidates:
        kind = _REPORTS.get(report.parameters.get("report-type", "").strip().lower())
        kinds = [_REPORT_PARTS.get(parts[index].content_type) for index in report.children]
        if found := kind or next((kind for kind in kinds if kind), None):
            return found
    if nested:
        for index in top.children:
            if parts[index].content_type in _REPORT_PARTS:
                return _REPORT_PARTS[parts[index].content_type]
    return None


def _answers_something(fields: Fields) -> bool:
    return any(fields.text(name).strip() for name in ("in-reply-to", "references"))


def _vacation(fields: Fields, subject: str, *, answers: bool) -> Iterator[str]:
    """Every sign of a vacation reply (RFC 3834 § 5 and what came before it)."""
    if "auto-replied" in _keywords(fields, "auto-submitted"):
        yield "auto_replied"
    if _keywords(fields, "precedence", "x-precedence") & {"auto_reply", "auto-reply"}:
        yield "precedence_auto_reply"
    if any(_REPLY_FIELD.match(name) and _keyword(value) not in _NO for name, value in fields):
        yield "x_autoreply"
    if "reply" in _keywords(fields, "x-autogenerated") or "autoresponder" in _keywords(fields, "delivered-to"):
        yield "x_autoreply"
    if any(b"autoresponder" in value.lower() for value in fields.all("x-post-messageclass")):
        yield "x_autoreply"
    while (tag := _GATEWAY_TAG.match(subject)) and tag.end():
        subject = subject[tag.end() :]
    if _VACATION_SUBJECT.match(subject) or (answers and _EVERYDAY_SUBJECT.match(subject)):
        yield "vacation_subject"


def _otherwise_marked(
    fields: Fields, envelope_from: str, from_addresses: Sequence[str], own_addresses: Collection[str]
) -> Iterator[str]:
    """Every mark that says "a machine", and nothing about what for."""
    own = {without_tag(address) for address in own_addresses}
    # Our own address without our own header: a colleague at the shared mailbox, or a forger. It may be a consultation.
    if any(without_tag(address) in own for address in from_addresses):
        yield "own_address"
    if _keywords(fields, "auto-submitted") - {"", "no"}:
        yield "auto_submitted"
    if _keywords(fields, "precedence", "x-precedence") & {"bulk", "junk", "list"}:
        yield "precedence"
    if any(name in _LIST_FIELDS for name, _ in fields):
        yield "list"
    # Only those values that ask for no automatic answer; "DR, RN, NRN" decline receipts, as people do.
    suppressed = ",".join(_line(value).lower() for value in fields.all("x-auto-response-suppress"))
    if {item.strip() for item in suppressed.split(",")} & {"all", "oof", "autoreply"}:
        yield "auto_response_suppress"
    if any(
        (name.startswith("x-auto") or name == "x-fc-machinegenerated")
        and name != "x-auto-response-suppress"
        and _keyword(value) not in _NO
        for name, value in fields
    ):
        yield "x_auto"
    if any(name in _EXCHANGE_RULE_FIELDS for name, _ in fields):
        yield "exchange_rule"
    if any(address.lower().startswith("postmaster@") for address in from_addresses):
        yield "postmaster"
    # A report of a kind that is about no message of ours (on TLS, for one).
    if fields.text("content-type").lower().startswith("multipart/report"):
        yield "report"
    # A null sender forbids any automatic answer (RFC 5321 § 4.5.5, RFC 3834 § 2), so it is a mark. But some portals
    # and scanners send a person's own words that way: when nothing says that it is a bounce or a vacation reply,
    # calling it one would put a consultation on the unfiled list without a clock. It opens a case.
    if is_null_sender(envelope_from):
        yield "null_sender"


def is_null_sender(envelope_from: str) -> bool:
    """The null reverse-path (RFC 5321 § 4.5.5), in both spellings: servers hand over the two characters ``<>``."""
    return envelope_from.strip() in {"", "<>"}


def _keywords(fields: Fields, *names: str) -> set[str]:
    return {_keyword(value) for name, value in fields if name in names}


def _keyword(value: bytes) -> str:
    """The first token of a field, without parameters and comments (RFC 3834 § 5)."""
    tokens = re.split(r"[;(\s,]", _line(value).lower(), maxsplit=1)
    return tokens[0]


def _line(value: bytes) -> str:
    return clean_line(value.decode("latin-1"), 500)
