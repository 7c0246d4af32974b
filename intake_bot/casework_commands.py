"""The commands of an officer's day: each performs the act that a press in Slack performs, by the same function."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from intake_bot.command import (
    DEFAULT_DATA,
    ByOption,
    CaseArgument,
    ConfigOption,
    DataOption,
    acting,
    case_id_of,
    failed,
    moment_of,
    now_utc,
    opened_house,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intake_bot.casework.acts import Act
    from intake_bot.casework.desk import Actor

_NoteOption = Annotated[str, typer.Option("--note", metavar="TEXT", help="In words, for the record.")]
_ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")]
_OtherArgument = Annotated[str, typer.Argument(metavar="OTHER", help="The other case's reference.")]
_Word = TypeVar("_Word", bound=StrEnum)


def add_to(app: typer.Typer) -> None:
    """Put the commands on the program."""
    for name, command in (
        ("hand-over", hand_over),
        ("accept", accept),
        ("sign-off", sign_off),
        ("note", note),
        ("meeting", meeting),
        ("action", action),
        ("strand", strand),
        ("regulator", regulator),
        ("facts", facts),
        ("adult", adult),
        ("correct-receipt", correct_receipt),
        ("end-clock", end_clock),
        ("pause", pause),
        ("resume", resume),
        ("transfer", transfer),
        ("escalate", escalate),
        ("restrict", restrict),
        ("link", link),
        ("split", split),
        ("merge", merge),
        ("reopen", reopen),
        ("not-a-consultation", not_a_consultation),
    ):
        app.command(name)(command)


def hand_over(
    case: CaseArgument,
    to: Annotated[str, typer.Option("--to", metavar="OFFICER", help="slack:TEAM/USER, or a name at the terminal.")],
    note: _NoteOption = "",
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Hand a case over to another officer."""
    from intake_bot.casework.acts import HandOver

    _do(config, data, case, by, lambda case_id, actor: HandOver(case_id, actor, _person(to), note))


