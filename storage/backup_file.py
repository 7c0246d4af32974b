"""A sealed file: a plain head, then a stream under AES-256-GCM in which each change, cut, swap or addition shows.

After a line that names the format comes the head, one line of JSON, then chunks of :data:`CHUNK_BYTES`, the last one
shorter. Each is sealed with the file's own key; its nonce is its number, and bound to it are the head's hash and whether it
is the last (STREAM: Hoang, Reyhanitabar, Rogaway and Vizár, CRYPTO 2015). Nothing is ever whole in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK_BYTES = 1024 * 1024
TAG_BYTES = 16
FORMAT = 1
PARTIAL = ".partial"
"""How the name of a file ends that is not whole yet."""
_MAGIC = b"intake-bot backup\n"
_HEAD_BYTES = 64 * 1024


class BackupProblem(Exception):
    """A backup cannot be made or used; the text says what to mend, and holds no content."""


class Damaged(BackupProblem):
    """The file is not what was written: changed, cut short, or added to."""


class Stopped(BackupProblem):
    """The work was given up because the service is to end."""

    def __init__(self) -> None:
        super().__init__("it was given up because the service was stopped; it is taken after the next start")


class NewerBackup(BackupProblem):
    """The file was written by a later version of intake-bot."""


Stopping = Callable[[], bool]
"""Whether the work is to be given up; asked at each chunk."""


def never() -> bool:
    """For work that is not given up."""
    return False


@dataclass(frozen=True, slots=True)
class Head:
    """What can be read without a key. It is bound to every chunk, so a changed head opens nothing.

    ``kind`` is ``content`` or ``keys``; ``schema`` the revision of the tables in it; ``store`` the key store's fingerprint;
    ``key`` the file's key, wrapped, in hexadecimal. A backup of keys also names the ``master`` key that wraps it, and holds
    that key sealed to the recovery key, where there is one.
    """

    kind: str
    schema: str
    made_at: datetime
    store: str
    key: str
    master: str = ""
    recovery: str = ""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed file as its head describes it; nothing of it is proven yet."""

    path: Path
    head: Head
    bound: bytes
    start: int


class SealedWriter:
    """Seals a stream into ``file`` as it comes. :meth:`close` seals the last chunk: without it the file is cut short."""

    def __init__(self, file: BinaryIO, head: Head, key: bytes, *, stopping: Stopping = never) -> None:
        """``stopping``: where it says so, Stopped is raised."""
        self._file = file
        self._stopping = stopping
        self._cipher = AESGCM(key)
        self._buffer = bytearray()
        self._count = 0
        self._hash = hashlib.sha256()
        self.size = 0
        line = json.dumps({"format": FORMAT} | asdict(head) | {"made_at": head.made_at.isoformat()}).encode() + b"\n"
        self._bound = hashlib.sha256(line).digest()
        self._put(_MAGIC + line)

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            # A full chunk waits until something follows: only then is it known not to be the last.
            if len(self._buffer) == CHUNK_BYTES:
                self._seal(last=False)
            taken = min(CHUNK_BYTES - len(self._buffer), len(view))
            self._buffer += view[:taken]
            view = view[taken:]

    def close(self) -> None:
        self._seal(last=True)

    @property
    def sha256(self) -> str:
        """Of the file as far as it is written."""
        return self._hash.hexdigest()

    def _seal(self, *, last: bool) -> None:
        if self._stopping():
            raise Stopped
        self._put(self._cipher.encrypt(_nonce(self._count), bytes(self._buffer), _bound(self._bound, last=last)))
        self._count += 1
        self._buffer.clear()

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)


