"""Every act that has a form: its fields, the act that they make, and when the menu of a card offers it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from intake_bot.casework import acts
from intake_bot.casework.desk import CaseCard
from intake_bot.casework.files import NOT_SCANNED
from intake_bot.casework.vocabulary import (
    CLOSED,
    UNDECIDED,
    CaseOutcome,
    ClockEnd,
    EmployerAction,
    Escalation,
    MeetingKind,
    Owner,
    PauseReason,
    RegulatorBody,
    SetAside,
    SignOff,
    Source,
    Status,
    StrandKind,
)
from intake_bot.slack.forms import Field, Form, Kind, colleague, without_content
from triage.vocabulary import Threshold


def _options(kind: type[StrEnum], labels: Mapping[str, str] | None = None) -> tuple[tuple[str, str], ...]:
    def label(one: StrEnum) -> str:
        return (labels or {}).get(one.value) or one.value.replace("_", " ").capitalize()

    return tuple((one.value, label(one)) for one in kind)


_UPPER = {"cps": "CPS", "dbs": "DBS (Disclosure and Barring Service)", "tra": "TRA (Teaching Regulation Agency)"}
_AT_WORK = frozenset({Status.DECIDED, Status.IN_PROGRESS})
_NOTE = Field("note", "Note", Kind.WORDS, optional=True, hint="Kept on the record. Never shown in the channel.")
_REASON = Field("reason", "Reason", Kind.WORDS, hint="Kept on the record. Never shown in the channel.")


def _always(card: CaseCard) -> bool:
    return True


def _open(card: CaseCard) -> bool:
    return card.status not in CLOSED


def _undecided(card: CaseCard) -> bool:
    return card.status in UNDECIDED


def _at_work(card: CaseCard) -> bool:
    return card.status in _AT_WORK


FORMS: tuple[Form, ...] = (
    Form(
        "accept",
        "Accept the suggestion",
        "Record decision",
        (),
        lambda case, by, v: acts.Accept(case, by, str(v["version"])),
        lambda card: _undecided(card) and card.threshold not in (None, Threshold.UNCLEAR),
        about="The decision goes on the record as yours. A machine suggested it: read the messages first.",
    ),
    Form(
        "sign_off",
        "Sign off the decision",
        "Record",
        (
            Field(
                "agreed",
                "Below the threshold?",
                Kind.RADIO,
                (("yes", "I agree: it is below the threshold"), ("no", "I do not: open the decision again")),
            ),
            _NOTE,
        ),
        lambda case, by, v: acts.GiveSignOff(case, by, v["agreed"] == "yes", v["note"] or ""),
        lambda card: card.sign_off is SignOff.PENDING,
    ),
    Form(
        "hand_over",
        "Hand over",
        "Hand over",
        (Field("to", "To", Kind.PERSON), _NOTE),
        lambda case, by, v: acts.HandOver(case, by, colleague(by, v["to"]), v["note"] or ""),
        _open,
    ),
    Form(
        "release",
        "Give back",
        "Give back",
        (),
        lambda case, by, _: acts.Release(case, by),
        lambda card: _undecided(card) and card.officer is not None,
    ),
    Form(
        "ask",
        "Ask for what is missing",
        "Send",
        (
            Field("to", "To", Kind.CHOICE),
            Field("words", "Question", Kind.WORDS, hint="No names, please: mail can be read on the way."),
            Field("due", "Answer by", Kind.WHEN),
        ),
        lambda case, by, v: acts.Advise(case, by, v["to"], v["trust"], v["words"], asks_by=v["due"]),
        _always,
    ),
    Form(
        "advise",
        "Send advice",
        "Send",
        (
            Field("to", "To", Kind.CHOICE),
            Field("words", "Advice", Kind.WORDS),
            Field("original", "Original", Kind.TICK, hint="Send the message that opened the case along"),
        ),
        lambda case, by, v: acts.Advise(case, by, v["to"], v["trust"], v["words"], bool(v["original"])),
        _always,
    ),
    Form(
        "reply",
        "Answer in Slack",
        "Send",
        (
            Field(
                "words", "Answer", Kind.WORDS, hint="It goes to whoever asked, in their conversation with the service."
            ),
        ),
        lambda case, by, v: acts.Reply(case, by, v["words"]),
        lambda card: card.channel == "slack",
    ),
    Form(
        "note",
        "Add a note",
        "Add",
        (Field("words", "Note", Kind.WORDS, hint=_NOTE.hint),),
        lambda case, by, v: acts.Note(case, by, v["words"]),
        _always,
    ),
    Form(
        "meeting",
        "Record a meeting",
        "Record",
        (
            Field("kind", "Kind", Kind.CHOICE, _options(MeetingKind), initial="initial"),
            Field("held", "Held", Kind.WHEN),
            _NOTE,
        ),
        lambda case, by, v: acts.RecordMeeting(case, by, MeetingKind(v["kind"]), v["held"], v["note"] or ""),
        _open,
    ),
    Form(
        "action",
        "Record an action owed",
        "Record",
        (
            Field("owner", "Owed by", Kind.CHOICE, _options(Owner), initial="employer"),
            Field("words", "What is to be done", Kind.WORDS, hint=_NOTE.hint),
            Field("due", "By", Kind.WHEN),
            Field(
                "to", "Remind them by email", Kind.CHOICE, optional=True, hint="An address that takes part in the case"
            ),
        ),
        lambda case, by, v: acts.RecordAction(case, by, Owner(v["owner"]), v["due"], v["words"], v["to"] or ""),
        _open,
    ),
    Form(
        "close_action",
        "Close an action",
        "Close",
        (
            Field("action", "Action", Kind.CHOICE),
            Field(
                "done",
                "It is",
                Kind.RADIO,
                (("yes", "Done"), ("no", "No longer wanted"), ("stop", "Still owed, but send no more about it")),
                initial="yes",
            ),
        ),
        lambda case, by, v: (
            acts.StopChasing(case, by, v["action"])
            if v["done"] == "stop"
            else acts.CloseAction(case, by, v["action"], v["done"] == "yes")
        ),
        _always,
    ),
    Form(
        "strand",
        "Other bodies' inquiries",
        "Record",
        (
            Field("strand", "Whose", Kind.CHOICE, _options(StrandKind)),
            Field("state", "It is", Kind.RADIO, (("open", "Open"), ("closed", "Closed")), initial="open"),
            _NOTE,
        ),
        lambda case, by, v: acts.SetStrand(case, by, StrandKind(v["strand"]), v["state"] == "open", v["note"] or ""),
        _open,
    ),
    Form(
        "regulator",
        "A regulator was told",
        "Record",
        (Field("body", "Who", Kind.CHOICE, _options(RegulatorBody, _UPPER)), Field("told", "When", Kind.WHEN), _NOTE),
        lambda case, by, v: acts.TellRegulator(case, by, RegulatorBody(v["body"]), v["told"], v["note"] or ""),
        _always,
    ),
    Form(
        "adult",
        "Name the adult",
        "Save",
        (
            Field("name", "Who it is about", Kind.LINE, hint="As it is spoken: Tom Hale, or Mr Hale"),
            Field("role", "What they do, and where", Kind.LINE, optional=True),
        ),
        lambda case, by, v: acts.NameAdult(case, by, v["name"], v["role"] or ""),
        lambda card: not card.no_names,
    ),
    Form(
        "facts",
        "Correct the facts",
        "Save",
        (
            Field("organisation", "Where the adult works", Kind.LINE, optional=True),
            Field("sector", "Sector", Kind.LINE, optional=True),
            Field("sub_sector", "Within it", Kind.LINE, optional=True),
            Field("source", "Who brought it", Kind.CHOICE, _options(Source, {"nspcc": "NSPCC"}), optional=True),
            Field("themes", "Themes", Kind.LINE, optional=True, hint="Tags for the figures, with commas between"),
            Field(
                "employer_knew",
                "When the employer first knew",
                Kind.LINE,
                optional=True,
                hint="The day as 27/11/2026, with the time behind it where it is known: 27/11/2026 16:40",
            ),
        ),
        lambda case, by, v: acts.SetFacts(
            case,
            by,
            v["organisation"] or None,
            v["sector"] or None,
            v["sub_sector"] or None,
            Source(v["source"]) if v["source"] else None,
            tuple(v["themes"].split(",")) if v["themes"] else None,
            v["employer_knew"] or None,
        ),
        _always,
    ),
    Form(
        "correct_receipt",
        "Correct the receipt",
        "Correct",
        (Field("received", "Really received", Kind.WHEN), _REASON),
        lambda case, by, v: acts.CorrectReceipt(case, by, v["received"], v["reason"]),
        _open,
        about="Every clock that ran from the receipt is counted anew.",
    ),
    Form(
        "end_clock",
        "End a clock",
        "Record",
        (
            Field("target", "Clock", Kind.CHOICE),
            Field(
                "why",
                "It is",
                Kind.RADIO,
                (("met", "Done"), ("no_clock", "Not wanted for this case"), ("restart", "Ended wrongly: let it run")),
                initial="met",
            ),
            Field("note", "Why", Kind.WORDS, hint=_NOTE.hint),
        ),
        lambda case, by, v: acts.EndClock(case, by, v["target"], ClockEnd(v["why"]), v["note"]),
        _at_work,
    ),
    Form(
        "pause",
        "Pause",
        "Pause",
        (
            Field("why", "Waits for", Kind.CHOICE, _options(PauseReason, _UPPER)),
            Field("note", "What for", Kind.WORDS, hint=_NOTE.hint),
        ),
        lambda case, by, v: acts.PauseCase(case, by, PauseReason(v["why"]), v["note"]),
        _at_work,
    ),
    Form(
        "resume",
        "Let it go on",
        "Go on",
        (_NOTE,),
        lambda case, by, v: acts.ResumeCase(case, by, v["note"] or ""),
        lambda card: card.status is Status.PAUSED,
    ),
    Form(
        "transfer",
        "Transfer",
        "Transfer",
        (Field("authority", "To the officer of", Kind.LINE, hint="The authority's name"), _REASON),
        lambda case, by, v: acts.Transfer(case, by, v["authority"], v["reason"]),
        lambda card: _open(card) and card.status is not Status.PAUSED,
    ),
    Form(
        "escalate",
        "Escalate",
        "Escalate",
        (
            Field(
                "why",
                "Because it is",
                Kind.CHOICE,
                _options(Escalation, {"senior_person": "About a senior person", "media": "In the media"}),
            ),
            Field("note", "Why the manager is needed", Kind.WORDS, hint=_NOTE.hint),
        ),
        lambda case, by, v: acts.Escalate(case, by, Escalation(v["why"]), v["note"]),
        _open,
    ),
    Form(
        "restrict",
        "Restrict",
        "Restrict",
        (Field("to", "Who may see it beside you", Kind.PEOPLE, optional=True), _REASON),
        lambda case, by, v: acts.Restrict(case, by, tuple(colleague(by, user) for user in v["to"] or ()), v["reason"]),
        lambda card: not card.restricted,
        about="For everybody else the case will not exist in lists, search and matches. Figures count it.",
    ),
    Form(
        "unrestrict",
        "Lift the restriction",
        "Lift",
        (_REASON,),
        lambda case, by, v: acts.Restrict(case, by, (), v["reason"], lift=True),
        lambda card: card.restricted,
    ),
    Form(
        "link",
        "Link with another case",
        "Save",
        (
            Field("other", "The other case", Kind.LINE, hint="Its reference, as its card says"),
            Field("agreed", "They", Kind.RADIO, (("yes", "Belong together"), ("no", "Do not")), initial="yes"),
        ),
        lambda case, by, v: acts.LinkCases(case, by, v["other"], v["agreed"] == "yes"),
        _always,
    ),
    Form(
        "merge",
        "Merge into another case",
        "Merge",
        (Field("other", "Goes on as", Kind.LINE, hint="Its reference, as its card says"), _REASON),
        lambda case, by, v: acts.Merge(case, by, v["other"], v["reason"]),
        _undecided,
    ),
    Form(
        "split",
        "Split: another adult",
        "Split",
        (Field("reason", "Which concern goes into it", Kind.WORDS, hint=_NOTE.hint),),
        lambda case, by, v: acts.Split(case, by, v["reason"]),
        _open,
    ),
    Form(
        "conclude",
        "Conclude",
        "Conclude",
        (
            Field(
                "outcome",
                "Outcome of a referral",
                Kind.CHOICE,
                tuple((one.value, one.label) for one in CaseOutcome),
                optional=True,
            ),
            Field("employer_action", "What the employer did", Kind.CHOICE, _options(EmployerAction), optional=True),
            Field("note", "How it ended", Kind.WORDS, hint=_NOTE.hint),
            Field("strip", "Content", Kind.TICK, hint="Destroy the content at once (never of a referral)"),
        ),
        lambda case, by, v: acts.Conclude(
            case,
            by,
            CaseOutcome(v["outcome"]) if v["outcome"] else None,
            v["note"],
            bool(v["strip"]),
            EmployerAction(v["employer_action"]) if v["employer_action"] else None,
        ),
        lambda card: card.status in _AT_WORK or card.status is Status.PAUSED,
    ),
    Form(
        "not_a_consultation",
        "Not a consultation",
        "Set aside",
        (
            Field(
                "why", "It is", Kind.CHOICE, tuple(each for each in _options(SetAside) if each[0] != SetAside.MERGED)
            ),
            _NOTE,
        ),
        lambda case, by, v: acts.NotAConsultation(case, by, SetAside(v["why"]), v["note"] or ""),
        _undecided,
    ),
    Form(
        "reopen",
        "Open again",
        "Open again",
        (_REASON,),
        lambda case, by, v: acts.Reopen(case, by, v["reason"]),
        lambda card: card.status in CLOSED or card.status in _AT_WORK,
    ),
)
BY_NAME: Mapping[str, Form] = {form.name: form for form in FORMS}
SEND_FILE = Form(
    "send_file",
    "Send me a file",
    "Send it to me",
    (Field("file", "File", Kind.CHOICE),),
    lambda case, by, v: acts.SendFile(case, by, v["file"]),
    _always,
    about=f"It comes to your own conversation with the service, {NOT_SCANNED}: open it with care. It is deleted there after "
    "an hour; Slack's own backups and exports may hold it for longer. It goes on the record.",
)
"""Not in a card's menu: it is opened from View, where the files are seen."""
SUBMITTED: Mapping[str, Form] = {**BY_NAME, SEND_FILE.name: SEND_FILE}
"""Every form that comes back filled in."""
CONTENT_FREE: tuple[Form, ...] = tuple(one for form in FORMS if (one := without_content(form)) is not None)
"""What a desk without content offers: each without the fields that hold any. The rest is done at the terminal."""


def offered_at(*, show_content: bool) -> Mapping[str, Form]:
    """The forms of a desk, by name."""
    return BY_NAME if show_content else {form.name: form for form in CONTENT_FREE}
