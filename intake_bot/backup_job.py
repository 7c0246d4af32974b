"""The scheduled backup: both files, the list of destroyed keys, what is too old taken away, and the new one proven.

A backup that was never restored is a hope. So each one is restored into a scratch folder, as on a new machine, and removed.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from intake_bot.casework.desk import SYSTEM, Actor
from intake_bot.house import DATABASE_FILE, House
from intake_bot.settings import Settings
from storage import audit, backup, destroyed, verify
from storage.backup import Made
from storage.backup_file import PARTIAL, BackupProblem, Stopped, Stopping, never, written
from storage.engine import Database, memory_url, sqlite_url
from storage.keys import KeyProblem
from storage.keystore import KeyStore
from storage.tables import Meta
from storage.vault import Vault

CONTENT_NAME, KEYS_NAME = "intake-bot-{}.backup", "intake-bot-{}.keys"
UNPROVEN = ".unproven"
"""How the name ends of a backup that is whole and was not proven, or not yet."""
_NAMED = re.compile(
    r"\.?intake-bot-(\d{8}T\d{6}Z)\.(?:backup|keys)"
    f"(?:{re.escape(UNPROVEN)})?"
    rf"(?:\.[0-9a-f]{{8}}{re.escape(PARTIAL)})?"
)
_STAMP = "%Y%m%dT%H%M%SZ"
SCRATCH = "backup-check-"
STEPS = 1000
"""Of SQLite's machine between two looks at whether a proof is to be given up."""
MARK = ".intake-bot-backups"
"""A file in each folder that scheduled backups go to: where a disk is not mounted it is missing."""
FOLDERS = "backup_folders"
"""In ``meta``: the folders that were marked, as a JSON list."""
EARLY = timedelta(hours=1)
"""So much sooner than its last moment a backup of the key store is deleted, to make sure that it is."""
ABANDONED = timedelta(days=1)
"""After so long a file that is not whole is nobody's work any more."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What a scheduled backup came to. ``problem`` says what to mend, ``faults`` what did not hold in the restored copy.

    ``left`` says why an old backup could not be deleted; that is no fault of the new one.
    """

    content: Made | None
    keys: Made | None
    pruned: int
    faults: tuple[str, ...] = ()
    problem: str | None = None
    left: str | None = None

    @property
    def proven(self) -> bool:
        return self.problem is None and not self.faults


def keys_folder(settings: Settings) -> Path | None:
    """Where backups of the key store go, or None where no backups are scheduled."""
    if settings.backup.keys_folder is not None:
        return settings.backup.keys_folder
    return settings.backup.folder / "keys" if settings.backup.folder is not None else None


def due(settings: Settings, *, now: datetime) -> bool:
    """Whether the last time of day for a backup has passed without a proven one, be it after a night's downtime."""
    if settings.backup.folder is None:
        return False
    local = now.astimezone(settings.office.zone)
    today = datetime.combine(local.date(), settings.backup.at, settings.office.zone)
    last = (
        today
        if today <= local
        else datetime.combine(local.date() - timedelta(days=1), settings.backup.at, local.tzinfo)
    )
    newest = newest_at(settings.backup.folder)
    return newest is None or newest < last.astimezone(UTC)


def newest_at(folder: Path) -> datetime | None:
    """When the newest proven backup of the content in ``folder`` was made, by its name."""
    found = _files(folder, "backup")
    return found[-1][0] if found else None


def newest_keys(folder: Path) -> Path | None:
    """The newest scheduled backup of the key store in ``folder``, proven or not: the newest knows most."""
    found = sorted([*_files(folder, "keys"), *_files(folder, "keys", proven=False)])
    return found[-1][1] if found else None


