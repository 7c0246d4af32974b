"""Whether a machine sent a message, by headers, envelope and structure: such mail is kept and shown, never answered.

Bounces, receipts, abuse reports and vacation replies are about a message of ours and open no case. Whatever else is
marked (a list, a portal, an automatic forward) may carry a consultation, so it opens one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from intake_bot.mail.addresses import without_tag
from intake_bot.mail.bounces import display_name_of_system, signs_of_bounce
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


_FOR_A_PERSON = frozenset(
    {"auto_replied", "precedence_auto_reply", "x_autoreply", "vacation_subject", "challenge", "read_receipt"}
)


BOUNCES = frozenset({"dsn", "bounce", "mailer_daemon"})

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
# Where portals and bulk programs have their own bounces sent, and sometimes what they write from: it says nothing about
# what they carry.
_BOUNCE_ADDRESS = re.compile(r"(?i)^(?:mail)?bounces?@")
_BOUNCE_SUBJECT = re.compile(
    r"(?i)\s*(?:undeliver(?:able|ed)|delivery status notification|delivery (?:has )?fail|delivery (?:failure|"
    r"notification|error)|mail delivery (?:failed|failure|system|subsystem|error|problem)|returned mail\b|"
    r"failure notice|message undeliverable|non ?remis|unzustellbar|nicht zustellbar|no se puede entregar|"
    r"no entregado|non recapitabile|mancato recapito|onbestelbaar|niet bezorgd|não é possível entregar|não entregue|"
    r"kan inte levereras|kan ikke leveres|niedostarczalne|nedoručiteln|toimittamaton|kézbesíthetetlen|недоставленное|"
    r"не доставлено|warning: (?:could not send|message .{1,40} delayed)|undelivered mail returned to sender|"
    r"mail system error|delayed mail|message (?:delivery )?(?:delayed|failure|failed)|(?:e-?mail|"
    r"message) (?:could not be|was not|not) delivered|your message (?:could not be|was not) delivered|"
    r"nondeliverable mail|non-?delivery (?:report|notification)|can'?t deliver|address not found|rejected mail|"
    r"nachricht (?:konnte )?nicht zu(?:ge)?stell|mail could not be delivered|failed mail|user unknown)"
)
_RECEIPT_SUBJECT = re.compile(
    r"(?i)\s*(?:read|not read|gelesen|nicht gelesen|ungelesen gelöscht|lu|non lu|leído|no leído|letto|non letto|"
    r"gelezen|niet gelezen|lida?|läst|læst|lest|luettu|přečteno|przeczytano|прочитано|прочтено|return receipt|"
    r"read receipt|disposition notification|delivered|relayed|zugestellt|remis|entregado|consegnato)\s?(?::|"
    r"\(displayed\))"
)
_RECEIPT_BODY = re.compile(
    r"(?i)\b(?:was|were|has been|is) (?:read|displayed|opened|deleted without being read)\b.{0,20}(?:\bon\b|\bat\b|"
    r"\d|\.)|this is a (?:return|read) receipt|return receipt (?:shows|for)|wurde (?:am .{1,40} )?gelesen|"
    r"a été (?:lu|supprimé)|se ha leído|fue leído|è stat[oa] lett[oa]|is gelezen|foi lid[ao]|"
    r"delivery to the following recipients? (?:is complete|was successful)|has been delivered to the following|"
    r"your message has been (?:successfully )?(?:delivered|relayed)"
)
_CHALLENGE_SUBJECT = re.compile(
    r"(?i)(?:please )?(?:confirm|verify) (?:your|this) (?:e-?mail|message|address|identity)|verification (?:required|"
    r"needed)|confirmation (?:required|needed|requested)|\bneeds confirmation\b|spam ?arrest|\bboxbe\b|"
    r"are you (?:human|a person)"
)
_CHALLENGE_BODY = re.compile(
    r"(?i)(?:click|reply|follow|visit|press).{0,120}(?:deliver|confirm|verif|release|approve|reach)|has been (?:held|"
    r"quarantined|put on hold)"
)
# Apparatus that sends mail for whoever stands at it: what it sends may be a person's words, and nobody reads an answer.
_APPARATUS_ADDRESS = re.compile(
    r"(?i)^(?:scan(?:ner|s|to(?:e?mail)?|2mail)?|copier|photocopier|mfp|mfd|printer|xerox|ricoh|konica|kyocera|e?fax|"
    r"voice-?mail|voip|unity(?:messaging)?|pbx|answerphone)(?:[._+-][\w.-]{0,30}|\d{0,6})@"
)
_APPARATUS_MAILER = re.compile(
    r"(?i)\b(?:scan(?:ner)?|digital send(?:ing|er)?|mfp|workcentre|xerox|ricoh|konica|kyocera|bizhub|imagerunner|"
    r"lexmark|fax|voice ?mail|asterisk|freepbx|3cx|unity)\b"
)
_APPARATUS_FIELDS = {
    "x-callingtelephonenumber",
    "x-voicemessageduration",
    "x-voicemessagesendername",
    "x-faxnumberofpages",
}
_LOOP_FIELDS = {
    "x-loop",
    "x-rt-loop-prevention",
    "x-otrs-loop",
    "x-cron-env",
    "x-jira-fingerprint",
    "x-servicenow-generated",
}
_BOUNCE_BODY = re.compile(
    r"(?i)(?:could not be|was not|has not been|cannot be|wasn't|couldn't be) delivered|undeliverable|"
    r"delivery (?:to .{1,80} )?(?:has )?failed|returned to sender|permanent (?:fatal )?error|does not like recipient"
)
# "Our letter to you could not be delivered": a person writes that into a portal's form. A mail system speaks to the sender.
_TO_THE_SENDER = re.compile(
    r"(?i)\b(?:your|the following|this) (?:e-?mail|message|mail)\b(?:[^.\n]|\.(?!\s)){0,120}(?:\bnot\b|n['’]t\b|"
    r"\b(?:cannot|fail(?:ed|ure)|returned|undeliver))|\bto the following (?:recipient|address)"
)
# Whole prefixes at the very start: "Re: Automatic reply" typed by a person is none. The weak ones are also words
# that a person may begin a subject with, so they count only before a colon or as the whole subject; those that are
# everyday words of English (a school writes about an absence) count only in what answers something. What portals too
# call their own mail, and what is English and therefore what a school may write, wants something beside it; but for
# Exchange's old "Out of Office AutoReply", which nobody types.
_PORTALS_SUBJECTS = "auto(?:matic|mated)?[ -]?message|away message"
_ENGLISH_SUBJECTS = (
    "automatic reply|automatic response|auto-?\\s?reply|auto-?\\s?response|automated (?:reply|response)|"
    "autoresponder|auto(?:matic)?[ -]?answer|out of (?:the )?office (?:reply|response|notification|message|notice)|"
    "vacation (?:reply|response|message|auto-?reply)"
)
_STRONG_SUBJECTS = (
    "out of (?:the )?office auto-?\\s?reply|"
    "auto(?:matic)?[ -]?antwort|abwesenheitsmeldung|abwesenheitsassistent|réponse d['’]absence|"
    "mensaje de ausencia|mensagem de ausência|avviso di assenza|frånvaromeddelande|fraværsmeddelelse|"
    "poissaoloilmoitus|powiadomienie o nieobecności|ateb awtomatig|ymateb awtomatig|automatische antwort|autom\\. antwort|"
    "abwesenheitsnotiz|abwesenheitsnachricht|réponse automatique|message d['’]absence|respuesta automática|"
    "contestación automática|resposta automática|resposta automàtica|risposta automatica|automatisch antwoord|"
    "afwezigheidsbericht|automatiskt svar|autosvar|automatisk svar|automaattinen vastaus|automatyczna odpowiedź|"
    "odpowiedź automatyczna|automatická odpověď|automatická odpoveď|automatikus válasz|răspuns automat|"
    "otomatik yanıt|автоматический ответ|автоответ|автоматична відповідь|автоматичен отговор|αυτόματη απάντηση|"
    "automatski odgovor|samodejni odgovor|自動返信|自動応答|自動回覆|自动答复|自动回复|자동 회신|자동 응답|رد تلقائي|"
    "תשובה אוטומטית|trả lời tự động"
)
_WEAK_ENGLISH_SUBJECTS = "out of (?:the )?office|ooo|oof|away from (?:my )?(?:the )?office"
_WEAK_SUBJECTS = (
    "allan o['’]r swyddfa|abwesend|abwesenheit|"
    "nicht im büro|absence du bureau|absent(?:e)? du bureau|fuera de la oficina|fuori (?:sede|ufficio)|assente|"
    "fora do escritório|ausência|afwezig|niet aanwezig|frånvaro|ikke til stede|fraværende|poissa|nieobecność|"
    "poza biurem|mimo kancelář|nepřítomnost|нет на месте"
)
_EVERYDAY_SUBJECT = re.compile(
    r"(?i)\s*(?:(?:absence|absent|away|on leave|annual leave|on holiday|on vacation|holiday|vacation|auto)\s*(?::|$)|"
    r"i(?:'| a)m (?:currently )?(?:out of|away|on (?:annual )?leave|on holiday))"
)
# Who is away must be who writes: of others, people write that ("RE: Mr Reed is on leave").
_NAMED_SUBJECT = re.compile(
    r"(?i)\s*(?:auto: )?(?P<name>.{2,60}?) is (?:currently )?(?:out of (?:the )?office|away|on leave|on holiday|on vacation)"
    r"\s*(?:[.!]|(?:from|until|till|today|this week)\b.{0,60})?\s*$"
)
_GATEWAY_TAG = re.compile(
    r"(?i)\s*(?:\[[^\]]{0,20}ext(?:ernal|ern)?[^\]]{0,20}\]|\*+\s*external\s*\*+|external\s*:)\s*"
)


def _prefix(strong: str, weak: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?i)\s*[\[(*]*\s*(?:(?:{strong})\s*(?:[\])*]+|[:：]|\s[-–—|]\s|$)|(?:{weak})\s*(?:[\])*]*\s*[:：]|[\])*]*\s*$))"
    )


_PROGRAMS_SUBJECT = _prefix(_STRONG_SUBJECTS, _WEAK_SUBJECTS)
_ENGLISH_SUBJECT = _prefix(_ENGLISH_SUBJECTS, "(?!)")
_WEAK_ENGLISH_SUBJECT = _prefix(_PORTALS_SUBJECTS, _WEAK_ENGLISH_SUBJECTS)
_PORTALS_SUBJECT = _prefix(_PORTALS_SUBJECTS, "(?!)")
# With such a subject it says itself what it is.
_AWAY_BODY = re.compile(
    r"(?i)\b(?:i|we)(?:['’]m|['’]re|['’]ll be| am| are| will be| shall be) (?:currently |now |presently |still )?(?:away|"
    r"out of (?:the |my )?(?:office|school)|on (?:\w{3,15}[ -]){0,2}(?:leave|holiday|holidays|vacation|sabbatical)|"
    r"off (?:work|sick|until|today)|not (?:in (?:the |my )?(?:office|school)|working|available|at (?:work|my desk))|"
    r"unavailable|out (?:today|this week|until|all))|(?:^|[.!?]\s)(?:currently |now )?(?:on|out) (?:\w{3,15} ){0,2}"
    r"(?:leave|holiday|vacation)\b|\bi (?:do not|don['’]t|only) work\b|\bi work part[- ]time|"
    r"\bmy (?:\w+ )?(?:working|office) (?:days|hours) are|"
    r"\bis (?:currently |now )?(?:out of (?:the )?office|not in the office)|"
    r"\bout of (?:the )?office (?:until|from|today|this)|"
    r"\b(?:limited|no|intermittent|infrequent|restricted|little) access to (?:my |our )?e-?mails?|"
    r"\b(?:office|school|college|nursery|club|academy) is (?:now |currently )?closed\b|"
    r"\b(?:automatic|automated|auto)[ -]?(?:reply|response)\b|\bautomatically generated (?:reply|response)|"
    r"\bich bin\b.{0,60}\b(?:abwesend|nicht im (?:büro|haus)|im urlaub|nicht erreichbar|außer haus)|"
    r"\bje (?:suis|serai)\b.{0,40}\b(?:absente?\b|en congés?)|\b(?:estoy|estaré)\b.{0,40}\b(?:fuera|ausente|vacaciones)|"
    r"\b(?:sono|sarò)\b.{0,40}\b(?:assente|fuori|ferie)|\bik ben\b.{0,40}\b(?:afwezig|niet aanwezig|vakantie)|"
    r"\b(?:estou|estarei)\b.{0,40}\b(?:ausente|fora|férias)|\bjag är\b.{0,40}\b(?:inte på kontoret|bortrest|ledig|semester)|"
    r"\bjeg er\b.{0,40}\b(?:ikke på kontor|fraværende|ferie|bortreist)|\brydw i\b.{0,40}\b(?:swyddfa|wyliau|ffwrdd)|"
    r"\b(?:jestem|będę)\b.{0,40}\b(?:nieobecn|poza biurem|urlopie)|不在|休暇|休假|外出"
)
_ANSWERS_BODY = re.compile(
    r"(?i)\bthank(?:s| you)(?: very much)? for (?:(?:your|the) (?:recent )?(?:e-?mail|message|enquiry|query|letter|"
    r"correspondence)|contacting|getting in touch|e-?mailing|writing)|"
    r"\b(?:i|we)(?:['’]ll| will| shall) (?:reply|respond|answer|get back|be in touch|read your|be back|return to)\b|"
    r"\b(?:in|during) (?:my|our) absence|\b(?:on|upon|until|after) my return|\bwhen i (?:return|get back|am back)|"
    r"\bno longer (?:work|employed)|\bi have (?:now |recently )?left\b|\b(?:e-?mail|message|mail) has been received|"
    r"\b(?:inbox|mailbox|account|address) is (?:not|no longer|only) (?:being )?(?:monitored|checked|read|in use)|"
    r"\bfor (?:any |all )?(?:urgent|emergenc)|\bif (?:it|this|your (?:e-?mail|message|enquiry|matter))(?:['’]s| is) urgent|"
    r"\bpart[- ]time\b|^back (?:on|in|at|from|soon)\b"
)
# In the first of its words, and with not many more than these where nothing but its subject says so.
_SAYS_SO_WORDS = 60
_SHORT_WORDS = 150
_LIST_FIELDS = {
    "list-archive", "list-help", "list-id", "list-owner", "list-post", "list-subscribe", "list-unsubscribe", "mailing-list",
    "x-beenthere", "x-google-group-id", "x-mailing-list", "x-mailman-version",
}  # fmt: skip
_REPLY_FIELD = re.compile(r"x-(?:mail-)?auto-?(?:reply|respond|response$)|x-vacation")
_EXCHANGE_RULE_FIELDS = {"x-ms-exchange-generated-message-source", "x-ms-exchange-inbox-rules-loop"}
_CALENDAR_PARTS = 10
_BEGIN_CHARS = 2_000
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
    addressed_to: Collection[str] = (),
) -> MachineMark | None:
    """The mark of a message, or None where a person seems to have sent it. ``opening`` is the start of its text,
    ``addressed_to`` the recipients of its envelope and of its header.

    What opens no case is looked for first: Exchange marks its vacation replies with the same field as its forwards. A
    subject or a phrase alone, in what answers nothing, is a mark that opens a case: a person may have written it.
    """
    fields = parts[0].fields
    answers = _answers_something(fields) or _is_to_a_letter(addressed_to, own_addresses)
    reason = _about_our_mail(parts, envelope_from, from_addresses, subject, opening, answers=answers)
    if reason:
        return MachineMark(reason, opens_case=False, for_a_person=reason in _FOR_A_PERSON)
    reason = next(_otherwise_marked(fields, envelope_from, from_addresses, own_addresses), None)
    if reason is None and _is_vacation_subject(_untagged(subject)):
        reason = "vacation_subject"
    if reason is None and _BOUNCE_ADDRESS.match(envelope_from) and _BOUNCE_BODY.search(opening[:_BEGIN_CHARS]):
        reason = "bounce_wording"
    # The answer to an invitation is sent by pressing a button, so nothing is to be acknowledged. But it may carry a remark,
    # and it is about no message of ours: it opens a case where it joins none.
    if reason is None and any(_is_calendar_answer(part) for part in parts[:_CALENDAR_PARTS]):
        reason = "calendar_reply"
    return MachineMark(reason, opens_case=True) if reason else None


def _is_calendar_answer(part: Part) -> bool:
    """RFC 5546 § 3.2.3; not in a message that is forwarded."""
    method = part.parameters.get("method", "").strip().lower()
    return part.depth <= 2 and part.content_type == "text/calendar" and method in {"reply", "counter", "declinecounter"}


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
    parts: Sequence[Part],
    envelope_from: str,
    from_addresses: Sequence[str],
    subject: str,
    opening: str,
    *,
    answers: bool,
) -> str | None:
    """Bounces, receipts, reports, vacation replies, and our own mail come back."""
    fields = parts[0].fields
    if OWN_HEADER in fields:
        return "own_mail"
    null_sender = is_null_sender(envelope_from)
    daemon = any(_MAILER_DAEMON.search(address) for address in (*from_addresses, envelope_from)) or bool(
        not from_addresses and _MAILER_DAEMON.search(fields.text("from"))
    )
    from_bounces = any(_BOUNCE_ADDRESS.match(address) for address in from_addresses)
    report = _report(parts, nested=null_sender or daemon or from_bounces)
    if report:
        return report
    if "x-ms-exchange-message-is-ndr" in fields or "x-failed-recipients" in fields:
        return "bounce"
    if daemon:
        return "mailer_daemon"
    system = display_name_of_system(fields) or any(
        address.lower().startswith("postmaster@") for address in (*from_addresses, envelope_from)
    )
    signs = signs_of_bounce(opening)
    says_so = bool(_BOUNCE_SUBJECT.match(subject))
    worded = bool(_BOUNCE_BODY.search(opening[:_BEGIN_CHARS])) and (
        system
        or signs > 0
        or (null_sender and answers)
        or bool(_TO_THE_SENDER.search(opening[:_BEGIN_CHARS]) or _ID_LINE.search(opening))
    )
    unasked = system or null_sender or from_bounces or bool(_BOUNCE_ADDRESS.match(envelope_from))
    if unasked and (says_so or worded):
        return "bounce"
    # Some systems send their reports as from a person; their wording is their own.
    if says_so and signs >= 2:
        return "bounce"
    return next(_vacation(parts, subject, opening, answers=answers, null_sender=null_sender), None) or next(
        _receipt_or_challenge(fields, subject, opening, answers=answers or null_sender), None
    )


def _receipt_or_challenge(fields: Fields, subject: str, opening: str, *, answers: bool) -> Iterator[str]:
    """Receipts in forms older than RFC 8098, and requests to prove that one is a person.

    Subject and wording must agree: "Read: the attached" may begin a person's subject.
    """
    text = opening[:_BEGIN_CHARS]
    if _RECEIPT_SUBJECT.match(subject) and _RECEIPT_BODY.search(text) and len(text.split()) < 150:
        yield "read_receipt"
    asked = bool(_CHALLENGE_SUBJECT.search(subject) and _CHALLENGE_BODY.search(text))
    if asked and (answers or any(_says_automatic(fields))):
        yield "challenge"


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


def _is_to_a_letter(addressed_to: Collection[str], own_addresses: Collection[str]) -> bool:
    """Whether one of our addresses is named with a tag, which a letter of ours, or a copy of it, has told."""
    own = {address.casefold() for address in own_addresses}
    untagged = {without_tag(address) for address in own_addresses}
    return any(address.casefold() not in own and without_tag(address) in untagged for address in addressed_to)


def _vacation(parts: Sequence[Part], subject: str, opening: str, *, answers: bool, null_sender: bool) -> Iterator[str]:
    """Every sign of a vacation reply (RFC 3834 § 5 and what came before it)."""
    fields = parts[0].fields
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
    subject = _untagged(subject)
    marked = null_sender or any(_says_automatic(fields)) or any(_suppresses_answers(fields))
    named = _NAMED_SUBJECT.match(subject)
    if (
        (_is_vacation_subject(subject) and (answers or _says_it_itself(parts, subject, opening, marked=marked)))
        or ((answers or null_sender) and _EVERYDAY_SUBJECT.match(subject))
        or ((answers or null_sender) and named and _writes_as(fields, named["name"]))
    ):
        yield "vacation_subject"


def _untagged(subject: str) -> str:
    """The subject without what gateways put before it."""
    while (tag := _GATEWAY_TAG.match(subject)) and tag.end():
        subject = subject[tag.end() :]
    return subject


def _is_vacation_subject(subject: str) -> bool:
    return any(pattern.match(subject) for pattern in (_PROGRAMS_SUBJECT, _ENGLISH_SUBJECT, _WEAK_ENGLISH_SUBJECT))


def _says_it_itself(parts: Sequence[Part], subject: str, opening: str, *, marked: bool) -> bool:
    """Whether a message that answers nothing, with the subject of a vacation reply, is one.

    ``marked``: it came from the null sender, or with a mark that portals put on their mail as well.
    """
    if _PROGRAMS_SUBJECT.match(subject):
        return True
    text = opening.split()
    begin = " ".join(text[:_SAYS_SO_WORDS])
    away = bool(_AWAY_BODY.search(begin))
    if _ENGLISH_SUBJECT.match(subject):
        bare = not text and all(part.content_type.startswith(("text/", "multipart/")) for part in parts)
        return marked or away or bare or bool(_ANSWERS_BODY.search(begin))
    if len(text) > _SHORT_WORDS:
        return False
    return away or (marked and not _PORTALS_SUBJECT.match(subject) and bool(_ANSWERS_BODY.search(begin)))


def _writes_as(fields: Fields, name: str) -> bool:
    """Whether every word of the name stands in From."""
    author = fields.text("from").casefold()
    parts = re.findall(r"\w{2,}", name.casefold())
    return bool(parts) and all(part in author for part in parts)


def _otherwise_marked(
    fields: Fields, envelope_from: str, from_addresses: Sequence[str], own_addresses: Collection[str]
) -> Iterator[str]:
    """Every mark that says "a machine", and nothing about what for."""
    own = {without_tag(address) for address in own_addresses}
    # Our own address without our own header: a colleague at the shared mailbox, or a forger. It may be a consultation.
    if any(without_tag(address) in own for address in from_addresses):
        yield "own_address"
    yield from _says_automatic(fields)
    if any(name in _LIST_FIELDS for name, _ in fields):
        yield "list"
    yield from _suppresses_answers(fields)
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
    if any(_BOUNCE_ADDRESS.match(address) for address in from_addresses):
        yield "bounce_address"
    # Helpdesks and schedulers ask in this way that nothing automatic answer them.
    if any(name in _LOOP_FIELDS for name, _ in fields):
        yield "loop_prevention"
    yield from _by_apparatus(fields, from_addresses)
    # A report of a kind that is about no message of ours (on TLS, for one).
    if fields.text("content-type").lower().startswith("multipart/report"):
        yield "report"
    # A null sender forbids any automatic answer (RFC 5321 § 4.5.5, RFC 3834 § 2), so it is a mark. But some portals
    # and scanners send a person's own words that way: when nothing says that it is a bounce or a vacation reply,
    # calling it one would put a consultation on the unfiled list without a clock. It opens a case.
    if is_null_sender(envelope_from):
        yield "null_sender"


def _says_automatic(fields: Fields) -> Iterator[str]:
    if _keywords(fields, "auto-submitted") - {"", "no"}:
        yield "auto_submitted"
    if _keywords(fields, "precedence", "x-precedence") & {"bulk", "junk", "list"}:
        yield "precedence"


def _suppresses_answers(fields: Fields) -> Iterator[str]:
    """Only those values that ask for no automatic answer; "DR, RN, NRN" decline receipts, as people do."""
    suppressed = ",".join(_line(value).lower() for value in fields.all("x-auto-response-suppress"))
    if {item.strip() for item in suppressed.split(",")} & {"all", "oof", "autoreply"}:
        yield "auto_response_suppress"


def _by_apparatus(fields: Fields, from_addresses: Sequence[str]) -> Iterator[str]:
    """Scanners, fax machines and answering machines (RFC 3458, RFC 3801), which a person may have stood at."""
    context = _keywords(fields, "message-context")
    content_type = fields.text("content-type").lower()
    if context & {"voice-message", "fax-message"} or content_type.startswith("multipart/voice-message"):
        yield "apparatus"
    if any(name in _APPARATUS_FIELDS for name, _ in fields):
        yield "apparatus"
    if any(_APPARATUS_ADDRESS.match(address) for address in from_addresses):
        yield "apparatus"
    if any(_APPARATUS_MAILER.search(_line(value)) for name in ("x-mailer", "user-agent") for value in fields.all(name)):
        yield "apparatus"


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
