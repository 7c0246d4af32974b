"""``keys rotate`` and ``keys recovery``."""

from __future__ import annotations

import sys

import typer

from intake_bot.command import DEFAULT_DATA, ConfigOption, DataOption, acting, failed, now_utc, opened_house


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    keys_app = typer.Typer(no_args_is_help=True, help="The master key and the keys that it wraps.")
    keys_app.command()(rotate)
    keys_app.command()(recovery)
    app.add_typer(keys_app, name="keys")


def rotate(config: ConfigOption = None, data: DataOption = DEFAULT_DATA) -> None:
    """Wrap every key with a new master key, while the service runs. Stopped in the middle, run it again: it goes on."""
    from storage import audit
    from storage.keys import KeyProblem

    with opened_house(config, data) as house:
        try:
            for left in house.keys.rotate():
                print(f"{left} keys to go ...", file=sys.stderr)
        except KeyProblem as problem:
            failed(str(problem))
        with house.database.write() as session:
            audit.record(session, audit.SERVICE_CHAIN, at=now_utc(), actor=str(acting(None)), act="keys_rotated")
        for key_id in house.keys.damaged:
            print(f"key {key_id} was damaged: it stays as it is, and opens nothing; see `verify`", file=sys.stderr)
        if house.keys.damaged:
            failed("all other keys are wrapped with the new master key; the old one is kept for these")
    print("every key is wrapped with the new master key; take a backup, so that its copy of the key store is too")


def recovery(config: ConfigOption = None, data: DataOption = DEFAULT_DATA) -> None:
    """Print the recovery key, once: with it and a backup a lost machine can be restored. Keep it on paper, in a safe."""
    from storage import audit
    from storage.keys import KeyProblem

    with opened_house(config, data) as house:

        def give(key: str) -> None:
            with house.database.write() as session:
                audit.record(
                    session, audit.SERVICE_CHAIN, at=now_utc(), actor=str(acting(None)), act="recovery_key_given"
                )
            print(key, flush=True)

        try:
            house.keys.make_recovery_key(give)
        except KeyProblem as problem:
            failed(str(problem))
        except OSError as fault:
            failed(f"the recovery key could not be printed and was not made ({fault.strerror}): try again")
    print("This is shown once and kept nowhere here. docs/keys.md says where to put it.", file=sys.stderr)
