"""What a database's fault means, in fixed words: an exception's own may hold what was being written."""

from __future__ import annotations

import errno
import sqlite3

FULL = "its disk is full"
READ_ONLY = "it cannot be written to: see its owner, its permissions, and whether its disk is mounted read-only"
HELD = "another process holds it"
DAMAGED = "its file is damaged or is no database: restore a backup"
UNREACHABLE = "its file or folder cannot be opened: see the permissions, and whether the disk is mounted read-only"

_SQLITE = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_BUSY: HELD,
    sqlite3.SQLITE_LOCKED: HELD,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
    sqlite3.SQLITE_CANTOPEN: UNREACHABLE,
}
_POSTGRES = {"53100": FULL, "25006": READ_ONLY, "55P03": HELD}
_SYSTEM = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EROFS: READ_ONLY, errno.EACCES: READ_ONLY}
_PRIMARY_CODE = 0xFF


def in_words(fault: BaseException) -> str:
    """What is wrong, where that is known; else the exception's kind."""
    # SQLAlchemy's own exception carries the driver's.
    original = getattr(fault, "orig", None) or fault
    said = None
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorcode", 0)
        # The index of SQLite's log is a file of its own: growing it fails for want of room alone.
        said = FULL if code == sqlite3.SQLITE_IOERR_SHMSIZE else _SQLITE.get(code & _PRIMARY_CODE)
    elif isinstance(original, OSError):
        said = _SYSTEM.get(original.errno or 0)
    else:
        said = _POSTGRES.get(getattr(original, "sqlstate", None) or "")
    return said or type(fault).__name__


def is_out_of_room(fault: BaseException) -> bool:
    """Whether the disk is full: who sends us something is told so, and comes again when there is room."""
    return in_words(fault) == FULL
