"""Word search in a child process, both ends of it: the service stays free to answer, and a search can be killed.

The child is started as ``python -m intake_bot.searching`` with nothing secret among its arguments or in its environment: the
words, the databases' addresses and the master keys come over its standard input, which then stays open. When that closes,
whoever asked has gone, and the child goes too. It answers in lines of JSON: matches as it finds them, then how it ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import event

from storage import audit
from storage.engine import Database
from storage.keys import FixedSource, KeyProblem, MasterKeys
from storage.keystore import KeyStore
from storage.search import SECONDS, Cursor, Looked, Match, Words, scan
from storage.vault import Vault

GRACE_SECONDS = 20
"""How much longer than its budget a child may take (to start, to reach a database that is slow) before it is killed."""
MAPPED_BYTES = 64 * 2**30
_PASSED_ON = ("PATH", "LANG", "PYTHONPATH")


class SearchFailed(Exception):
    """No answer, or none to the end. ``code`` is ``timeout``, ``died``, ``keys`` or a kind of fault; never content."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Searching:
    """A search that runs: iterate for its matches, newest first, as they are found.

    After the last one ``looked`` says how far back it looked. Whoever stops earlier goes on from the last match's cursor.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, seconds: float, allowed: Callable[[str], bool], limit: int | None
    ) -> None:
        self._process = process
        self._seconds = seconds
        self._allowed = allowed
        self._limit = limit
        self.matches = 0
        """How many were given so far."""
        self.looked: Looked | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def __aiter__(self) -> AsyncIterator[Match]:
        """Raises SearchFailed."""
        assert self._process.stdout is not None  # noqa: S101 (it is a pipe)
        until = time.monotonic() + self._seconds + GRACE_SECONDS
        while self.looked is None:
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    line = await self._process.stdout.readline()
            except TimeoutError:
                raise SearchFailed("timeout") from None
            if not line.endswith(b"\n"):
                raise SearchFailed("died")
            answer = json.loads(line)
            if "error" in answer:
                raise SearchFailed(answer["error"])
            if "looked" in answer:
                self.looked = _looked_from(answer["looked"])
                continue
            match = _match_from(answer["match"])
            if match.case_id is None or self._allowed(match.case_id):
                self.matches += 1
                yield match
                if self.matches == self._limit:
                    # Nobody reads on for ever, and whoever does goes on from here.
                    self.looked = Looked(None, 0, match.at, match.cursor)


@asynccontextmanager
async def search(
    database: Database,
    vault: Vault,
    words: Words,
    *,
    actor: str,
    now: datetime,
    officer: str | None = None,
    since: datetime | None = None,
    before: Cursor | None = None,
    seconds: float = SECONDS,
    allowed: Callable[[str], bool] = lambda _case_id: True,
    limit: int | None = None,
) -> AsyncIterator[Searching]:
    """Start a search; the child ends with the block. Both its beginning and what came of it go on the record.

    ``allowed`` says whether the actor may know of a case, by its id; of others nothing is given or counted. After ``limit``
    matches it stops, as it does when its time is up: a word that is everywhere is not looked for to the end.

    The record has the words as a keyed hash: it shows that two searches were the same, and tells nobody what for. Raises
    SearchFailed where the master keys cannot be had.
    """
    try:
        masters = await asyncio.to_thread(vault.keys.source.load)
    except KeyProblem:
        raise SearchFailed("keys") from None
    hashed = vault.blind("search", "\x00".join(words.canonical))
    # On the record before the first text is opened: what is killed half-way has been looked at all the same.
    await asyncio.to_thread(_record, database, actor, "search_began", {"words": hashed}, now)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # nothing is imported from the folder where the command happens to be given
        "-m",
        "intake_bot.searching",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        start_new_session=True,
    )
    searching = Searching(process, seconds, allowed, limit)
    try:
        assert process.stdin is not None  # noqa: S101 (it is a pipe)
        order = _reaching(database, vault.keys, masters) | {
            "words": words.canonical,
            "officer": officer,
            "since": since.isoformat() if since else None,
            "before": str(before) if before else None,
            "seconds": seconds,
        }
        with contextlib.suppress(ConnectionError):  # reading will say that it died
            process.stdin.write(json.dumps(order).encode() + b"\n")
            await process.stdin.drain()
        yield searching
    finally:
        await asyncio.shield(_end(process, database, actor, {"words": hashed, "matches": searching.matches}, now))


async def _end(
    process: asyncio.subprocess.Process, database: Database, actor: str, detail: dict[str, Any], now: datetime
) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
    await asyncio.to_thread(_record, database, actor, "searched", detail, now)


def _record(database: Database, actor: str, act: str, detail: dict[str, Any], now: datetime) -> None:
    with database.write() as session:
        audit.record(session, audit.SERVICE_CHAIN, at=now, actor=actor, act=act, detail=detail)


def _reaching(database: Database, keys: KeyStore, masters: MasterKeys) -> dict[str, Any]:
    """What the child needs to reach and open the rows."""
    return {
        "database": database.engine.url.render_as_string(hide_password=False),
        "keys": keys.database.engine.url.render_as_string(hide_password=False),
        "masters": [key.hex() for key in (masters.current, *masters.previous)],
        # How libpq finds a server, and perhaps a password: not for the child's own environment, which others may read.
        "libpq": {name: value for name, value in os.environ.items() if name.startswith("PG")},
    }


# ---- the child


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    order = json.loads(sys.stdin.buffer.readline() or b"{}")
    if not order:
        return
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    try:
        for found in _scan(order):
            _say({"match": _match_json(found)} if isinstance(found, Match) else {"looked": _looked_json(found)})
    except Exception as fault:  # its text may be content: only its kind goes out
        with contextlib.suppress(OSError):
            _say({"error": "keys" if isinstance(fault, KeyProblem) else type(fault).__name__})
    # The thread waits on standard input, which the interpreter's own end would wait for in turn.
    os._exit(0)


def _scan(order: dict[str, Any]) -> Iterator[Match | Looked]:
    os.environ.update(order["libpq"])
    database, key_database = Database(order["database"]), Database(order["keys"])
    for one in (database, key_database):
        if one.is_sqlite:
            event.listen(one.engine, "connect", _map_into_memory)
        else:
            event.listen(one.engine, "connect", _fetch_as_bytes)
    return scan(
        database,
        KeyStore(key_database, FixedSource("\n".join(order["masters"]))),
        Words(order["words"]),
        clock=time.monotonic,
        officer=order["officer"],
        since=datetime.fromisoformat(order["since"]) if order["since"] else None,
        before=Cursor.parse(order["before"]) if order["before"] else None,
        seconds=order["seconds"],
    )


def _map_into_memory(connection: Any, _record: Any) -> None:
    # Nearly all of the file is read, once: this saves copying each page out of the system's cache.
    connection.execute(f"PRAGMA mmap_size={MAPPED_BYTES}").close()


def _fetch_as_bytes(connection: Any, _record: Any) -> None:
    """PostgreSQL writes bytes as text, twice as long, unless it is asked for its binary format."""
    from psycopg.pq import Format

    def binary(factory: Callable[..., Any]) -> Callable[..., Any]:
        def make(*arguments: Any, **named: Any) -> Any:
            cursor = factory(*arguments, **named)
            cursor.format = Format.BINARY
            return cursor

        return make

    connection.cursor_factory = binary(connection.cursor_factory)
    connection.server_cursor_factory = binary(connection.server_cursor_factory)


def _leave_with_the_parent() -> None:
    """Nothing more is sent after the order: what wakes this is the pipe's end."""
    # Past Python's own buffer, whose lock the interpreter would want at its end.
    while os.read(0, 1024):
        pass
    os._exit(1)


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


def _match_json(match: Match) -> dict[str, Any]:
    return {
        "kind": match.kind,
        "id": match.id,
        "at": match.at.isoformat(),
        "case_id": match.case_id,
        "reference": match.reference,
    }


def _match_from(value: dict[str, Any]) -> Match:
    return Match(**(value | {"at": datetime.fromisoformat(value["at"])}))


def _looked_json(looked: Looked) -> dict[str, Any]:
    return {
        "examined": looked.examined,
        "unreadable": looked.unreadable,
        "back_to": looked.back_to.isoformat() if looked.back_to else None,
        "cursor": str(looked.cursor) if looked.cursor else None,
    }


def _looked_from(value: dict[str, Any]) -> Looked:
    return Looked(
        value["examined"],
        value["unreadable"],
        datetime.fromisoformat(value["back_to"]) if value["back_to"] else None,
        Cursor.parse(value["cursor"]) if value["cursor"] else None,
    )


if __name__ == "__main__":
    main()
