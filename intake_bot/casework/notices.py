"""A notice to the duty desk as one sentence without content, the same in Slack and on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from intake_bot.casework.desk import Actor, Notice, NoticeKind
from intake_bot.casework.plan import UNCLAIMED, Recipient
from intake_bot.casework.vocabulary import TARGET_LABELS


@dataclass(frozen=True, slots=True)
class Voice:
    """How a desk says times, officers and words that come from settings; ``alarm`` begins what is urgent."""

    time: Callable[[datetime], str]
    officer: Callable[[Actor], str]
    word: Callable[[str], str] = str
    alarm: str = ""
    manager: str = "For the manager"
    """How the manager is called upon."""


def sentence(notice: Notice, voice: Voice) -> str:
    """The notice in words: one sentence, or for a digest a line for each case."""
    match notice.kind:
        case NoticeKind.DIGEST:
            return _digest(notice, voice)
        case NoticeKind.WEEK:
            return _week(notice, voice)
        case NoticeKind.REMINDER | NoticeKind.ACTION | NoticeKind.TELEPHONE:
            said = _nudge(notice, voice)
        case _:
            said = _news(notice, voice)
    if notice.on_duty:
        said += f" On duty: {', '.join(voice.officer(one) for one in notice.on_duty)}."
    return said


UNTOLD = "nobody_told"
"""The code of a channel's notice about a restricted case of which nobody can be told in a conversation of their own."""
UNREACHED = "not_reached"
"""The code where one of them could not be told after all."""


def _news(notice: Notice, voice: Voice) -> str:
    """What has happened that somebody must know of."""
    about = voice.word(notice.reference) if notice.reference else "A case"
    code = voice.word(notice.code or "no code")
    owner = _with_whom(notice, voice)
    flags = f"{voice.alarm}URGENT ({', '.join(flag.label for flag in notice.urgent)}): " if notice.urgent else ""
    match notice.kind:
        case NoticeKind.PARKED:
            what = "A message" if notice.count == 1 else f"{notice.count} messages"
            said = f"{what} could not be dealt with and waits for an officer ({code}). See: intake-bot parked"
        case NoticeKind.UNFILED:
            what = "A machine's message was" if notice.count == 1 else f"{notice.count} machines' messages were"
            said = f"{what} kept without a case ({code}). See: intake-bot messages"
        case NoticeKind.DELIVERY_FAILED | NoticeKind.DELIVERY_DELAYED | NoticeKind.NOT_ERASED:
            said = _not_done(notice, voice)
        case NoticeKind.FOLDED:
            said = (
                f"{notice.count} more from one sender, beyond the usual: made cases without cards of their own. "
                "See: intake-bot cases"
            )
        case NoticeKind.JOINED:
            what = "another version of a message" if notice.code == "version" else "another message"
            closed = " The case is closed: see whether it must be taken up again."
            said = f"{flags}{about}: {what} has come. {owner}{closed if notice.code == 'concluded' else ''}"
        case NoticeKind.ESCALATED:
            said = f"{about} was escalated to a senior manager ({code})."
        case NoticeKind.RESTRICTED:
            said = f"{about} is restricted, and there is something about it: those named on it have been told."
            if notice.code is not None:  # none of them is in Slack, or one could not be told there
                untold = (
                    "One of those named on it could not be told" if notice.code == UNREACHED else "Nobody has been told"
                )
                said = (
                    f"{about} is restricted, and there is something about it. {untold} what: whoever is "
                    f"named on it must open it at the terminal: intake-bot show {about}"
                )
        case NoticeKind.MORE_URGENT:
            said = f"{flags}{about}: read in full, it is graver than the rules alone saw. {owner}"
        case NoticeKind.STUCK:
            said = f"{voice.alarm}Stuck for a quarter of an hour: {code}. See: intake-bot status, intake-bot doctor"
        case NoticeKind.CAPPED:
            said = (
                f"{about}: not acknowledged, since its address has had its fill of automatic answers. "
                "A machine, or somebody to telephone."
            )
    return said