class SealedReader:
    """Gives back the stream of a sealed file, and raises Damaged at the first chunk that is not what was written."""

    def __init__(self, file: BinaryIO, bound: bytes, key: bytes, *, stopping: Stopping = never) -> None:
        """``stopping``: where it says so, Stopped is raised."""
        self._file = file
        self._stopping = stopping
        self._cipher = AESGCM(key)
        self._bound = bound
        self._count = 0
        self._chunk = memoryview(b"")
        self._ahead = self._take()
        self._ended = False

    def read(self, count: int) -> bytes:
        """Exactly ``count`` bytes. Raises Damaged."""
        parts = []
        while count:
            if not self._chunk and not self._next():
                raise _damaged()
            part = self._chunk[:count]
            parts.append(part)
            self._chunk = self._chunk[len(part) :]
            count -= len(part)
        return b"".join(parts)

    def at_end(self) -> bool:
        """Whether all has been read, up to and with the last chunk."""
        return not self._chunk and not self._next()

    def _next(self) -> bool:
        if self._stopping():
            raise Stopped
        if self._ended:
            return False
        sealed, self._ahead = self._ahead, self._take()
        self._ended = not self._ahead
        try:
            chunk = self._cipher.decrypt(_nonce(self._count), sealed, _bound(self._bound, last=self._ended))
        except (InvalidTag, ValueError):
            raise _damaged() from None
        self._count += 1
        self._chunk = memoryview(chunk)
        return bool(chunk) or self._next()

    def _take(self) -> bytes:
        return self._file.read(CHUNK_BYTES + TAG_BYTES)


def look(path: Path, kind: str) -> Sealed:
    """Read the head. Raises BackupProblem where the file cannot be read or is of another kind, Damaged, NewerBackup."""
    try:
        with path.open("rb") as file:
            magic = file.readline(len(_MAGIC))
            line = file.readline(_HEAD_BYTES)
            start = file.tell()
    except OSError as fault:
        raise BackupProblem(f"{path}: cannot be read ({fault.strerror})") from None
    if magic != _MAGIC:
        raise Damaged(f"{path} is not a backup of intake-bot, or its beginning is damaged")
    try:
        fields = json.loads(line)
        version = int(fields.pop("format"))
        if version > FORMAT:
            raise NewerBackup(f"{path} was made by a later version of intake-bot: install that version")
        head = Head(**fields | {"made_at": datetime.fromisoformat(fields["made_at"])})
        bytes.fromhex(head.key)
        if head.made_at.tzinfo is None or not all(isinstance(value, str | datetime) for value in asdict(head).values()):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Damaged(f"the head of {path} is damaged") from None
    if head.kind != kind:
        raise BackupProblem(
            f"{path} is a backup of {'the keys' if head.kind == 'keys' else 'the content'}, not of {kind}"
        )
    return Sealed(path, head, hashlib.sha256(line).digest(), start)


@contextmanager
def opened(sealed: Sealed, key: bytes, *, stopping: Stopping = never) -> Iterator[SealedReader]:
    """The stream of ``sealed``. What is wrong with the file is raised as Damaged, or as BackupProblem where it is away."""
    try:
        with sealed.path.open("rb") as file:
            file.seek(sealed.start)
            yield SealedReader(file, sealed.bound, key, stopping=stopping)
    except Damaged as fault:
        raise Damaged(f"{sealed.path}: {fault}") from None
    except OSError as fault:
        raise BackupProblem(f"{sealed.path}: cannot be read ({fault.strerror})") from None


@contextmanager
def written(path: Path, *, replace: bool = False) -> Iterator[BinaryIO]:
    """A file (0600) that is there whole and synced when the block ends, and not at all when it raises.

    Raises BackupProblem where it cannot be written, or is there already and ``replace`` is not asked for.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        if path.exists() and not replace:
            raise BackupProblem(f"{path} is there already: nothing was written")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as fault:
        raise BackupProblem(f"{path}: cannot be written ({fault.strerror})") from None


def digest(path: Path) -> str:
    """The SHA-256 of a file, to compare with what was noted when it was made."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as fault:
        raise BackupProblem(f"{path}: cannot be read ({fault.strerror})") from None


def _damaged() -> Damaged:
    return Damaged("the backup is damaged: it was changed, cut short or added to")


def _nonce(count: int) -> bytes:
    # No nonce comes twice under one key: the key is the file's own, and the number only grows.
    return count.to_bytes(12, "big")


def _bound(head: bytes, *, last: bool) -> bytes:
    return head + (b"\x01" if last else b"\x00")
