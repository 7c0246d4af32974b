"""The command of advice: to whom, what is known of them, the words, a word of confirmation, and on its way."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intake_bot.command import (
    DEFAULT_DATA,
    ByOption,
    CaseArgument,
    ConfigOption,
    DataOption,
    JsonOption,
    acting,
    failed,
    found_case,
    moment_of,
    now_utc,
    opened_house,
    print_json,
    wrong,
)

if TYPE_CHECKING:
    from sqlmodel import Session

    from intake_bot.casework.advise import Recipient
    from intake_bot.house import House
    from storage.tables import Case

TRUST = {
    "pass": "pass: the mail from this address proved to be from its domain",
    "none": "none: nothing proves who writes from this address",
    "fail": "FAIL: mail from this address did not come from its domain",
}
STANDING = {
    "wrote": "has written on this case",
    "answers": "is where answers are asked to go; nobody has written from it",
    "officer": "was added by an officer",
    "new": "is new to this case: what it writes from now on joins the case",
}


def add_to(app: typer.Typer) -> None:
    """Put the commands on the program."""
    app.command()(advise)
    app.command()(ask)


def advise(
    case: CaseArgument,
    to: Annotated[
        str | None, typer.Option("--to", metavar="ADDRESS", help="To whom; default: where the referrer wants answers.")
    ] = None,
    text: Annotated[str | None, typer.Option("--text", metavar="TEXT", help="The advice.")] = None,
    file: Annotated[
        str,
        typer.Option("--file", metavar="FILE", help="The advice in a file, UTF-8; - is standard input, the default."),
    ] = "-",
    with_original: Annotated[
        bool, typer.Option("--with-original", help="Send the message that opened the case along.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask. Not enough where mail from the address failed authentication.")
    ] = False,
    confirm: Annotated[
        str | None, typer.Option("--confirm", metavar="ADDRESS", help="Confirm this address, whatever is known of it.")
    ] = None,
    by: ByOption = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Write advice on a case by email, to an address that you see and confirm. The reply comes back to the case."""
    asked = _Letter(to, _words(text, file), with_original, yes, confirm, can_ask=text is not None or file != "-")
    _write(case, asked, by=by, json_=json_, config=config, data=data)


