"""The commands of retention: conclude, hold, purge what is due, and export what is held about a person."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intake_bot.command import (
    DEFAULT_DATA,
    EXIT_FAILED,
    ByOption,
    CaseArgument,
    ConfigOption,
    DataOption,
    JsonOption,
    acting,
    case_id_of,
    failed,
    moment_of,
    now_utc,
    opened_house,
    print_json,
    wrong,
)

if TYPE_CHECKING:
    from intake_bot.casework.acts import Done, Refused
    from intake_bot.house import House


def add_to(app: typer.Typer) -> None:
    """Put the commands on the program."""
    app.command()(conclude)
    app.command()(hold)
    app.command()(purge)
    app.command("access-export")(access_export)


def conclude(
    case: CaseArgument,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="How it ended, for the record.")],
    outcome: Annotated[
        str | None,
        typer.Option(
            help="For a referral: substantiated, malicious, false, unsubstantiated or unfounded. Else leave it out."
        ),
    ] = None,
    strip_names: Annotated[
        bool, typer.Option("--strip-names", help="Destroy its content at once, as of a no-names consultation.")
    ] = False,
    by: ByOption = None,
    at: Annotated[str | None, typer.Option(metavar="T", help="RFC 3339; when it ended, if not now.")] = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Conclude a decided case. What was a no-names consultation loses its content with it, for good."""
    from intake_bot.casework import conclude as concluding
    from intake_bot.casework import officer
    from intake_bot.casework.acts import Conclude
    from intake_bot.casework.vocabulary import CaseOutcome

    try:
        ended = CaseOutcome(outcome) if outcome is not None else None
    except ValueError:
        wrong(f"--outcome must be one of {', '.join(CaseOutcome)}")
    moment = moment_of(at) if at else None
    # As with decide, a time ahead of the clock means "as at".
    now = max(now_utc(), moment) if moment else now_utc()
    with opened_house(config, data) as house:
        act = Conclude(case_id_of(house, case), acting(by), ended, note, strip_names)
        problems = concluding.problems(act)
        if problems:
            wrong(" ".join(problems.values()))
        with house.database.write() as session:
            result = officer.perform(session, house.practice, act, now=now, at=moment)
        _say(house, result, now)