def scheduled(house: House, *, now: datetime, may_destroy: bool = True, stopping: Stopping = never) -> Scheduled | None:
    """Take both backups, prove them, and prune; None where no folder is set. Blocks until then, or until ``stopping``.

    Without ``may_destroy``, while there is doubt about ``now``, nothing is pruned.
    Nothing is raised for what can happen to a backup: it is in the outcome, and on the record.
    """
    folder, apart = house.settings.backup.folder, keys_folder(house.settings)
    if folder is None or apart is None:
        return None
    content = keys = None
    faults: tuple[str, ...] = ()
    problem = None
    stamp = now.astimezone(UTC).strftime(_STAMP)
    try:
        _own(house, folder, apart)
        # The content first: every key that its moment needs is then in the key store's backup, which comes later.
        content = backup.write_content(
            house.database, house.keys, folder / (CONTENT_NAME.format(stamp) + UNPROVEN), now=now, stopping=stopping
        )
        keys = backup.write_keys(house.keys, apart / (KEYS_NAME.format(stamp) + UNPROVEN), now=now, stopping=stopping)
        destroyed.note(house.keys, apart)
        faults = prove(house, content.path, keys.path, now=now, stopping=stopping)
        if not faults:
            # The content last: where a proven one is, the keys that were proven with it are too.
            keys, content = _named_proven(keys), _named_proven(content)
    except (BackupProblem, KeyProblem) as fault:
        problem = str(fault)
    except SQLAlchemyError as fault:
        problem = f"the database failed ({type(fault).__name__})"
    pruned, left = _prune(house.settings, folder, apart, now=now) if may_destroy else (0, None)
    outcome = Scheduled(content, keys, pruned, faults, problem, left)
    code = "proven" if outcome.proven else "not_proven" if content and keys else "failed"
    record(house, SYSTEM, content, keys, code=code, now=now)
    return outcome


def tidy(house: House, *, now: datetime, may_destroy: bool = True) -> str | None:
    """What must go whether a backup is due or not; what could not be deleted, and why, or None.

    That is the scratch folder of a process that was killed, and each backup of the key store when its days are over: the
    latter with ``may_destroy`` alone, without doubt about ``now``. Not to be called while a backup is being proven in the
    same data folder.
    """
    problem = _clear_scratch(house.data_dir)
    apart = keys_folder(house.settings)
    if apart is not None and may_destroy:
        problem = _delete(_outlived(house.settings, apart, now=now))[1] or problem
    return problem


def note_destroyed(house: House) -> int | None:
    """Bring the list beside the key store's backups up to date, after keys were destroyed; how many are on it.

    None where no backups are scheduled. Raises BackupProblem where the list cannot be written or was changed, or its folder
    is not the one that it was in before.
    """
    folder = keys_folder(house.settings)
    if folder is None:
        return None
    _own(house, folder)
    return destroyed.note(house.keys, folder)


def prove(
    house: House, content: Path, keys_file: Path, *, now: datetime, stopping: Stopping = never
) -> tuple[str, ...]:
    """Restore both into a scratch folder in the data folder, as on a new machine, and verify all of it; what does not hold.

    The keys are restored into memory alone. Raises BackupProblem where they cannot be restored at all.
    """
    _clear_scratch(house.data_dir)
    try:
        with tempfile.TemporaryDirectory(dir=house.data_dir, prefix=SCRATCH) as scratch:
            return _proven_in(Path(scratch), house, content, keys_file, now=now, stopping=stopping)
    except SQLAlchemyError:
        if stopping():
            raise Stopped from None
        raise
    except OSError as fault:
        raise BackupProblem(f"{house.data_dir}: the scratch folder cannot be used ({fault.strerror})") from None


def _proven_in(
    scratch: Path, house: House, content: Path, keys_file: Path, *, now: datetime, stopping: Stopping
) -> tuple[str, ...]:
    database = Database(sqlite_url(scratch / DATABASE_FILE))
    keys = KeyStore(Database(memory_url()), house.keys.source)
    for scratch_database in (database, keys.database):
        _interrupt(scratch_database, stopping)
    try:
        plan = backup.examine(
            content,
            keys_file=keys_file,
            database=database,
            keys=keys,
            lists=[keys_file.parent / destroyed.LIST_FILE],
            anyway=True,
            stopping=stopping,
        )
        faults = backup.restore(plan, by=str(SYSTEM), now=now).faults
        with database.read() as session:
            return tuple(dict.fromkeys([*faults, *verify.faults(session, Vault(keys))]))
    finally:
        database.dispose()
        keys.database.dispose()