def _not_done(notice: Notice, voice: Voice) -> str:
    """What did not reach whom it was for, or did not go from where it was to go."""
    code = voice.word(notice.code or "no code")
    match notice.kind:
        case NoticeKind.DELIVERY_FAILED:
            about = voice.word(notice.reference) if notice.reference else "A letter"
            return f"{about}: our letter could not be delivered ({code}). Telephone them."
        case NoticeKind.NOT_ERASED:
            about = voice.word(notice.reference) if notice.reference else "A case"
            return f"{about}: what stands in Slack about it could not be deleted there ({code}). Delete it by hand."
        case _:
            return f"Letters have not left for an hour ({code}) and are tried again. See: intake-bot doctor"


def _with_whom(notice: Notice, voice: Voice) -> str:
    return f"It is with {voice.officer(notice.owner)}." if notice.owner else "Nobody has claimed it."


def _nudge(notice: Notice, voice: Voice) -> str:
    """What is due or was."""
    about = voice.word(notice.reference) if notice.reference else "A case"
    owner, code = _with_whom(notice, voice), voice.word(notice.code or "no code")
    late = _LATE if notice.late else ""
    match notice.kind:
        case NoticeKind.ACTION:
            verb = "was due" if notice.moment == "after" else "is due"
            when = voice.time(notice.due_at) if notice.due_at else "today"
            return f"{about}: an action (owed by: {code}) {verb} {when}. {owner}{late}"
        case NoticeKind.TELEPHONE:
            return f"{about}: what somebody owes has not come ({code}). Telephone them. {owner}{late}"
        case _:
            return _reminder(notice, voice, about, owner)


def _reminder(notice: Notice, voice: Voice, about: str, owner: str) -> str:
    target = voice.word(target_label(notice.target or "target"))
    verb = {"before": "is due", "at": "is due now:", "after": "was due"}.get(notice.moment or "", "is due")
    when = voice.time(notice.due_at) if notice.due_at else "soon"
    late = _LATE if notice.late else ""
    about = f"{voice.manager}: {about}" if notice.to == Recipient.MANAGER else about
    if notice.moment == UNCLAIMED:
        return f"{about} has waited and nobody has claimed it: {target} is due {when}.{late}"
    return f"{about}: {target} {verb} {when}. {owner}{late}"


def _digest(notice: Notice, voice: Voice) -> str:
    names = {
        "new": "new since the office closed",
        "unclaimed": "unclaimed",
        "due_today": "due today",
        "overdue": "overdue",
        "waiting": "waiting for others",
        "parked": "parked",
        "unfiled": "kept without a case",
    }
    figures = ", ".join(f"{number} {names.get(name, name)}" for name, number in notice.figures)
    late = " (This comes late.)" if notice.late else ""
    lines = [f"This morning: {figures}.{late}"]
    lines += [
        f"{voice.word(one.reference)}: {voice.word(target_label(one.target))}, {voice.time(one.due_at)}"
        for one in notice.listed
    ]
    return "\n".join(lines)


def _week(notice: Notice, voice: Voice) -> str:
    """The week before, in numbers alone."""
    figures = Counter(dict(notice.figures))
    since = voice.time(notice.due_at) if notice.due_at else "last week"
    late = " (This comes late.)" if notice.late else ""
    lines = [
        f"{voice.manager}: the week from {since}: {figures['received']} received, {figures['decided']} decided, "
        f"{figures['concluded']} concluded; open now {figures['open']}, of these overdue {figures['overdue']}.{late}"
    ]
    for name, met in notice.figures:
        if name.startswith("met:"):
            target = name.removeprefix("met:")
            total = met + figures[f"missed:{target}"]
            lines.append(f"{voice.word(target_label(target))}: {met} of {total} in time")
    return "\n".join(lines)


_LATE = " (This reminder comes late.)"


def target_label(target: str) -> str:
    """A target in the field's words; one that an authority adds reads as its own name."""
    return TARGET_LABELS.get(target) or target.replace("_", " ").capitalize()