def hold(
    case: CaseArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")],
    lift: Annotated[bool, typer.Option("--lift", help="Lift the hold instead.")] = False,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Put a case on legal hold, so that nothing of it is destroyed; or lift the hold."""
    from intake_bot.casework import retention

    if not reason.strip():
        wrong("--reason must say why")
    now = now_utc()
    with opened_house(config, data) as house:
        case_id = case_id_of(house, case)
        act = retention.lift if lift else retention.hold
        with house.database.write() as session:
            result = act(session, house.practice, case_id, by=acting(by), reason=reason, now=now)
        _say(house, result, now)


def purge(
    cases: Annotated[list[str] | None, typer.Argument(metavar="[CASE]...", help="The references to purge.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what is due for review. Nothing is changed.")
    ] = False,
    due_by: Annotated[
        str | None, typer.Option(metavar="T", help="RFC 3339; with --dry-run: what will be due by then.")
    ] = None,
    all_due: Annotated[bool, typer.Option("--all-due", help="Purge all that is due and not on hold.")] = False,
    early: Annotated[
        bool, typer.Option("--early", help="Purge the named cases though their time has not come; --reason says why.")
    ] = False,
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="The manager who says so.")] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the record. It stays: name nobody in it.")
    ] = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Destroy, for good, the content of concluded cases whose time is over, on a manager's word; or list them."""
    if sum((bool(cases), dry_run, all_due)) != 1:
        wrong("name cases, or say --dry-run, or --all-due")
    if (due_by and not dry_run) or (early and not cases):
        wrong("--due-by goes with --dry-run, and --early with named cases")
    moment = moment_of(due_by) if due_by else None
    if not dry_run and not by:
        wrong("--by must name the manager who says so")
    if not dry_run and not (reason or "").strip():
        wrong("--reason must say why these cases are purged")
    with opened_house(config, data) as house:
        if dry_run:
            _list_due(house, moment or now_utc(), json_=json_)
        elif all_due:
            _purge_all_due(house, by, reason)
        else:
            _purge_named(house, cases or [], by, reason, early=early)


def access_export(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="First and last name, or a mail address; - reads it from standard input."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="A new folder. Default: one in the current folder.")
    ] = None,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Write all that is held about one person into a new folder, for an officer to redact. It goes on the record."""
    from intake_bot.casework import access_export as exporting

    try:
        # Standard input keeps the name out of the shell's history and the list of processes.
        person = exporting.Person(sys.stdin.read().strip() if name == "-" else name)
    except ValueError as problem:
        wrong(str(problem))
    now = now_utc()
    with opened_house(config, data) as house:
        try:
            done = exporting.export(
                house.database,
                house.practice,
                person,
                out or exporting.default_folder(now),
                by=acting(by),
                now=now,
            )
        except OSError as fault:
            failed(f"the folder cannot be made or written ({fault.strerror})")
    print(f"{done.cases} cases, {done.messages} messages naming the person: {done.folder}")
    if done.to_check:
        print(f"{done.to_check} more in which the surname alone stands: see {exporting.INDEX}")
    print("Redact before it goes out: the files name other people.")


def _say(house: House, result: Done | Refused, now: datetime) -> None:
    """Say what came of an act, when the keys that it may have ordered to be destroyed are destroyed."""
    from intake_bot.casework.acts import Refused

    if isinstance(result, Refused):
        failed(result.said)
    _carry_out(house, now)
    print(result.said)


def _list_due(house: House, now: datetime, *, json_: bool) -> None:
    from intake_bot.casework import retention
    from intake_bot.casework.views import rfc3339

    with house.database.read() as session:
        for due in retention.due_for_review(session, now=now):
            if json_:
                print_json(
                    {
                        "case": due.reference,
                        "decision": due.decision,
                        "outcome": due.outcome,
                        "concluded_at": rfc3339(due.concluded_at),
                        "review_at": rfc3339(due.review_at),
                        "hold": due.hold,
                    }
                )
            else:
                held = "  ON HOLD" if due.hold else ""
                print(
                    f"{due.reference:16} {due.outcome or due.decision or '-':20} concluded {due.concluded_at:%Y-%m-%d}  "
                    f"review {due.review_at:%Y-%m-%d}{held}"
                )
        for message_id, received_at in retention.unfiled_due(session, house.practice, now=now):
            if json_:
                print_json({"case": None, "unfiled": message_id, "received_at": rfc3339(received_at)})
            else:
                print(f"{'unfiled':16} {message_id:30} received {received_at:%Y-%m-%d}")


def _purge_all_due(house: House, by: str | None, reason: str | None) -> None:
    from intake_bot.casework import retention

    now = now_utc()
    while True:
        with house.database.write() as session:
            purged = retention.purge_due(session, house.practice, now=now, by=acting(by), reason=reason)
            unfiled = retention.purge_unfiled(session, house.practice, now=now, by=acting(by))
        _carry_out(house, now)
        for reference in purged:
            print(f"{reference} is purged.")
        if unfiled:
            print(f"{unfiled} messages of no case are purged.")
        if len(purged) < retention.BATCH and unfiled < retention.BATCH:
            return


def _purge_named(house: House, cases: list[str], by: str | None, reason: str | None, *, early: bool) -> None:
    from intake_bot.casework import retention
    from intake_bot.casework.acts import Refused

    now = now_utc()
    why = retention.Why.EARLY if early else retention.Why.REVIEW
    # A mistyped reference must not leave the list half purged.
    case_ids = [case_id_of(house, case) for case in cases]
    refused = False
    for case_id in case_ids:
        with house.database.write() as session:
            result = retention.purge(session, house.practice, case_id, by=acting(by), reason=reason, now=now, why=why)
        refused = refused or isinstance(result, Refused)
        print(result.said)
    _carry_out(house, now)
    if refused:
        raise typer.Exit(EXIT_FAILED)


def _carry_out(house: House, now: datetime) -> None:
    """Destroy the keys that were ordered to go, and note them where no backup can bring them back."""
    from intake_bot import backup_job
    from storage import shredding
    from storage.backup_file import BackupProblem

    if shredding.finish(house.database, house.keys, now=now):
        try:
            backup_job.note_destroyed(house)
        except BackupProblem as problem:
            print(f"intake-bot: {problem}", file=sys.stderr)