def _interrupt(database: Database, stopping: Stopping) -> None:
    """Have SQLite ask in the middle of its work, too, whether it is to be given up; it then fails with OperationalError."""

    @event.listens_for(database.engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.set_progress_handler(stopping, STEPS)


def record(
    house: House, actor: Actor, content: Made | None, keys: Made | None, *, now: datetime, code: str | None = None
) -> None:
    """Put a backup on the record: counts and the files' hashes."""
    detail: dict[str, object] = {}
    if content is not None:
        detail |= {"rows": content.rows, "sha256": content.sha256}
    if keys is not None:
        detail |= {"keys_rows": keys.rows, "keys_sha256": keys.sha256}
    with house.database.write() as session:
        audit.record(
            session, audit.SERVICE_CHAIN, at=now, actor=str(actor), act="backed_up", code=code, detail=detail
        )  # fmt: skip


def _named_proven(made: Made) -> Made:
    try:
        path = made.path.replace(made.path.with_name(made.path.name.removesuffix(UNPROVEN)))
    except OSError as fault:
        raise BackupProblem(f"{made.path}: cannot be renamed ({fault.strerror})") from None
    return replace(made, path=path)


def _prune(settings: Settings, folder: Path, apart: Path, *, now: datetime) -> tuple[int, str | None]:
    """Delete backups of the keys beyond their days, and of the content beyond the newest; how many, and what stayed.

    The keys come first: nothing that happens to a backup of the content keeps one of theirs. What is not proven pushes out
    nothing that was, and itself stays only until a newer one comes. Files of other names are not ours.
    """
    surplus = [*_outlived(settings, apart, now=now), *_superseded(apart, "keys")]
    surplus += [path for _, path in _files(folder, "backup")[: -settings.backup.keep]]
    surplus += _superseded(folder, "backup")
    for place in {folder, apart}:
        surplus += [path for made_at, path in _partial(place) if made_at < now - ABANDONED]
    return _delete(dict.fromkeys(surplus))


def _outlived(settings: Settings, apart: Path, *, now: datetime) -> list[Path]:
    """Backups of the keys whose days are over. The newest proven one stays whatever its age: it is better than none."""
    oldest = now - timedelta(days=settings.keys.keep_days) + EARLY
    proven, unproven = _files(apart, "keys"), _files(apart, "keys", proven=False)
    # Where none was ever proven, the newest of those will have to do.
    spared = (proven or unproven)[-1:]
    return [path for made_at, path in (*proven, *unproven) if made_at <= oldest and (made_at, path) not in spared]


def _superseded(folder: Path, kind: str) -> list[Path]:
    """What was not proven and has a newer one beside it."""
    unproven = _files(folder, kind, proven=False)
    newest = max([*unproven, *_files(folder, kind)], default=None)
    return [path for made_at, path in unproven if (made_at, path) != newest]


def _delete(paths: Iterable[Path]) -> tuple[int, str | None]:
    """Delete each for itself: one that cannot be deleted keeps no other. How many, and what to say of those that stayed."""
    count, problem = 0, None
    for path in paths:
        try:
            path.unlink(missing_ok=True)
            count += 1
        except OSError as fault:
            problem = f"{path}: cannot be deleted ({fault.strerror})"
    return count, problem


def _clear_scratch(data_dir: Path) -> str | None:
    problem = None
    for left_over in data_dir.glob(f"{SCRATCH}*"):
        try:
            shutil.rmtree(left_over)
        except OSError as fault:
            problem = f"{left_over}: cannot be deleted ({fault.strerror})"
    return problem


def _files(folder: Path, kind: str, *, proven: bool = True) -> list[tuple[datetime, Path]]:
    ending = f".{kind}" if proven else f".{kind}{UNPROVEN}"
    return [found for found in _ours(folder) if found[1].name.endswith(ending)]


def _partial(folder: Path) -> list[tuple[datetime, Path]]:
    return [found for found in _ours(folder) if found[1].name.endswith(PARTIAL)]


def _ours(folder: Path) -> list[tuple[datetime, Path]]:
    """The scheduled backups' files, whole or not, oldest first."""
    found = []
    for path in folder.glob("*intake-bot-*"):
        match = _NAMED.fullmatch(path.name)
        if match:
            with suppress(ValueError):
                found.append((datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC), path))
    return sorted(found)


def _own(house: House, *folders: Path) -> None:
    """See that each folder is the one that was used before; make and mark those that never were. Raises BackupProblem."""
    with house.database.read() as session:
        note = session.get(Meta, FOLDERS)
    known = set(json.loads(note.value)) if note is not None else set()
    for folder in folders:
        try:
            marked = (folder / MARK).exists()
            if not marked and str(folder.absolute()) in known:
                raise BackupProblem(
                    f"{folder} is not the folder that backups went to before: is its disk mounted? To use it all the same, "
                    f"put an empty file named {MARK} into it"
                )
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as fault:
            raise BackupProblem(f"{folder}: cannot be made ({fault.strerror})") from None
        if not marked:
            with written(folder / MARK) as file:
                file.write(b"intake-bot keeps backups here, and takes none where this file is missing\n")
    owned = known | {str(folder.absolute()) for folder in folders}
    if owned != known:
        with house.database.write() as session:
            session.merge(Meta(name=FOLDERS, value=json.dumps(sorted(owned))))
