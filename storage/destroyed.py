"""The list of destroyed keys, kept beside the backups of the key store: an old backup must bring none of them back.

A text file: a key's id and when it was destroyed, a line each, and at the end a keyed hash over all of it, so that nobody
without the keys can shorten it unseen. It only grows.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from storage.backup_file import BackupProblem, written
from storage.keystore import BACKUP_ROOT, KEY_ID_BYTES, KeyStore

LIST_FILE = "destroyed-keys.txt"
_FIRST = "intake-bot: the keys that were destroyed; restore brings none of them back"
_PROOF = "proof"


def note(keys: KeyStore, folder: Path) -> int:
    """Bring the list in ``folder`` up to the key store; how many keys are on it.

    Raises BackupProblem where it cannot be written, or where the list that is there is not ours as we left it.
    """
    root = keys.secret(BACKUP_ROOT)
    path = folder / LIST_FILE
    with _alone(folder):
        known = read(path, root) if path.exists() else {}
        listed = dict(keys.destroyed()) | known
        if listed != known or not path.exists():
            with written(path, replace=True) as file:
                file.write(_text(listed, root))
    return len(listed)


def read(path: Path, root: bytes) -> dict[str, datetime]:
    """The ids on the list and when each was destroyed. Raises BackupProblem where it is not as it was written."""
    try:
        text = path.read_bytes()
    except OSError as fault:
        raise BackupProblem(f"{path}: cannot be read ({fault.strerror})") from None
    listed = {}
    try:
        for line in text.decode("ascii").splitlines()[1:-1]:
            key_id, _, moment = line.partition(" ")
            if len(bytes.fromhex(key_id)) != KEY_ID_BYTES:
                raise ValueError
            listed[key_id] = datetime.fromisoformat(moment)
        whole = hmac.compare_digest(text, _text(listed, root))
    except ValueError:
        whole = False
    if not whole:
        raise BackupProblem(
            f"{path}: the list of destroyed keys was changed, or is another key store's. Where the key store is alive, move "
            "the list away, and the next backup makes it anew; else bring the list back from a copy"
        )
    return listed


def _text(listed: Mapping[str, datetime], root: bytes) -> bytes:
    lines = [_FIRST, *(f"{key_id} {moment.isoformat()}" for key_id, moment in sorted(listed.items()))]
    body = "".join(f"{line}\n" for line in lines).encode("ascii")
    key = hmac.new(root, b"intake-bot/1/destroyed-keys", hashlib.sha256).digest()
    return body + f"{_PROOF} {hmac.new(key, body, hashlib.sha256).hexdigest()}\n".encode("ascii")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of two processes that bring the list up to date, the slower one must not write what it knew earlier."""
    try:
        descriptor = os.open(folder / f".{LIST_FILE}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            os.close(descriptor)
            raise
    except OSError as fault:
        raise BackupProblem(f"{folder}: cannot be written ({fault.strerror})") from None
    try:
        yield
    finally:
        os.close(descriptor)
