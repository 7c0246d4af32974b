"""The commands ``backup`` and ``restore``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intake_bot.command import (
    DEFAULT_DATA,
    EXIT_FAILED,
    ConfigOption,
    DataOption,
    acting,
    failed,
    load_settings,
    now_utc,
    opened_house,
    wrong,
)

if TYPE_CHECKING:
    from intake_bot.settings import Settings
    from storage.backup import Restored
    from storage.engine import Database
    from storage.keys import MasterSource
    from storage.keystore import KeyStore

KEYS_SUFFIX = ".keys"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(backup)
    app.command()(restore)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; must not exist yet.")],
    no_keys: Annotated[
        bool, typer.Option("--no-keys", help="Leave out the key store's own backup, FILE.keys.")
    ] = False,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Write an encrypted backup while the service runs, and one of the key store beside it: move that one elsewhere."""
    from intake_bot import backup_job
    from storage import backup as backups
    from storage import destroyed
    from storage.backup_file import BackupProblem
    from storage.keys import KeyProblem

    keys_file = beside(file)
    if keys_file.exists() and not no_keys:
        failed(f"{keys_file} is there already: nothing was written")
    with opened_house(config, data) as house:
        now = now_utc()
        keys = problem = None
        try:
            # The content first: every key that its moment needs is then in the key store's backup, which comes later.
            content = backups.write_content(house.database, house.keys, file, now=now)
        except BackupProblem as fault:
            failed(str(fault))
        print(f"{content.rows} rows to {file}")
        try:
            if not no_keys:
                keys = backups.write_keys(house.keys, keys_file, now=now)
                destroyed.note(house.keys, keys_file.parent)
                until = (now + timedelta(days=house.settings.keys.keep_days)).astimezone(house.settings.office.zone)
                print(f"{keys.rows} rows of the key store to {keys_file}: keep it apart, delete it by {until:%d %B %Y}")
            backup_job.note_destroyed(house)
        except (BackupProblem, KeyProblem) as fault:
            problem = str(fault)
        backup_job.record(house, acting(None), content, keys, now=now)
    if problem is not None:
        failed(problem)


def restore(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The backup of the content; with --keys-only the key store's.")
    ],
    keys: Annotated[
        Path | None,
        typer.Option("--keys", metavar="FILE", help="The key store's; default: FILE.keys, else the newest scheduled."),
    ] = None,
    recovery_key_file: Annotated[
        Path | None,
        typer.Option("--recovery-key-file", metavar="FILE", help="The recovery key, where the master key is lost."),
    ] = None,
    keys_only: Annotated[
        bool,
        typer.Option(
            "--keys-only", help="Bring back the key store, or its master key, beside the content that is there."
        ),
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Restore although keys are missing that the content needs.")
    ] = False,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Restore a backup into an empty data folder or database. Everything is proven before anything is written."""
    from intake_bot import backup_job
    from storage import backup as backups
    from storage import destroyed
    from storage.backup_file import BackupProblem
    from storage.keys import KeyProblem
    from storage.schema import NewerSchema

    if keys_only and keys is not None:
        wrong("--keys-only takes one file, the key store's backup")
    by = str(acting(None))
    settings = load_settings(config)
    os.umask(0o077)
    folders = [folder for folder in (backup_job.keys_folder(settings),) if folder is not None]
    keys_file = file if keys_only else keys or _keys_of(file, folders)
    if keys_file is not None:
        folders.insert(0, keys_file.parent)
    lists = [folder / destroyed.LIST_FILE for folder in folders if (folder / destroyed.LIST_FILE).exists()]
    newer = sorted({newest for folder in folders if (newest := backup_job.newest_keys(folder)) and newest != keys_file})
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        master = _recovered(keys_file, recovery_key_file) if recovery_key_file else None
        source = _source(settings, data, master)
        with _databases(settings, data, source) as (database, store):
            carry_out: Callable[..., Restored]
            if keys_only:
                keys_plan = backups.examine_keys(
                    file, database=database, keys=store, lists=lists, newer=newer, anyway=anyway
                )
                if keys_plan.key_backup is None and master is None:
                    failed("the key store is there, and the master key opens it: nothing needs to be brought back")
                carry_out = partial(backups.restore_keys, keys_plan)
            else:
                plan = backups.examine(
                    file, keys_file=keys_file, database=database, keys=store, lists=lists, newer=newer, anyway=anyway
                )
                carry_out = partial(backups.restore, plan)
            if master is not None:
                _place(settings, data, master)
            restored = carry_out(by=by, now=now_utc())
    except (BackupProblem, KeyProblem, NewerSchema) as problem:
        failed(str(problem))
    except OSError as fault:
        failed(f"the data folder or the master key cannot be written ({fault.strerror})")
    _report(restored, settings)


def beside(file: Path) -> Path:
    """The name of the key store's backup that ``backup FILE`` writes beside FILE."""
    return file.with_name(file.name + KEYS_SUFFIX)