def ask(
    case: CaseArgument,
    to: Annotated[
        str | None, typer.Option("--to", metavar="ADDRESS", help="Whom; default: where the referrer wants answers.")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="The question; default: what triage found missing.")
    ] = None,
    due: Annotated[
        str | None, typer.Option("--due", metavar="T", help="RFC 3339; answer by. Default: two working days.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask. Not enough where mail from the address failed authentication.")
    ] = False,
    confirm: Annotated[
        str | None, typer.Option("--confirm", metavar="ADDRESS", help="Confirm this address, whatever is known of it.")
    ] = None,
    by: ByOption = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Ask by email for what is missing. Who is asked owes an answer by the time given, and is reminded of it."""
    asked = _Letter(to, text, False, yes, confirm, can_ask=True, asks_by=moment_of(due) if due else now_utc())
    _write(case, asked, by=by, json_=json_, config=config, data=data, default_due=due is None)


@dataclass(frozen=True)
class _Letter:
    """What was asked for on the command line. ``words`` is None where the usual ones are wanted."""

    to: str | None
    words: str | None
    with_original: bool
    yes: bool
    confirm: str | None
    can_ask: bool
    asks_by: datetime | None = None


def _usual_words(house: House, session: Session, row: Case, asks_by: datetime) -> str:
    from intake_bot.casework import asking, views
    from triage.vocabulary import MissingDatum

    suggestion, _ = views.suggestions(session, row.id)
    missing = [MissingDatum(value) for value in suggestion.missing] if suggestion else []
    return asking.words(missing, no_names=row.no_names, by=asks_by, zone=house.settings.office.zone)


def _write(
    case: str,
    letter: _Letter,
    *,
    by: str | None,
    json_: bool,
    config: Path | None,
    data: Path,
    default_due: bool = False,
) -> None:
    from intake_bot.casework import advise as advising
    from intake_bot.casework import asking, officer, views
    from intake_bot.casework.acts import Advise

    actor = acting(by)
    with opened_house(config, data) as house:
        asks_by = asking.answer_by(house.practice.calendar, now_utc()) if default_due else letter.asks_by
        with found_case(house, case) as (session, row):
            refused = advising.refusal(row, actor)
            if refused:
                failed(refused)
            # To see who takes part is to see content.
            views.record_access(session, row, actor, "advise", now=now_utc())
            known = advising.recipients(session, house.practice, row)
            chosen = (
                advising.recipient(session, house.practice, row, letter.to)
                if letter.to is not None
                else next((one for one in known if one.is_referrer), None)
            )
            case_id, reference = row.id, row.reference
            words = letter.words
            if words is None and asks_by is not None:
                words = _usual_words(house, session, row, asks_by)
        if chosen is None:
            failed(f"{reference} has no address to answer: name one with --to")
        act = Advise(
            case_id,
            actor,
            chosen.address,
            chosen.trust,
            words or "",
            letter.with_original,
            despite_fail=letter.confirm is not None,
            asks_by=asks_by,
        )
        problems = advising.problems(act)
        if problems:
            wrong(" ".join(problems.values()))
        _show(house, reference, chosen, known, with_original=letter.with_original)
        if letter.words is None:
            print(words, file=sys.stderr)
        _confirmed(chosen, yes=letter.yes, confirm=letter.confirm, can_ask=letter.can_ask)
        now = now_utc()
        with house.database.write() as session:
            result = officer.perform(session, house.practice, act, now=now)
        if isinstance(result, officer.Refused):
            failed(result.said)
    if json_:
        print_json(
            {
                "case": reference,
                "to": chosen.address,
                "sender_trust": chosen.trust,
                "standing": chosen.standing,
                "sent": result.changed,
            }
        )
    else:
        print(result.said)


def _words(text: str | None, file: str) -> str:
    if text is not None:
        if file != "-":
            wrong("--text or --file, not both")
        return text
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as fault:
        failed(f"{file}: {fault.strerror}")
    except UnicodeDecodeError:
        failed("the advice is not UTF-8")


def _show(house: House, reference: str, chosen: Recipient, known: list[Recipient], *, with_original: bool) -> None:
    """On standard error: standard output is for what came of it."""
    letters = house.settings.letters
    lines = [
        f"Advice on {reference}",
        f"  to         {_printable(chosen.address)}" + (f" ({_printable(chosen.name)})" if chosen.name else ""),
        f"  who        {STANDING[chosen.standing]}",
        f"  trust      {TRUST[chosen.trust]}",
        f"  marking    {letters.marking or 'none'}",
        f"  original   {'GOES ALONG' if with_original else 'stays here'}",
    ]
    lines += [
        f"  not to     {_printable(one.address)}, who {STANDING[one.standing]} (trust: {one.trust})"
        for one in known
        if one.address != chosen.address
    ]
    if not house.settings.mail.relay.host:
        lines.append(f"  no relay is set: it will lie in {house.outgoing_dir}")
    print("\n".join(lines), file=sys.stderr)


def _confirmed(chosen: Recipient, *, yes: bool, confirm: str | None, can_ask: bool) -> None:
    """Return where the officer has confirmed; end the command where not."""
    if confirm is not None:
        if confirm.strip().lower() != chosen.address.lower():
            failed("--confirm names another address: nothing is sent")
        return
    if chosen.trust == "fail":
        failed("mail from this address failed authentication: telephone, or name the address with --confirm")
    if yes:
        return
    if not can_ask:
        wrong("the advice comes on standard input, where no answer can: confirm with --yes or --confirm ADDRESS")
    print("Send it? Type yes: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        failed("nothing is sent")


def _printable(text: str) -> str:
    """What strangers wrote must not act on the terminal that shows it."""
    return "".join(letter for letter in text if letter.isprintable())