def accept(
    case: CaseArgument,
    version: Annotated[str, typer.Option("--version", metavar="V", help="The suggestion's version, as show says it.")],
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Decide as triage suggests."""
    from intake_bot.casework.acts import Accept

    _do(config, data, case, by, lambda case_id, actor: Accept(case_id, actor, version))


def sign_off(
    case: CaseArgument,
    refuse: Annotated[
        bool, typer.Option("--refuse", help="Open the decision again, for the reason in --note.")
    ] = False,
    note: _NoteOption = "",
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Agree, as a second officer, to a decision below the threshold; or refuse."""
    from intake_bot.casework.acts import GiveSignOff

    _do(config, data, case, by, lambda case_id, actor: GiveSignOff(case_id, actor, not refuse, note))


def note(
    case: CaseArgument,
    text: Annotated[str, typer.Option("--text", metavar="TEXT", help="The note.")],
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Put a note on a case."""
    from intake_bot.casework.acts import Note

    _do(config, data, case, by, lambda case_id, actor: Note(case_id, actor, text))


def meeting(
    case: CaseArgument,
    held: Annotated[str, typer.Option("--held", metavar="T", help="RFC 3339; when it was held.")],
    kind: Annotated[str, typer.Option("--kind", help="initial, reconvened, strategy or other.")] = "initial",
    note: _NoteOption = "",
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Record a meeting that was held."""
    from intake_bot.casework.acts import RecordMeeting
    from intake_bot.casework.vocabulary import MeetingKind

    which, when = _word(MeetingKind, kind, "--kind"), moment_of(held)
    _do(config, data, case, by, lambda case_id, actor: RecordMeeting(case_id, actor, which, when, note))


def action(
    case: CaseArgument,
    text: Annotated[str, typer.Option("--text", metavar="TEXT", help="What is to be done.")] = "",
    owner: Annotated[
        str, typer.Option(help="Who owes it: referrer, employer, police, social_care, regulator, officer or other.")
    ] = "employer",
    due: Annotated[str | None, typer.Option("--due", metavar="T", help="RFC 3339; default: in seven days.")] = None,
    chase: Annotated[
        str, typer.Option("--chase", metavar="ADDRESS", help="Remind them here by email: an address of the case.")
    ] = "",
    done: Annotated[str | None, typer.Option("--done", metavar="ID", help="The action of this id is done.")] = None,
    cancel: Annotated[str | None, typer.Option("--cancel", metavar="ID", help="It is no longer wanted.")] = None,
    stop: Annotated[
        str | None, typer.Option("--stop-chasing", metavar="ID", help="It is owed still; send no more about it.")
    ] = None,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Record what somebody owes by a day, or close it."""
    from intake_bot.casework.acts import CloseAction, RecordAction, StopChasing
    from intake_bot.casework.vocabulary import Owner

    closing = done or cancel
    if closing is not None:
        is_done = done is not None
        _do(config, data, case, by, lambda case_id, actor: CloseAction(case_id, actor, closing.upper(), is_done))
        return
    if stop is not None:
        which = stop.upper()
        _do(config, data, case, by, lambda case_id, actor: StopChasing(case_id, actor, which))
        return
    whose = _word(Owner, owner, "--owner")
    when = moment_of(due) if due else now_utc() + timedelta(days=7)
    _do(config, data, case, by, lambda case_id, actor: RecordAction(case_id, actor, whose, when, text, chase))


def strand(
    case: CaseArgument,
    which: Annotated[str, typer.Argument(metavar="STRAND", help="police, social_care or employer.")],
    close: Annotated[bool, typer.Option("--close", help="It has ended.")] = False,
    note: _NoteOption = "",
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Open or close another body's inquiry beside ours."""
    from intake_bot.casework.acts import SetStrand
    from intake_bot.casework.vocabulary import StrandKind

    kind = _word(StrandKind, which, "STRAND")
    _do(config, data, case, by, lambda case_id, actor: SetStrand(case_id, actor, kind, not close, note))


def regulator(
    case: CaseArgument,
    body: Annotated[
        str, typer.Argument(metavar="BODY", help="dbs, tra, ofsted, sport, professional, charity_commission or other.")
    ],
    told: Annotated[str | None, typer.Option("--told", metavar="T", help="RFC 3339; when, if not now.")] = None,
    note: _NoteOption = "",
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Record that a regulator was told."""
    from intake_bot.casework.acts import TellRegulator
    from intake_bot.casework.vocabulary import RegulatorBody

    which, when = _word(RegulatorBody, body, "BODY"), moment_of(told) if told else now_utc()
    _do(config, data, case, by, lambda case_id, actor: TellRegulator(case_id, actor, which, when, note))


def adult(
    case: CaseArgument,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="As it is spoken: Tom Hale, or Mr Hale.")],
    role: Annotated[str, typer.Option("--role", metavar="TEXT", help="What they do, and where.")] = "",
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Say who a case is about, sealed, so that earlier contacts are found."""
    from intake_bot.casework.acts import NameAdult

    _do(config, data, case, by, lambda case_id, actor: NameAdult(case_id, actor, name, role))


def facts(
    case: CaseArgument,
    organisation: Annotated[str | None, typer.Option(help="Where the adult works.")] = None,
    sector: Annotated[str | None, typer.Option(help="The sector, as the figures name it.")] = None,
    sub_sector: Annotated[str | None, typer.Option(help="And within it.")] = None,
    source: Annotated[str | None, typer.Option(help="Who brought it: employer, police, parent_or_carer, ...")] = None,
    themes: Annotated[str | None, typer.Option(help="Tags for the figures, with commas between.")] = None,
    employer_knew: Annotated[
        str | None,
        typer.Option(
            metavar="D", help="When the employer first knew: 2026-11-27, or 2026-11-27 16:40; empty: not known."
        ),
    ] = None,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Correct the coded facts that lists and figures use."""
    from intake_bot.casework.acts import SetFacts
    from intake_bot.casework.vocabulary import Source

    whose = _word(Source, source, "--source") if source is not None else None
    tags = tuple(themes.split(",")) if themes is not None else None
    _do(
        config,
        data,
        case,
        by,
        lambda case_id, actor: SetFacts(case_id, actor, organisation, sector, sub_sector, whose, tags, employer_knew),
    )


def correct_receipt(
    case: CaseArgument,
    received: Annotated[str, typer.Option("--received", metavar="T", help="RFC 3339; when it really came.")],
    reason: _ReasonOption,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Correct when a consultation came in: its clocks are counted anew."""
    from intake_bot.casework.acts import CorrectReceipt

    when = moment_of(received)
    _do(config, data, case, by, lambda case_id, actor: CorrectReceipt(case_id, actor, when, reason))


def end_clock(
    case: CaseArgument,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The clock, as explain names it.")],
    why: Annotated[str, typer.Option("--why", help="met, no_clock (it does not fit the case) or restart.")],
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for the record.")],
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """End one clock of a case by hand, or let it run again."""
    from intake_bot.casework.acts import EndClock
    from intake_bot.casework.vocabulary import ClockEnd

    word = _word(ClockEnd, why, "--why")
    _do(config, data, case, by, lambda case_id, actor: EndClock(case_id, actor, target, word, note))


def pause(
    case: CaseArgument,
    why: Annotated[str, typer.Option("--why", help="police, cps, court, social_care or other.")],
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What the case waits for.")],
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Let a case's long clocks stand still while it waits for somebody else."""
    from intake_bot.casework.acts import PauseCase
    from intake_bot.casework.vocabulary import PauseReason

    reason = _word(PauseReason, why, "--why")
    _do(config, data, case, by, lambda case_id, actor: PauseCase(case_id, actor, reason, note))


def resume(
    case: CaseArgument,
    note: _NoteOption = "",
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Let a paused case go on: its clocks are due later by as long as they stood."""
    from intake_bot.casework.acts import ResumeCase

    _do(config, data, case, by, lambda case_id, actor: ResumeCase(case_id, actor, note))


def transfer(
    case: CaseArgument,
    to: Annotated[str, typer.Option("--to", metavar="AUTHORITY", help="The authority's name.")],
    reason: _ReasonOption,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Transfer a case to another authority's officer."""
    from intake_bot.casework.acts import Transfer

    _do(config, data, case, by, lambda case_id, actor: Transfer(case_id, actor, to, reason))


def escalate(
    case: CaseArgument,
    why: Annotated[str, typer.Option("--why", help="complex, media, senior_person or other.")],
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why the manager is needed.")],
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Escalate a case to a senior manager."""
    from intake_bot.casework.acts import Escalate
    from intake_bot.casework.vocabulary import Escalation

    reason = _word(Escalation, why, "--why")
    _do(config, data, case, by, lambda case_id, actor: Escalate(case_id, actor, reason, note))


def restrict(
    case: CaseArgument,
    reason: _ReasonOption,
    to: Annotated[
        str, typer.Option("--to", metavar="OFFICERS", help="Who may see it beside you, with commas between.")
    ] = "",
    lift: Annotated[bool, typer.Option("--lift", help="Open it to all officers again.")] = False,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Hide a case from all but those named: for the others it does not exist. Figures count it."""
    from intake_bot.casework.acts import Restrict

    people = tuple(_person(name) for name in to.split(",") if name.strip())
    _do(config, data, case, by, lambda case_id, actor: Restrict(case_id, actor, people, reason, lift))


def link(
    case: CaseArgument,
    other: _OtherArgument,
    reject: Annotated[bool, typer.Option("--reject", help="They do not belong together.")] = False,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Say that two cases belong together, or that a proposed link is none."""
    from intake_bot.casework.acts import LinkCases

    _do_with(config, data, case, other, by, lambda one, two, actor: LinkCases(one, actor, two, not reject))


def split(
    case: CaseArgument,
    reason: _ReasonOption,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Make a second case of the same contact, for another adult."""
    from intake_bot.casework.acts import Split

    _do(config, data, case, by, lambda case_id, actor: Split(case_id, actor, reason))


def merge(
    case: CaseArgument,
    other: _OtherArgument,
    reason: _ReasonOption,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Deal with a case under another one's reference."""
    from intake_bot.casework.acts import Merge

    _do_with(config, data, case, other, by, lambda one, two, actor: Merge(one, actor, two, reason))


def reopen(
    case: CaseArgument,
    reason: _ReasonOption,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Open again what was concluded, set aside or decided."""
    from intake_bot.casework.acts import Reopen

    _do(config, data, case, by, lambda case_id, actor: Reopen(case_id, actor, reason))


def not_a_consultation(
    case: CaseArgument,
    why: Annotated[
        str, typer.Option("--why", help="misdirected, unsolicited, information_only, test, duplicate or other.")
    ],
    note: _NoteOption = "",
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Set aside what is no consultation: it leaves the clocks and is counted apart. reopen undoes it."""
    from intake_bot.casework.acts import NotAConsultation
    from intake_bot.casework.vocabulary import SetAside

    reason = _word(SetAside, why, "--why")
    _do(config, data, case, by, lambda case_id, actor: NotAConsultation(case_id, actor, reason, note))


def _do(config: Path | None, data: Path, case: str, by: str | None, make: Callable[[str, Actor], Act]) -> None:
    from intake_bot.casework import officer

    actor = acting(by)
    with opened_house(config, data) as house:
        act = make(case_id_of(house, case), actor)
        with house.database.write() as session:
            result = officer.perform(session, house.practice, act, now=now_utc())
    if isinstance(result, officer.Refused):
        failed(result.said)
    print(result.said)


def _do_with(
    config: Path | None, data: Path, case: str, other: str, by: str | None, make: Callable[[str, str, Actor], Act]
) -> None:
    with opened_house(config, data) as house:
        other_id = case_id_of(house, other)
    _do(config, data, case, by, lambda case_id, actor: make(case_id, other_id, actor))


def _person(text: str) -> Actor:
    from intake_bot.casework.desk import Actor

    return Actor.parse(text.strip()) if ":" in text else acting(text.strip())


def _word(kind: type[_Word], text: str, option: str) -> _Word:
    try:
        return kind(text.strip().lower().replace("-", "_"))
    except ValueError:
        wrong(f"{option} must be one of {', '.join(kind)}")