def _keys_of(file: Path, folders: list[Path]) -> Path | None:
    from intake_bot.backup_job import newest_keys

    if beside(file).exists():
        return beside(file)
    return next((found for folder in folders if (found := newest_keys(folder))), None)


def _recovered(keys_file: Path | None, recovery_key_file: Path) -> bytes:
    from storage.backup import recovered_master

    if keys_file is None:
        failed("the recovery key opens a backup of the key store: name it with --keys")
    try:
        text = recovery_key_file.read_text(encoding="ascii", errors="replace")
    except OSError as fault:
        failed(f"{recovery_key_file}: cannot be read ({fault.strerror})")
    return recovered_master(keys_file, text)


def _source(settings: Settings, data: Path, master: bytes | None) -> MasterSource:
    """Where the master key is taken from while restoring. No key is made here: a new one would open no backup."""
    from intake_bot.house import master_source
    from storage import keys

    configured = master_source(settings, data, os.environ, make=False)
    missing = isinstance(configured, keys.FileSource) and not keys.key_path(settings.keys.file, os.environ).exists()
    if master is None:
        if missing:
            failed(
                f"there is no master key at {keys.key_path(settings.keys.file, os.environ)}: put it back, or give "
                "--recovery-key-file"
            )
        return configured
    if missing:
        if keys.key_path(settings.keys.file, os.environ).resolve().is_relative_to(data.resolve()):
            failed("the master key must not lie inside the data folder: set [keys] file to a path outside it")
    elif configured.load().named(keys.name_of(master)) is None:
        failed(
            "there is another master key already, and it is not overwritten. To recover the lost one, let [keys] file name "
            "a file that is not there yet, without [keys] master and command"
        )
    return keys.FixedSource(master.hex())


def _place(settings: Settings, data: Path, master: bytes) -> None:
    """Write the recovered master key where the settings look for it, unless it is there."""
    from intake_bot.house import master_source
    from storage import keys

    if not settings.keys.master.get_secret_value() and not settings.keys.command:
        path = keys.key_path(settings.keys.file, os.environ)
        if not path.exists():
            master_source(settings, data, os.environ).replace(keys.MasterKeys(master))


@contextmanager
def _databases(settings: Settings, data: Path, source: MasterSource) -> Iterator[tuple[Database, KeyStore]]:
    from sqlalchemy.exc import SQLAlchemyError

    from intake_bot.house import open_database, open_key_database
    from intake_bot.settings import SettingsProblem
    from storage.keystore import KeyStore

    try:
        database = open_database(settings, data)
        key_database = open_key_database(settings, data)
    except SettingsProblem as problem:
        wrong(str(problem))
    try:
        yield database, KeyStore(key_database, source)
    except SQLAlchemyError as fault:
        failed(f"the database failed ({type(fault).__name__})")
    finally:
        database.dispose()
        key_database.dispose()


def _report(restored: Restored, settings: Settings) -> None:
    made_at = restored.made_at.astimezone(settings.office.zone)
    print(
        f"{restored.rows} rows restored, as of {made_at:%d %B %Y %H:%M}; {restored.kept_destroyed} keys stay destroyed"
    )
    if restored.buried:
        print(f"{restored.buried} cases had been purged since that backup, and are purged again")
    for note in restored.notes:
        print(f"note: {note}")
    for fault in restored.faults:
        print(fault)
    if restored.faults:
        raise typer.Exit(EXIT_FAILED)
    print("the audit chains hold; `intake-bot verify` proves the rest")
