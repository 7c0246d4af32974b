"""``senders import`` and ``senders list``: the directory of known senders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from intake_bot.command import (
    DEFAULT_DATA,
    ConfigOption,
    DataOption,
    JsonOption,
    acting,
    failed,
    now_utc,
    opened_house,
    print_json,
)

MAX_NAMED = 50
"""Bad rows named one by one; of more, how many."""


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    senders_app = typer.Typer(no_args_is_help=True, help="The directory of known senders.")
    senders_app.command("import")(import_)
    senders_app.command("list")(list_)
    app.add_typer(senders_app, name="senders")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV list, or the national register of schools.")],
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Put a list in place of the one of its kind that was imported before. A row that cannot be used stops nothing."""
    from intake_bot import sender_lists
    from storage import audit, known_senders

    now = now_utc()
    with opened_house(config, data) as house:
        try:
            found = sender_lists.read(file, shared=house.settings.mail.shared_domains, now=now)
        except OSError as fault:
            failed(f"{file}: {fault.strerror}")
        except sender_lists.NotAList as problem:
            failed(f"{file}: {problem}")
        with house.database.write() as session:
            known_senders.replace(session, found.source, found.rows)
            audit.record(
                session,
                audit.SERVICE_CHAIN,
                at=now,
                actor=str(acting(None)),
                act="senders_imported",
                code=found.source,
                detail={"rows": len(found.rows), "bad": len(found.bad)},
            )
    for line, says in found.bad[:MAX_NAMED]:
        print(f"line {line} {says}", file=sys.stderr)
    if len(found.bad) > MAX_NAMED:
        print(f"and {len(found.bad) - MAX_NAMED} more lines that cannot be used", file=sys.stderr)
    print(f"{len(found.rows)} senders are known from this {found.source}; {found.passed_over} rows tell no domain")


def list_(json_: JsonOption = False, config: ConfigOption = None, data: DataOption = DEFAULT_DATA) -> None:
    """Every known sender, by domain."""
    from storage import known_senders

    with opened_house(config, data) as house, house.database.read() as session:
        for row in known_senders.every(session):
            if json_:
                print_json(
                    {
                        "domain": row.domain,
                        "organisation": row.organisation,
                        "type": row.kind,
                        "trust": row.trust,
                        "sector": row.sector,
                        "authority": row.authority,
                        "other_authority": row.elsewhere,
                        "source": row.source,
                        "imported_at": row.imported_at.isoformat(),
                    }
                )
            else:
                print(f"{row.domain:40} {row.organisation} ({row.sector or 'sector not known'})")
