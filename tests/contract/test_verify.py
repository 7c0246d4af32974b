"""``verify``: whatever is changed, moved, swapped or taken away is named (invariants 10 and 12)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlmodel import Session, select

from conftest import FRIDAY_1640
from contract.test_audit import unguard
from contract.test_casework import Desk, referral
from intake_bot.casework import views
from intake_bot.casework.practice import Practice
from storage import audit, shredding
from storage.engine import Database
from storage.tables import Case
from storage.verify import faults, signing_key


@pytest.fixture
def desk(database: Database, practice: Practice) -> Desk:
    """Two cases, one of them decided, every head signed."""
    desk = Desk(database, practice)
    first = desk.opened()
    desk.opened(sender="other@school.example")
    desk.perform(referral(first.case_id))
    with database.write() as session:
        signed = audit.sign_heads(session, signing_key(practice.vault.keys), now=FRIDAY_1640)
        assert signed is not None
    practice.vault.keys.note_signed_head(f"{signed.seq}:{signed.hash}")
    return desk


def found(desk: Desk) -> list[str]:
    with desk.database.read() as session:
        return list(faults(session, desk.practice.vault))


def tamper(desk: Desk, *statements: str) -> None:
    with desk.database.engine.begin() as connection:
        unguard(connection)
        if desk.database.is_sqlite:
            connection.execute(text("PRAGMA defer_foreign_keys=ON"))
        for statement in statements:
            connection.execute(text(statement))


def test_a_whole_record_has_no_fault(desk: Desk) -> None:
    assert found(desk) == []


@pytest.mark.parametrize("table", ["raw", "spool", "messages", "participants", "suggestions", "decisions", "outbox"])
def test_a_changed_value_is_named(table: str, desk: Desk) -> None:
    column = "data" if table == "raw" else "content"
    row = "address_key" if table == "participants" else "id"
    with desk.database.engine.begin() as connection:
        identity, value = connection.execute(text(f"SELECT {row}, {column} FROM {table} ORDER BY {row}")).first() or (
            "",
            b"",
        )
        changed = bytes(value[:-1]) + bytes([value[-1] ^ 1])
        connection.execute(text(f"UPDATE {table} SET {column} = :v WHERE {row} = :id"), {"v": changed, "id": identity})
    assert f"{table}/{identity}/{column}: was changed, or moved here from another place" in found(desk)


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        # One case's words shown as another's.
        (
            [
                "UPDATE suggestions SET content = (SELECT content FROM suggestions ORDER BY id LIMIT 1) "
                "WHERE id = (SELECT id FROM suggestions ORDER BY id DESC LIMIT 1)"
            ],
            "was changed, or moved here",
        ),
        (["UPDATE messages SET case_id = (SELECT max(id) FROM cases)"], "was changed, or moved here"),
        (["UPDATE raw SET sha256 = 'x'"], "is not what its hash says"),
        (["UPDATE raw SET data = 'plain words'"], "is not a sealed value"),
        (["DELETE FROM suggestions", "DELETE FROM decisions"], "is on the record"),
        (["UPDATE audit SET act = 'released' WHERE act = 'decided'"], "was changed"),
        (
            [
                "DELETE FROM audit WHERE chain = (SELECT min(chain) FROM audit_heads)",
                "DELETE FROM audit_heads WHERE chain = (SELECT min(chain) FROM audit_heads)",
            ],
            "was signed and is gone",
        ),
        (["DELETE FROM audit_signed_heads"], "signed head 1: is missing"),
        # A purge that nobody ordered: the case's row says so, the record does not.
        (
            [
                "UPDATE cases SET purged_at = received_at",
                "UPDATE messages SET content = ''",
                "DELETE FROM suggestions",
            ],
            "says that it was purged, and the record does not",
        ),
        (
            [
                "DELETE FROM suggestions",
                "UPDATE spool SET message_id = NULL",
                "DELETE FROM messages WHERE direction = 'in'",
            ],
            "is on the record",
        ),
        (
            ["UPDATE messages SET raw_id = (SELECT max(id) FROM raw) WHERE direction = 'in'"],
            "its raw bytes are another message's",
        ),
        (["UPDATE cases SET key_id = (SELECT max(key_id) FROM cases)"], "is not sealed under the key that is named"),
        (["UPDATE raw SET key_id = 'x'"], "is not sealed under the key that is named beside it"),
    ],
)
def test_tampering_is_named(statements: list[str], named: str, desk: Desk) -> None:
    if "plain words" in statements[0] and not desk.database.is_sqlite:
        statements = ["UPDATE raw SET data = 'plain words'::bytea"]
    tamper(desk, *statements)
    assert any(named in fault for fault in found(desk))


def test_a_key_that_was_taken_away_or_changed_is_named(desk: Desk) -> None:
    with desk.database.read() as session:
        key_id = session.execute(text("SELECT key_id FROM cases ORDER BY id LIMIT 1")).scalar()
    keys = desk.practice.vault.keys
    with keys.database.engine.begin() as connection:
        connection.execute(text("DELETE FROM keystore_keys WHERE id = :id"), {"id": key_id})
    keys._opened.clear()
    assert any("its key is not in the key store" in fault for fault in found(desk))


def test_a_lost_signed_head_is_not_covered_up(desk: Desk) -> None:
    with desk.database.read() as session:
        newest = audit.latest_signed(session)
        assert newest is not None
        assert audit.follows(newest, f"{newest.seq}:{newest.hash}")
        assert audit.follows(newest, "0:x")
        assert not audit.follows(newest, f"{newest.seq}:another")
        assert not audit.follows(newest, "2:x")
    assert not audit.follows(None, "1:x")


def test_a_purge_destroys_no_key_that_a_changed_column_names(desk: Desk) -> None:
    with desk.database.write() as session:
        first, second = session.exec(select(Case).order_by(Case.id)).all()
        session.execute(text("UPDATE raw SET key_id = :k"), {"k": second.key_id})
        first.key_id = second.key_id
        session.add(first)
        session.flush()
        shredding.shred(session, desk.practice.vault, first, now=FRIDAY_1640)
        other = second.key_id
    shredding.finish(desk.database, desk.practice.vault.keys, now=FRIDAY_1640)
    assert desk.practice.vault.keys.cipher(other)


def test_a_purge_that_ends_while_the_proof_is_running_is_no_fault(desk: Desk) -> None:
    with desk.database.read() as session:
        case_id = session.exec(select(Case.id)).first()
        with desk.database.write() as other:
            case = other.get_one(Case, case_id)
            shredding.shred(other, desk.practice.vault, case, now=FRIDAY_1640)
            audit.record(other, case.id, at=FRIDAY_1640, actor="system:intake-bot", act="purged")
        shredding.finish(desk.database, desk.practice.vault.keys, now=FRIDAY_1640)
        assert list(faults(session, desk.practice.vault)) == []


def test_what_a_restored_backup_brings_back_of_a_purged_case_is_purged_again(desk: Desk) -> None:
    """An older backup holds the case whole, but for its key, which is on the list of what was destroyed."""
    keys = desk.practice.vault.keys
    with desk.database.read() as session:
        case = session.exec(select(Case).order_by(Case.id)).first()
        assert case is not None
    keys.destroy([case.key_id], now=FRIDAY_1640)
    assert any("its key is not in the key store" in fault for fault in found(desk))
    assert shredding.bury(desk.database, desk.practice.vault, now=FRIDAY_1640) == 1
    assert shredding.bury(desk.database, desk.practice.vault, now=FRIDAY_1640) == 0
    assert found(desk) == []
    with desk.database.read() as session:
        shown = views.show_json(session, desk.practice, session.get_one(Case, case.id))
    assert shown["purged_at"] is not None
    assert shown["audit"][-1]["act"] == "purged"


def test_a_case_whose_row_names_a_destroyed_key_is_not_buried_with_it(desk: Desk) -> None:
    keys = desk.practice.vault.keys
    gone = keys.new_key()
    keys.destroy([gone], now=FRIDAY_1640)
    tamper(desk, f"UPDATE cases SET key_id = '{gone}'")
    assert shredding.bury(desk.database, desk.practice.vault, now=FRIDAY_1640) == 0
    assert any("is not sealed under the key that is named beside it" in fault for fault in found(desk))


def test_heads_that_are_signed_while_the_proof_is_running_are_no_fault(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at_links = audit.broken_links

    def meanwhile(session: Session) -> Iterator[str]:
        yield from look_at_links(session)
        sign(desk)

    monkeypatch.setattr(audit, "broken_links", meanwhile)
    assert found(desk) == []


def sign(desk: Desk) -> None:
    desk.opened(sender="third@school.example")
    with desk.database.write() as session:
        signed = audit.sign_heads(session, signing_key(desk.practice.vault.keys), now=FRIDAY_1640)
    assert signed is not None
    desk.practice.vault.keys.note_signed_head(f"{signed.seq}:{signed.hash}")


def test_nothing_that_verify_says_is_content(desk: Desk) -> None:
    tamper(desk, "UPDATE raw SET sha256 = 'x'", "UPDATE messages SET case_id = (SELECT max(id) FROM cases)")
    said = "\n".join(found(desk))
    assert said
    for private in ("Farrier", "dsl@school.example", "Words number", "grabbed"):
        assert private not in said
