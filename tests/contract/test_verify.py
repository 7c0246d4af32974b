"""``verify``: whatever is changed, moved, swapped or taken away is named (invariants 10 and 12)."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from conftest import FRIDAY_1640
from contract.test_audit import unguard
from contract.test_casework import Desk, referral
from intake_bot.casework.practice import Practice
from storage import audit
from storage.engine import Database
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


def test_nothing_that_verify_says_is_content(desk: Desk) -> None:
    tamper(desk, "UPDATE raw SET sha256 = 'x'", "UPDATE messages SET case_id = (SELECT max(id) FROM cases)")
    said = "\n".join(found(desk))
    assert said
    for private in ("Farrier", "dsl@school.example", "Words number", "grabbed"):
        assert private not in said
