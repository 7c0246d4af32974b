"""Word search: newest first, in a child of its own, within its time, and the words leave no trace (invariants 6, 10, 12)."""

from __future__ import annotations

import itertools
import json
import logging
import os
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlmodel import col, select
from typer.testing import CliRunner

from conftest import FRIDAY_1640
from intake_bot import search_commands, searching
from storage import audit
from storage.engine import Database
from storage.ids import new_id
from storage.keys import FixedSource
from storage.keystore import KeyStore
from storage.search import Cursor, Looked, Match, NoWords, Words, WrongCursor, fold, scan
from storage.tables import AuditEntry, Case, DecisionRow, Message
from storage.vault import Place, Vault

CANARY = "marigold"


class Shelf:
    """Cases with one message each, a minute apart, as the store keeps them."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self.database = database
        self.vault = vault
        self._made = 0

    def case(self, body: str, *, officer: str | None = None, **content: Any) -> str:
        """The message's id, which is the case's too."""
        self._made += 1
        at = FRIDAY_1640 + timedelta(minutes=self._made)
        identity = new_id(at)
        with self.database.write() as session:
            session.add(
                Case(
                    id=identity,
                    key_id=(key := self.vault.keys.new_key()),
                    reference=f"LADO-26-{self._made}",
                    reply_tag=identity.lower(),
                    status="new",
                    channel="email",
                    received_at=at,
                    officer=officer,
                )
            )
            session.flush()
            self._message(session, identity, identity, at, key, {"body_text": body} | content)
        return identity

    def unfiled(self, body: str, at: datetime) -> str:
        identity = new_id(at)
        with self.database.write() as session:
            self._message(session, identity, None, at, self.vault.keys.new_key(), {"body_text": body})
        return identity

    def decision(self, case_id: str, reason: str, at: datetime) -> str:
        identity = new_id(at)
        with self.database.write() as session:
            key = session.get_one(Case, case_id).key_id
            session.add(
                DecisionRow(
                    id=identity,
                    case_id=case_id,
                    decision="referral",
                    category="physical",
                    by="slack:T/U",
                    at=at,
                    content=self.vault.seal_json(
                        Place("decisions", identity, "content", case_id), {"reason": reason}, key=key
                    ),
                )
            )
        return identity

    def run(self, statement: str, **values: object) -> None:
        with self.database.write() as session:
            session.connection().execute(text(statement), values)

    def found(self, *words: str, **facts: object) -> list[str]:
        return [match.id for match in self.looked(*words, **facts)[0]]

    def looked(self, *words: str, **facts: object) -> tuple[list[Match], Looked]:
        *matches, looked = scan(
            self.database, self.vault.keys, Words(words), **({"clock": itertools.repeat(0.0).__next__} | facts)
        )
        assert isinstance(looked, Looked)
        return matches, looked

    def _message(self, session, identity, case_id, at, key, content) -> None:
        session.add(
            Message(
                id=identity,
                case_id=case_id,
                channel="email",
                direction="in",
                received_at=at,
                identity=identity,
                content=self.vault.seal_json(Place("messages", identity, "content", case_id), content, key=key),
            )
        )


@pytest.fixture
def shelf(database: Database, vault: Vault) -> Shelf:
    return Shelf(database, vault)


def test_finds_newest_first_whatever_case_and_accents_and_all_the_words(shelf: Shelf) -> None:
    first = shelf.case("The coach grabbed Chloé’s arm.")
    second = shelf.case("Chloe and her coach, again", subject="GRABBED")
    third = shelf.case("Łukasz O’Brien wrote: “no coach”", sender="dsl@brookfield.example", sender_name="J Farrier")
    assert shelf.found("coach") == [third, second, first]
    assert shelf.found("chloe") == shelf.found("CHLOÉ") == shelf.found("Chloe\u0301") == [second, first]
    assert shelf.found("grabbed", "Chloe") == [second, first]
    assert shelf.found("grabbed again chloe") == [second]
    assert shelf.found("coac") == shelf.found("oach") == []
    assert shelf.found("coac*") == [third, second, first]
    assert shelf.found("lukasz") == shelf.found("o'brien") == shelf.found("dsl@brookfield.example") == [third]
    assert shelf.found("farrier") == [third]
    assert shelf.found("body_text") == [], "a name of ours is no text"


def test_looks_into_attached_documents(shelf: Shelf) -> None:
    case = shelf.case("Please see the form.", documents=[{"filename": "form.docx", "text": "The coach shouted."}])
    assert shelf.found("coach shouted") == [case]
    assert shelf.found("docx") == []


def test_looks_into_reasons_and_the_unfiled_list_in_one_order(shelf: Shelf) -> None:
    case = shelf.case("a coach")
    unfiled = shelf.unfiled("another coach", FRIDAY_1640 + timedelta(hours=1))
    reason = shelf.decision(case, "The coach was seen.", FRIDAY_1640 + timedelta(hours=2))
    matches, looked = shelf.looked("coach")
    assert [(match.kind, match.id, match.reference) for match in matches] == [
        ("decision", reason, "LADO-26-1"),
        ("message", unfiled, None),
        ("message", case, "LADO-26-1"),
    ]
    assert looked == Looked(3, 0, FRIDAY_1640 + timedelta(minutes=1), None)


def test_a_long_text_is_looked_into_like_any_other(shelf: Shelf) -> None:
    ids = [shelf.case(body) for body in ("coach", f"{'word ' * 20_000} coach", "coach")]
    assert shelf.found("coach") == ids[::-1]
    assert shelf.found("trainer") == []


def test_only_an_officer_s_cases_or_only_since_a_time(shelf: Shelf) -> None:
    hers = shelf.case("coach", officer="terminal:amina")
    his = shelf.case("coach", officer="terminal:ben")
    nobodys = shelf.case("coach")
    assert shelf.found("coach", officer="amina") == [hers]
    assert shelf.found("coach", since=FRIDAY_1640 + timedelta(minutes=2)) == [nobodys, his]


def test_nothing_of_a_purged_case_is_found_or_counted(shelf: Shelf) -> None:
    purged, kept = shelf.case("coach"), shelf.case("coach")
    shelf.decision(purged, "coach", FRIDAY_1640)
    shelf.run("UPDATE cases SET purged_at = received_at WHERE id = :id", id=purged)
    matches, looked = shelf.looked("coach")
    assert [match.id for match in matches] == [kept]
    assert looked.examined == 1


def test_what_was_tampered_with_is_counted_and_hides_nothing_else(shelf: Shelf) -> None:
    ids = [shelf.case("coach") for _ in range(5)]
    other = shelf.vault.seal(Place("messages", "x", "content", None), b"{}", key=shelf.vault.keys.service_key)
    for identity, content in zip(ids, (other, b"no sealed value"), strict=False):
        shelf.run("UPDATE messages SET content = :content WHERE id = :id", id=identity, content=content)
    with shelf.database.read() as session:
        gone, changed = session.exec(select(Case.key_id).where(col(Case.id).in_(ids[2:4])).order_by(col(Case.id))).all()
    shelf.vault.keys.destroy([gone], now=FRIDAY_1640)
    with shelf.vault.keys.database.write() as session:
        session.connection().execute(
            text("UPDATE keystore_keys SET wrapped = :wrapped WHERE id = :id"), {"wrapped": bytes(60), "id": changed}
        )
    # As another process opens them: this one still has in memory the keys that it sealed with.
    shelf.vault = Vault(KeyStore(shelf.vault.keys.database, FixedSource("0f" * 32)))
    matches, looked = shelf.looked("coach")
    assert [match.id for match in matches] == [ids[4]]
    assert (looked.examined, looked.unreadable) == (5, 4)


def test_stops_at_its_budget_and_goes_on_without_gap_or_repeat(shelf: Shelf) -> None:
    ids = [shelf.case("coach") for _ in range(6)]
    at = FRIDAY_1640 + timedelta(minutes=3)
    ids += [shelf.decision(ids[0], "coach", at) for _ in range(3)]  # four things of the same moment
    found: list[str] = []
    cursor, rounds = None, 0
    while rounds == 0 or cursor:
        seconds = itertools.count()
        matches, looked = shelf.looked(
            "coach", clock=lambda ticks=seconds: float(next(ticks)), seconds=2, before=cursor
        )
        assert looked.examined <= 2
        found += [match.id for match in matches]
        cursor, rounds = looked.cursor and Cursor.parse(str(looked.cursor)), rounds + 1
    assert len(found) == len(set(found)) == 9
    assert found == shelf.found("coach")
    assert rounds == 5


def test_with_no_time_at_all_it_still_gets_on(shelf: Shelf) -> None:
    newest, oldest = [shelf.case("coach") for _ in range(2)][::-1]
    matches, looked = shelf.looked("coach", clock=itertools.count().__next__, seconds=0)
    assert [match.id for match in matches] == [newest]
    assert looked.back_to == matches[0].at
    assert looked.cursor == matches[0].cursor
    assert shelf.found("coach", before=looked.cursor) == [oldest]


async def test_a_child_streams_and_the_words_stay_nowhere(
    shelf: Shelf, caplog: pytest.LogCaptureFixture, database_url: str
) -> None:
    caplog.set_level(logging.DEBUG)
    ids = [shelf.case(f"a {CANARY} under the staircase") for _ in range(3)]
    words = Words([CANARY])
    async with searching.search(
        shelf.database, shelf.vault, words, actor="terminal:amina", now=FRIDAY_1640, seconds=30, allowed=ids[1].__ne__
    ) as running:
        process = Path(f"/proc/{running.pid}")
        seen = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        found = [match async for match in running]
    assert [(match.id, match.case_id, match.reference) for match in found] == [
        (ids[2], ids[2], "LADO-26-3"),
        (ids[0], ids[0], "LADO-26-1"),
    ]
    assert running.looked == Looked(3, 0, FRIDAY_1640 + timedelta(minutes=1), None)
    assert not process.exists()
    with shelf.database.read() as session:
        entries = session.exec(select(AuditEntry).order_by(col(AuditEntry.seq))).all()
        assert not list(audit.broken_links(session))
    assert [(entry.chain, entry.actor, entry.act) for entry in entries] == [
        (audit.SERVICE_CHAIN, "terminal:amina", "search_began"),
        (audit.SERVICE_CHAIN, "terminal:amina", "searched"),
    ]
    hashed = shelf.vault.blind("search", CANARY)
    assert [entry.detail for entry in entries] == [{"words": hashed}, {"words": hashed, "matches": 2}]
    recorded = json.dumps([entry.model_dump(mode="json") for entry in entries])
    for where in (recorded, caplog.text, repr(words), repr(running), seen.decode()):
        assert CANARY not in where
        assert "0f" * 32 not in where
    assert database_url not in seen.decode()


async def test_a_search_stops_at_a_number_of_matches_and_goes_on_from_there(shelf: Shelf) -> None:
    ids = [shelf.case("coach") for _ in range(5)]
    hidden, before, found = ids[3], None, []
    for expected in ([4, 2], [1, 0], []):
        async with searching.search(
            shelf.database,
            shelf.vault,
            Words(["coach"]),
            actor="terminal:amina",
            now=FRIDAY_1640,
            limit=2,
            before=before,
            allowed=lambda case: case != hidden,
        ) as search:
            found = [match.id async for match in search]
        assert found == [ids[number] for number in expected]
        assert search.looked is not None
        before = search.looked.cursor
    assert before is None


async def test_a_child_imports_nothing_from_the_folder_where_it_is_started(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "heapq.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    async with searching.search(
        shelf.database, shelf.vault, Words(["coach"]), actor="terminal:amina", now=FRIDAY_1640
    ) as found:
        assert [match async for match in found] == []
    assert not (tmp_path / "imported").exists()


async def test_a_search_that_is_left_leaves_no_child_and_is_on_the_record(shelf: Shelf) -> None:
    for _ in range(3):
        shelf.case("coach")
    async with searching.search(
        shelf.database, shelf.vault, Words(["coach"]), actor="slack:T/U", now=FRIDAY_1640, seconds=30
    ) as running:
        async for _ in running:
            break
    assert not Path(f"/proc/{running.pid}").exists()
    with shelf.database.read() as session:
        last = session.exec(select(AuditEntry).order_by(col(AuditEntry.seq).desc())).first()
    assert last is not None
    assert last.detail["matches"] == 1


async def test_a_child_that_is_killed_or_meets_a_fault_says_so_without_a_word(shelf: Shelf) -> None:
    async with searching.search(
        shelf.database, shelf.vault, Words(["coach"]), actor="slack:T/U", now=FRIDAY_1640
    ) as running:
        os.kill(running.pid, 9)
        with pytest.raises(searching.SearchFailed) as failure:
            [match async for match in running]
    assert failure.value.code == "died"
    shelf.case("coach")
    shelf.run("UPDATE messages SET case_id = NULL")
    shelf.run("DELETE FROM cases")
    shelf.run("ALTER TABLE decisions RENAME TO elsewhere")
    async with searching.search(
        shelf.database, shelf.vault, Words(["coach"]), actor="slack:T/U", now=FRIDAY_1640
    ) as running:
        with pytest.raises(searching.SearchFailed) as failure:
            [match async for match in running]
    assert failure.value.code in {"OperationalError", "ProgrammingError"}


def test_the_child_dies_with_its_parent() -> None:
    # A database that takes connections and never answers, so that the child is in the middle of its work. It is ours and
    # not the parent's: else its end would be the child's, whether or not the child had noticed its parent's.
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"postgresql://u@127.0.0.1:{deaf.getsockname()[1]}/x"
        order = {
            "database": url,
            "keys": url,
            "masters": ["0f" * 32],
            "libpq": {},
            "words": ["w"],
            "officer": None,
            "since": None,
            "before": None,
            "seconds": 5,
        }
        parent = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import subprocess, sys, time\n"
                "child = subprocess.Popen([sys.executable, '-m', 'intake_bot.searching'], stdin=subprocess.PIPE,\n"
                "                         stdout=subprocess.DEVNULL)\n"
                "child.stdin.write(sys.stdin.buffer.readline())\n"
                "child.stdin.flush()\n"
                "print(child.pid, flush=True)\n"
                "time.sleep(60)\n",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with parent:
            assert parent.stdin is not None
            assert parent.stdout is not None
            parent.stdin.write(json.dumps(order).encode() + b"\n")
            parent.stdin.flush()
            child = int(parent.stdout.readline())
            deaf.settimeout(20)
            connection, _ = deaf.accept()
            watch = os.pidfd_open(child)
            try:
                assert not _ends(watch, seconds=0)
                parent.kill()
                assert _ends(watch, seconds=10)
            finally:
                os.close(watch)
                connection.close()


def _ends(pidfd: int, *, seconds: float) -> bool:
    import select as waiting

    return bool(waiting.select([pidfd], [], [], seconds)[0])


TEXT = st.text(st.sampled_from("aAbBßéÉ’'-*_ \u0301\u00ad\n\"\\İłŁﬁ🙂ΣςĦ0９"), max_size=30)


@settings(max_examples=300, deadline=None)
@given(body=TEXT, words=TEXT)
def test_the_quick_look_never_misses_what_the_long_one_finds(body: str, words: str) -> None:
    try:
        wanted = Words([words])
    except NoWords:
        return
    content = json.dumps({"body_text": body}, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )
    if wanted.are_in([body]):
        assert wanted.may_be_in(content)
    assert Words(wanted.canonical).canonical == wanted.canonical
    if not words.count("*"):
        assert wanted.are_in([words]), "every text has its own words"


def test_folding() -> None:
    assert fold("ÉCOLE Straße Łódź ﬁne Æ") == "ecole strasse lodz fine ae"


@pytest.mark.parametrize("words", [[], [""], ["*"], ["--", "?!"], [f"w{number}" for number in range(21)]])
def test_no_words_or_too_many_are_refused(words: list[str]) -> None:
    with pytest.raises(NoWords):
        Words(words)


@pytest.mark.parametrize(
    "cursor", ["", "x", "2026-11-27T16:40:00/01A", "2026-11-27T16:40:00Z", "2026-11-27T16:40:00Z/a b"]
)
def test_a_cursor_of_somebody_else_s_is_refused(cursor: str) -> None:
    with pytest.raises(WrongCursor):
        Cursor.parse(cursor)


def test_the_command_says_how_far_it_looked(tmp_path: Path) -> None:
    program = (
        "import typer\nfrom intake_bot import search_commands\napp = typer.Typer()\nsearch_commands.add_to(app)\napp()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "-", "--data", str(tmp_path / "data"), "--json"],
        input="coach",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=os.environ | {"XDG_CONFIG_HOME": str(tmp_path / "config")},
    )
    assert json.loads(done.stdout) == {
        "matches": 0,
        "examined": 0,
        "unreadable": 0,
        "back_to": None,
        "cursor": None,
    }


def test_the_command_refuses_what_it_cannot_look_for() -> None:
    app = typer.Typer()
    search_commands.add_to(app)
    for arguments in (["coach", "--before", "nonsense"], ["?!"], ["coach", "--since", "yesterday"]):
        assert CliRunner().invoke(app, arguments).exit_code == 2
