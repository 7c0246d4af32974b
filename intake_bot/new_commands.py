"""The command by which an officer logs what was told on the telephone or in person."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from intake_bot.command import (
    DEFAULT_DATA,
    ByOption,
    ConfigOption,
    DataOption,
    JsonOption,
    acting,
    failed,
    moment_of,
    now_utc,
    opened_house,
    print_json,
    wrong,
)

if TYPE_CHECKING:
    from intake_bot.casework.consultation import Consultation
    from intake_bot.house import House
    from triage.suggestion import Suggestion


def add_to(app: typer.Typer) -> None:
    """Put the command on the program."""
    app.command("new")(new)


def new(
    what: Annotated[
        str, typer.Option("--what", metavar="TEXT", help="What happened, in the words of whoever told it.")
    ],
    reporter: Annotated[str, typer.Option(help="Who told it.")] = "",
    role: Annotated[str, typer.Option(help="Their role.")] = "",
    organisation: Annotated[str, typer.Option(help="Their school, club or agency.")] = "",
    telephone: Annotated[str, typer.Option(help="Where to reach them.")] = "",
    email: Annotated[str, typer.Option(help="Where to acknowledge by email, if anywhere.")] = "",
    adult: Annotated[str, typer.Option(help="The adult concerned.")] = "",
    adult_role: Annotated[str, typer.Option(help="The adult's role.")] = "",
    workplace: Annotated[str, typer.Option(help="Where the adult works or volunteers.")] = "",
    when: Annotated[str, typer.Option(help="When it happened.")] = "",
    child: Annotated[str, typer.Option(help="Each child's name or age.")] = "",
    first_knew: Annotated[
        str, typer.Option(metavar="D", help="When the employer first knew: 2026-11-27, or 2026-11-27 16:40.")
    ] = "",
    done: Annotated[str, typer.Option(help="What has been done so far.")] = "",
    danger: Annotated[bool, typer.Option("--danger", help="A child is in immediate danger.")] = False,
    no_names: Annotated[bool, typer.Option("--no-names", help="A no-names consultation.")] = False,
    received: Annotated[
        str | None, typer.Option("--received", metavar="T", help="RFC 3339; when it was told, if not now.")
    ] = None,
    by: ByOption = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Log a consultation by telephone or in person. It becomes a case as an email does."""
    from intake_bot.casework.consultation import Consultation, problems
    from intake_bot.casework.receive import PHONE

    told = Consultation(
        channel=PHONE,
        what_happened=what,
        reporter=reporter,
        role=role,
        organisation=organisation,
        telephone=telephone,
        email=email,
        adult=adult,
        adult_role=adult_role,
        workplace=workplace,
        when=when,
        child=child,
        done_so_far=done,
        first_knew=first_knew,
        in_danger=danger,
        no_names=no_names,
    )
    if not what.strip():
        wrong(problems(told)["what_happened"])
    moment = moment_of(received) if received else now_utc()
    if moment > now_utc():
        wrong("--received lies ahead")
    with opened_house(config, data) as house:
        reference = _file(house, told, moment, by=by)
    if json_:
        print_json({"case": reference})
    else:
        print(reference)


def _file(house: House, told: Consultation, received: datetime, *, by: str | None) -> str:
    """Keep it, then file it at once; where the running service is faster, it has done so."""
    from intake_bot.casework import receive, views
    from intake_bot.intake import incoming_told
    from storage import audit, spool
    from storage.spool import Channel, Offer
    from storage.tables import Case, Spooled

    vault = house.practice.vault
    (identity,) = spool.accept(house.database, vault, [Offer(Channel.FORM, told.pack(), {}, received)])
    assert identity is not None  # noqa: S101 (without a key nothing is known already)
    suggestion = _suggestion(house, told)
    now = now_utc()
    with house.database.write() as session:
        arrival = spool.get(session, vault, identity)
        if arrival is not None:
            filed = receive.file(session, house.practice, incoming_told(told, arrival), suggestion, now=now)
            if filed is not None and filed.case_id is not None:
                detail = {"message": filed.message_id}
                audit.record(session, filed.case_id, at=now, actor=str(acting(by)), act="logged", detail=detail)
                case = session.get_one(Case, filed.case_id)
                return case.reference
    with house.database.read() as session:
        row = session.get(Spooled, identity)
        found = views.find(session, row.case_id) if row is not None and row.case_id else None
    if found is None:
        failed("it is kept, and the running service files it: see intake-bot cases")
    return found.reference


def _suggestion(house: House, told: Consultation) -> Suggestion | None:
    if not house.settings.triage.enabled:
        return None
    from triage import engine

    return engine.load().suggest(told.text(), subject="", sender=told.email or None)
