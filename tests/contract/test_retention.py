"""Retention's promises on both databases: no clock closes or destroys, and what is destroyed opens with nothing left."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlmodel import SQLModel, col, select

from conftest import FRIDAY_1640
from contract.test_casework import AMINA, BEN, SUGGESTION, Desk, referral
from intake_bot.casework import access_export, officer, retention, views
from intake_bot.casework.access_export import Match, Person
from intake_bot.casework.acts import Claim, Conclude, Decide
from intake_bot.casework.calendar import WorkingCalendar
from intake_bot.casework.desk import SYSTEM, Actor
from intake_bot.casework.history import history
from intake_bot.casework.practice import Practice, RetentionRules
from intake_bot.casework.receive import Filed
from intake_bot.casework.retention import Why
from intake_bot.casework.vocabulary import CaseOutcome, DecisionKind, Remark
from intake_bot.slack.acts import pack
from intake_bot.slack.cards import card_blocks
from intake_bot.slack.modals import view_modal
from storage import audit, outbox, shredding, spool, verify
from storage.engine import Database
from storage.keys import FixedSource
from storage.keystore import KeyGone, KeyStore, KeyUnknown
from storage.outbox import Kind, Via
from storage.spool import Channel, Offer, Outcome
from storage.tables import (
    AuditEntry,
    Case,
    DecisionRow,
    Destruction,
    Link,
    Message,
    NoteRow,
    Outgoing,
    Participant,
    Raw,
    Spooled,
    SuggestionRow,
)
from storage.vault import Place, Tampered, Vault
from triage.vocabulary import Category

CANARY = "zylophantine marmalade"
MANAGER = Actor("terminal", "Morag")
LATER = FRIDAY_1640 + timedelta(days=2)
CENTURY = datetime(2150, 1, 1, tzinfo=UTC)


on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what no database has a say in, and for what is about SQLite's files."""


class Office(Desk):
    """A desk that brings cases to their end."""

    def consultation(self, *, decision: DecisionKind = DecisionKind.CONSULTATION, **facts: Any) -> Filed:
        filed = self.opened(**({"body_text": f"{CANARY} {self._made}", "subject": CANARY} | facts))
        assert filed.case_id is not None
        if decision is DecisionKind.REFERRAL:
            act = referral(filed.case_id)
        else:
            act = Decide(filed.case_id, AMINA, decision, Category.CONDUCT, (), f"{CANARY}: advice given.")
        assert isinstance(self.perform(act), officer.Done)
        return filed

    def conclude(
        self, filed: Filed, outcome: CaseOutcome | None = None, *, now: datetime = LATER, **more: Any
    ) -> officer.Done | officer.Refused:
        assert filed.case_id is not None
        return self.perform(Conclude(filed.case_id, AMINA, outcome, f"{CANARY}: done.", **more), now=now)

    def concluded(self, **facts: Any) -> Filed:
        filed = self.consultation(**facts)
        assert isinstance(self.conclude(filed), officer.Done)
        return filed

    def purge(self, filed: Filed, *, now: datetime = CENTURY, finish: bool = True, **more: Any) -> Any:
        assert filed.case_id is not None
        facts: dict[str, Any] = {"by": MANAGER, "reason": "Reviewed."} | more
        with self.database.write() as session:
            result = retention.purge(session, self.practice, filed.case_id, now=now, **facts)
        if finish:
            self.finish(now)
        return result

    def finish(self, now: datetime = CENTURY) -> int:
        return shredding.finish(self.database, self.practice.vault.keys, now=now)

    def hold(self, filed: Filed, *, lift: bool = False, reason: str = f"{CANARY}: the inquiry asks.") -> Any:
        assert filed.case_id is not None
        act = retention.lift if lift else retention.hold
        with self.database.write() as session:
            return act(session, self.practice, filed.case_id, by=AMINA, reason=reason, now=LATER)

    def case(self, filed: Filed) -> Case:
        with self.database.read() as session:
            return session.get_one(Case, filed.case_id)

    def rows(self, table: type[Any], *where: Any) -> list[Any]:
        with self.database.read() as session:
            return list(session.exec(select(table).where(*where)).all())

    def due(self, now: datetime = CENTURY) -> list[tuple[str, bool]]:
        with self.database.read() as session:
            return [(due.reference, due.hold) for due in retention.due_for_review(session, now=now)]

    def sealed(self) -> list[tuple[Place, bytes]]:
        """Every sealed value of the database at its place."""
        found = [(Place("raw", row.id, "data"), row.data) for row in self.rows(Raw)]
        found += [(Place("spool", row.id, "content"), row.content) for row in self.rows(Spooled)]
        for table in (Message, SuggestionRow, DecisionRow, NoteRow, Outgoing):
            found += [(Place(table.__tablename__, r.id, "content", r.case_id), r.content) for r in self.rows(table)]
        found += [
            (Place("participants", row.address_key, "content", row.case_id), row.content)
            for row in self.rows(Participant)
        ]
        return found

    def chains_hold(self) -> bool:
        with self.database.read() as session:
            return not list(audit.broken_links(session))


@pytest.fixture
def office(database: Database, practice: Practice) -> Office:
    return Office(database, practice)


def opens(vault: Vault, place: Place, sealed: bytes) -> bool:
    try:
        vault.open(place, sealed)
    except (KeyGone, Tampered):
        return False
    return True


def dump(database: Database) -> str:
    """Everything that stands in the content database."""
    with database.read() as session:
        return repr([session.connection().execute(table.select()).all() for table in SQLModel.metadata.sorted_tables])


# ---- concluding


def test_a_referral_is_concluded_with_one_of_five_outcomes(office: Office) -> None:
    for outcome in CaseOutcome:
        filed = office.consultation(decision=DecisionKind.REFERRAL)
        assert isinstance(office.conclude(filed, outcome), officer.Done)
        case = office.show(filed)
        assert (case["status"], case["outcome"], case["concluded_at"]) == ("concluded", outcome, "2026-11-29T16:40:00Z")
        assert case["review_at"][:4] == str(2026 + office.practice.retention.years(outcome))
        month = next(deadline for deadline in case["deadlines"] if deadline["target"] == "one_month")
        assert (month["state"], month["met_at"]) == ("met", "2026-11-29T16:40:00Z")
        assert {r["state"] for r in case["reminders"]} == {"cancelled"}
        assert "concluded" in {r["cancelled_because"] for r in case["reminders"]}
        assert [note["text"] for note in case["notes"]] == [f"{CANARY}: done."]
    assert office.tick(FRIDAY_1640 + timedelta(days=400)) == []
    updates = (col(Outgoing.kind) == Kind.CARD_UPDATE, col(Outgoing.case_id) == filed.case_id)
    assert office.count(Outgoing, *updates) == 2


def test_what_is_no_referral_is_concluded_without_an_outcome(office: Office) -> None:
    for decision in set(DecisionKind) - {DecisionKind.REFERRAL}:
        filed = office.consultation(decision=decision)
        assert isinstance(office.conclude(filed, CaseOutcome.UNFOUNDED), officer.Refused)
        assert isinstance(office.conclude(filed), officer.Done)
        case = office.show(filed)
        assert (case["outcome"], case["review_at"]) == (None, "2032-11-29T16:40:00Z")


@on_sqlite
def test_a_conclusion_needs_a_decision_an_outcome_a_note_and_a_time_between(office: Office) -> None:
    undecided = office.opened()
    assert isinstance(office.conclude(undecided), officer.Refused)
    filed = office.consultation(decision=DecisionKind.REFERRAL)
    assert filed.case_id is not None
    assert isinstance(office.conclude(filed), officer.Refused)
    assert isinstance(office.conclude(filed, CaseOutcome.FALSE, strip_names=True), officer.Refused)
    act = Conclude(filed.case_id, AMINA, CaseOutcome.FALSE, "Disproved.")
    assert isinstance(office.perform(replace(act, note=" ")), officer.Refused)
    for at in (FRIDAY_1640 - timedelta(seconds=1), LATER + timedelta(seconds=1)):
        assert isinstance(office.perform(act, now=LATER, at=at), officer.Refused)
    assert office.show(filed)["status"] == "decided"
    assert office.perform(act, now=LATER).changed  # type: ignore[union-attr]
    assert not office.perform(act, now=LATER).changed  # type: ignore[union-attr]
    other = replace(act, outcome=CaseOutcome.MALICIOUS, by=BEN)
    assert isinstance(office.perform(other, now=LATER), officer.Refused)
    assert isinstance(office.perform(Claim(filed.case_id, BEN), now=LATER), officer.Refused)


@on_sqlite
def test_the_record_of_a_conclusion_has_codes_and_the_hash_of_its_note(office: Office) -> None:
    filed = office.consultation(decision=DecisionKind.REFERRAL)
    office.conclude(filed, CaseOutcome.SUBSTANTIATED)
    (entry,) = office.rows(AuditEntry, col(AuditEntry.act) == "concluded")
    (note,) = office.rows(NoteRow)
    assert (entry.code, entry.detail["note"]) == ("substantiated", note.id)
    assert len(entry.detail["note_sha256"]) == 64
    assert CANARY not in dump(office.database)
    with office.database.read() as session:
        told = history(session, office.case(filed), office.practice.calendar.zone)
    assert any("concluded the case (substantiated)" in sentence for sentence in told)


@pytest.mark.parametrize(
    ("concluded", "years", "expected"),
    [
        ("2026-11-29T16:40:00+00:00", 6, "2032-11-29T16:40:00+00:00"),
        ("2028-02-29T12:00:00+00:00", 10, "2038-02-28T12:00:00+00:00"),
        ("2028-02-29T12:00:00+00:00", 4, "2032-02-29T12:00:00+00:00"),
        # Local time of day is kept: 2126-07-01 is summer time too.
        ("2026-06-30T23:30:00+00:00", 100, "2126-06-30T23:30:00+00:00"),
    ],
)
def test_years_are_calendar_years(concluded: str, years: int, expected: str) -> None:
    moment = retention.review_at(WorkingCalendar(), datetime.fromisoformat(concluded), years)
    assert moment == datetime.fromisoformat(expected)


def test_no_number_of_years_is_too_many() -> None:
    assert retention.review_at(WorkingCalendar(), LATER, 10**6).year == 9000


# ---- losing the content at once


def test_what_is_to_lose_its_names_loses_its_content_when_it_is_concluded(office: Office) -> None:
    bodies = {"no_names": "I would like to consult on a no-names basis.", "choice": "Words.", "rule": "More words."}
    for way, body in bodies.items():
        if way == "rule":
            office.practice = replace(office.practice, retention=RetentionRules(strip_below_threshold=True))
        filed = office.consultation(body_text=f"{body} {CANARY}")
        done = office.conclude(filed, strip_names=way == "choice")
        assert isinstance(done, officer.Done)
        assert "content has gone" in done.said
        case = office.case(filed)
        assert (case.purged_at, case.status, case.sector) == (LATER, "concluded", "Education")
        assert office.finish(LATER) == 1
        purged = (col(AuditEntry.act) == "purged", col(AuditEntry.chain) == filed.case_id)
        assert [entry.code for entry in office.rows(AuditEntry, *purged)] == [
            "no_names" if way == "no_names" else "stripped"
        ]
    assert office.due() == []


@on_sqlite
def test_a_referral_is_not_stripped_whatever_words_it_began_with(office: Office) -> None:
    office.practice = replace(office.practice, retention=RetentionRules(strip_below_threshold=True))
    filed = office.consultation(decision=DecisionKind.REFERRAL, body_text="On a no-names basis, please.")
    assert office.case(filed).no_names
    office.conclude(filed, CaseOutcome.SUBSTANTIATED)
    assert office.case(filed).purged_at is None


@on_sqlite
def test_an_open_no_names_consultation_keeps_its_content(office: Office) -> None:
    filed = office.consultation(body_text=f"On a no-names basis: {CANARY}")
    office.tick(CENTURY)
    assert office.due() == []
    assert CANARY in json.dumps(office.show(filed))


def test_a_hold_keeps_it_until_an_officer_lifts_it(office: Office) -> None:
    filed = office.consultation(body_text=f"On a no-names basis: {CANARY}")
    assert isinstance(office.hold(filed, reason=" "), officer.Refused)
    assert isinstance(office.hold(filed), officer.Done)
    assert not office.hold(filed).changed
    office.conclude(filed)
    assert office.case(filed).purged_at is None
    assert CANARY in json.dumps(office.show(filed))
    assert isinstance(office.purge(filed), officer.Refused)
    assert isinstance(office.hold(filed, lift=True), officer.Done)
    assert office.case(filed).purged_at == LATER
    assert not office.hold(filed, lift=True).changed
    assert isinstance(office.hold(filed), officer.Refused)
    entries = office.rows(AuditEntry, col(AuditEntry.chain) == filed.case_id)
    acts = [entry.act for entry in sorted(entries, key=lambda entry: entry.seq) if entry.act != "target_met"]
    assert acts[acts.index("held") :] == ["held", "concluded", "hold_lifted", "purged"]
    assert CANARY not in dump(office.database)


def test_a_rule_that_came_after_the_conclusion_is_not_applied_when_a_hold_is_lifted(office: Office) -> None:
    filed = office.consultation()
    office.conclude(filed)
    office.hold(filed)
    office.practice = replace(office.practice, retention=RetentionRules(strip_below_threshold=True))
    assert isinstance(office.hold(filed, lift=True), officer.Done)
    assert office.case(filed).purged_at is None


# ---- review and purge


def test_what_is_due_is_listed_and_nothing_goes_without_a_word(office: Office) -> None:
    kept, held, gone = (office.concluded() for _ in range(3))
    office.consultation()
    office.hold(held)
    assert office.due(LATER + timedelta(days=365)) == []
    assert set(office.due()) == {(office.case(filed).reference, filed is held) for filed in (kept, held, gone)}
    office.tick(CENTURY)
    with office.database.write() as session:
        assert retention.purge_due(session, office.practice, now=CENTURY) == []
    assert office.rows(Destruction) == []
    assert isinstance(office.purge(gone), officer.Done)
    assert not office.purge(gone).changed
    assert {filed.case_id for filed in (kept, held)} == {
        case.id for case in office.rows(Case, col(Case.purged_at).is_(None), col(Case.concluded_at).is_not(None))
    }


def test_unattended_purge_takes_what_is_due_and_nothing_else(office: Office) -> None:
    office.practice = replace(office.practice, retention=RetentionRules(unattended_purge=True))
    due, held, late = office.concluded(), office.concluded(), office.consultation()
    office.hold(held)
    office.conclude(late, now=LATER + timedelta(days=30))
    now = datetime(2032, 12, 1, tzinfo=UTC)
    with office.database.write() as session:
        assert retention.purge_due(session, office.practice, now=now) == [office.case(due).reference]
        assert retention.purge_due(session, office.practice, now=now) == []
    (entry,) = office.rows(AuditEntry, col(AuditEntry.act) == "purged")
    assert (entry.code, entry.actor) == ("unattended", str(SYSTEM))


def test_a_manager_s_word_takes_all_that_is_due_batch_by_batch(office: Office) -> None:
    filed = [office.concluded() for _ in range(3)]
    with office.database.write() as session:
        first = retention.purge_due(session, office.practice, now=CENTURY, by=MANAGER, limit=2)
    with office.database.write() as session:
        second = retention.purge_due(session, office.practice, now=CENTURY, by=MANAGER, limit=2)
    assert [len(first), len(second)] == [2, 1]
    assert set(first + second) == {office.case(one).reference for one in filed}
    assert {entry.code for entry in office.rows(AuditEntry, col(AuditEntry.act) == "purged")} == {"review"}


@on_sqlite
def test_what_is_not_due_goes_early_with_a_reason_alone(office: Office) -> None:
    filed, open_case = office.concluded(), office.consultation()
    assert isinstance(office.purge(filed, now=LATER), officer.Refused)
    assert isinstance(office.purge(filed, now=LATER, why=Why.EARLY, reason=" "), officer.Refused)
    assert isinstance(office.purge(open_case, why=Why.EARLY), officer.Refused)
    assert isinstance(office.purge(filed, now=LATER, why=Why.EARLY), officer.Done)
    notes = {note["act"]: (note["by"], note["text"]) for note in office.show(filed)["notes"]}
    # What was said about the case has gone; why it was purged must be answered for.
    assert notes == {"concluded": (str(AMINA), None), "purged": (str(MANAGER), "Reviewed.")}


# ---- what a purge leaves


def full_case(office: Office) -> Filed:
    """A case with all that a case can have: a duplicate, another version, a reply, links, an act under way, a note."""
    filed = office.opened(message_id="<a@school.example>", body_text=CANARY, subject=CANARY)
    office.file(office.incoming(message_id="<a@school.example>", body_text=CANARY, subject=CANARY))
    office.file(office.incoming(message_id="<a@school.example>", body_text=f"{CANARY}, amended."))
    office.file(office.incoming(in_reply_to=("<a@school.example>",), body_text=f"More: {CANARY}"))
    stranger = office.file(office.incoming(sender="x@else.example", in_reply_to=("<a@school.example>",)))
    assert stranger.outcome is Outcome.OPENED
    office.perform(referral(filed.case_id))
    office.hold(filed)
    office.hold(filed, lift=True)
    office.conclude(filed, CaseOutcome.UNFOUNDED)
    case = office.case(filed)
    packed = pack(Decide(case.id, AMINA, DecisionKind.CONSULTATION, Category.NONE, (), CANARY))
    press = Offer(Channel.SLACK, packed, {}, LATER, key="press", case=(case.id, case.key_id))
    assert spool.accept(office.database, office.practice.vault, [press])[0]
    return filed


def test_after_a_purge_nothing_of_the_case_opens_and_nothing_else_is_touched(office: Office) -> None:
    other = office.consultation()
    before_other = office.show(other)
    filed = full_case(office)
    messages = [row.id for row in office.rows(Message, col(Message.case_id) == filed.case_id)]
    spooled = {row.id for row in office.rows(Spooled, col(Spooled.case_id) == filed.case_id)}
    assert len(spooled) == 5  # the duplicate and the act under way are among them
    vault = office.practice.vault
    before = office.sealed()
    assert all(opens(vault, place, sealed) for place, sealed in before)
    keys = {office.case(filed).key_id} | {row.key_id for row in office.rows(Raw, col(Raw.id).in_(spooled))}

    assert isinstance(office.purge(filed), officer.Done)

    assert {row.key_id for row in office.rows(Destruction)} == keys
    assert all(row.done_at == CENTURY for row in office.rows(Destruction))
    ours = [
        (place, sealed)
        for place, sealed in before
        if (place.case_id == filed.case_id or place.row in spooled)
        and not (place.table == "outbox" and vault_key(sealed) == vault.keys.service_key)
    ]
    assert len(ours) > 15
    assert [place for place, sealed in ours if opens(vault, place, sealed)] == []
    # What is left in the database is empty, or says nothing.
    for place, sealed in office.sealed():
        if place.case_id == filed.case_id and place.table not in ("outbox", "notes"):
            assert sealed == b""
        assert place.row not in spooled or place.table == "messages"
    left = [row for row in office.rows(Message) if row.case_id == filed.case_id]
    assert {row.id for row in left} == set(messages)
    assert {(row.rfc_key, row.root_key, row.sender_key, row.raw_id) for row in left} == {(None,) * 4}
    assert {row.identity for row in left} == {f"purged:{row.id}" for row in left}
    assert office.rows(Participant, col(Participant.case_id) == filed.case_id) == []
    assert office.rows(Link) == []
    letters = office.rows(Outgoing, col(Outgoing.case_id) == filed.case_id, col(Outgoing.channel) == Via.MAIL)
    assert {(row.address_key, row.words_key, row.mail_id, row.state) for row in letters} == {
        (None, None, None, "cancelled")
    }
    assert office.show(other) == before_other
    with office.database.read() as session:
        assert list(verify.faults(session, vault)) == []


def test_a_purge_destroys_the_key_of_bytes_that_were_damaged(office: Office) -> None:
    """An older backup has them whole, and with the key they would open there for ever."""
    filed = office.consultation()
    address = office.practice.reply_address(office.case(filed).reply_tag)
    late = office.file(office.incoming(recipients=(address,)))
    with office.database.write() as session:
        raw = session.get_one(Raw, late.message_id)
        before, place = raw.data, Place("raw", raw.id, "data")
        raw.data = before[:-1] + bytes([before[-1] ^ 1])
        session.add(raw)
    assert opens(office.practice.vault, place, before)
    office.conclude(filed)
    office.purge(filed)
    assert not opens(office.practice.vault, place, before)


def test_mail_of_no_case_comes_up_for_review_and_goes_whole(office: Office) -> None:
    bounce = {
        "machine_reason": "dsn",
        "machine_opens_case": False,
        "message_id": "<dsn@x.example>",
        "sender": "mailer-daemon@x.example",
        "body_text": CANARY,
    }
    filed, again = (office.file(office.incoming(**bounce)) for _ in range(2))
    assert (filed.case_id, again.message_id) == (None, filed.message_id)
    kept = office.concluded()
    before = office.sealed()
    with office.database.read() as session:
        due = list(retention.unfiled_due(session, office.practice, now=FRIDAY_1640 + timedelta(days=364)))
        assert due == []
        now = FRIDAY_1640 + timedelta(days=366)
        assert [message_id for message_id, _ in retention.unfiled_due(session, office.practice, now=now)] == [
            filed.message_id
        ]
    with office.database.write() as session:
        assert retention.purge_unfiled(session, office.practice, now=now) == 0
        assert retention.purge_unfiled(session, office.practice, now=now, by=MANAGER) == 1
        assert retention.purge_unfiled(session, office.practice, now=now, by=MANAGER) == 0
    office.finish(now)
    left = office.sealed()
    gone = [(place, sealed) for place, sealed in before if place not in {place for place, _ in left}]
    assert sorted(place.table for place, _ in gone) == ["messages", "raw", "raw", "spool", "spool"]
    assert [place for place, sealed in gone if opens(office.practice.vault, place, sealed)] == []
    assert CANARY in json.dumps(office.show(kept))
    with office.database.read() as session:
        assert list(verify.faults(session, office.practice.vault)) == []


def vault_key(sealed: bytes) -> str:
    return sealed[1:17].hex()


def test_what_figures_need_survives_a_purge(office: Office) -> None:
    filed = full_case(office)
    before = office.show(filed)
    office.purge(filed)
    after = office.show(filed)
    for kept in ("case", "received_at", "sector", "channel", "category", "threshold", "decision", "outcome", "officer",
                 "concluded_at", "status", "deadlines", "reminders"):  # fmt: skip
        if kept != "decision":
            assert after[kept] == before[kept], kept
    assert after["decision"] == before["decision"] | {"reason": None}
    assert after["suggestion"]["category"] == before["suggestion"]["category"]
    assert after["suggestion"]["flags"] == before["suggestion"]["flags"]
    assert (after["suggestion"]["evidence"], after["suggestion"]["reason"]) == ([], "")
    assert [m["received_at"] for m in after["messages"]] == [m["received_at"] for m in before["messages"]]
    assert after["audit"][: len(before["audit"])] == before["audit"]
    assert after["purged_at"] == "2150-01-01T00:00:00Z"
    assert after["reply_address"] is None


def test_a_purged_case_can_be_looked_at_everywhere(office: Office) -> None:
    filed = full_case(office)
    office.purge(filed)
    case = office.case(filed)
    zone = office.practice.calendar.zone
    with office.database.read() as session:
        card = views.card(session, case)
        view = views.whole(session, office.practice, case)
        listed = list(views.messages_json(session, office.practice))
        assert views.attachment(session, office.practice, case, 1) is None
    assert Remark.PURGED in card.remarks
    assert "Purged" in json.dumps(card_blocks(card, zone))
    modal = json.dumps(view_modal(view, zone))
    assert "Purged on Thursday 1 January 2150" in modal
    assert CANARY not in modal + json.dumps(listed) + json.dumps(office.show(filed))
    assert view.decision is not None
    assert "Purged on" in view.decision.reason
    # The card is drawn anew.
    parcels = outbox.take(office.database, office.practice.vault, via=Via.DESK, now=CENTURY, lease=timedelta(1),
                          worker="t", limit=99)  # fmt: skip
    assert any(parcel.content.get("revision") == case.revision for parcel in parcels)


def test_nothing_joins_a_tombstone(office: Office) -> None:
    filed = office.concluded(message_id="<late@school.example>")
    address = office.show(filed)["reply_address"]
    office.purge(filed)
    late = office.file(office.incoming(recipients=(address,), in_reply_to=("<late@school.example>",)))
    assert (late.outcome, office.show(late)["links"]) == (Outcome.OPENED, [])
    bounce = office.incoming(recipients=(address,), machine_reason="bounce", machine_opens_case=False)
    assert office.file(bounce, None).outcome is Outcome.UNFILED
    with pytest.raises(KeyUnknown), office.database.write() as session:
        retention.add_note(session, office.practice, office.case(filed), "note", by=AMINA, words="x", now=LATER)


# ---- two stores, and a crash between them


def test_a_crash_between_the_stores_leaves_nothing_alive(office: Office) -> None:
    filed = full_case(office)
    before = [(place, sealed) for place, sealed in office.sealed() if place.case_id == filed.case_id]
    office.purge(filed, finish=False)  # and here the process dies
    ordered = office.rows(Destruction)
    assert ordered
    assert all(row.done_at is None for row in ordered)
    assert office.finish() == len(ordered)
    assert office.finish() == 0
    vault = office.practice.vault
    assert not any(
        opens(vault, place, sealed) for place, sealed in before if vault_key(sealed) != vault.keys.service_key
    )


def test_a_crash_after_the_keys_and_before_the_mark_is_made_good(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = office.concluded()
    office.purge(filed, finish=False)
    keys = office.practice.vault.keys
    destroy = KeyStore.destroy

    def dies(store: KeyStore, ids: Any, *, now: datetime) -> int:
        destroy(store, ids, now=now)
        raise RuntimeError

    monkeypatch.setattr(KeyStore, "destroy", dies)
    with pytest.raises(RuntimeError):
        office.finish()
    monkeypatch.undo()
    assert [row.done_at for row in office.rows(Destruction)] == [None]
    assert office.finish() == 1
    assert [key for key, _ in keys.destroyed()] == [row.key_id for row in office.rows(Destruction)]


@on_sqlite
def test_a_purge_that_fails_half_way_has_not_happened(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    filed = full_case(office)
    before = office.show(filed)
    monkeypatch.setattr(retention.desk_queue, "update_card", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        office.purge(filed)
    assert office.finish() == 0
    assert office.show(filed) == before


def test_what_was_under_way_during_a_purge_goes_too_and_holds_nobody_up(office: Office) -> None:
    filed = office.consultation()
    case = office.case(filed)
    vault = office.practice.vault
    (parcel,) = office.letters()
    office.conclude(filed, strip_names=True)
    office.finish(LATER)
    # A press accepted under the old key, a duplicate that was just being filed, a letter whose sending failed.
    raw_key = vault.keys.new_key()
    for identity, key in (("PRESS", None), ("COPY", raw_key)):
        with office.database.write() as session:
            data = vault.seal(Place("raw", identity, "data"), b"?", key=key) if key else b"?"
            session.add(Raw(id=identity, key_id=key or case.key_id, size=1, sha256="", data=data))
            session.flush()
            session.add(
                Spooled(id=identity, channel="slack", received_at=LATER, raw_id=identity, content=b"?", case_id=case.id,
                        available_at=LATER)
            )  # fmt: skip
    with office.database.write() as session:
        outbox.failed(session, parcel.id, "relay", now=LATER)
    assert outbox.take(office.database, vault, via=Via.MAIL, now=CENTURY, lease=timedelta(0), worker="t", limit=9)
    with office.database.write() as session:
        outbox.failed(session, parcel.id, "fault", now=LATER)
    assert office.finish(LATER) == 1
    assert raw_key in {row.key_id for row in office.rows(Destruction, col(Destruction.done_at).is_not(None))}
    assert office.rows(Spooled, col(Spooled.case_id) == case.id) == []
    assert office.rows(Raw, col(Raw.id).in_(["PRESS", "COPY"])) == []
    assert outbox.take(office.database, vault, via=Via.MAIL, now=CENTURY, lease=timedelta(1), worker="t", limit=9) == []


# ---- copies of the files from before and after


def copy_of(folder: Path, to: Path, stem: str) -> Path:
    to.mkdir(exist_ok=True)
    for path in folder.glob(f"{stem}*"):
        shutil.copy(path, to / path.name)
    return to / stem


def opened_copy(content: Path, keys: Path) -> tuple[Office, Vault]:
    store = KeyStore(Database(f"sqlite:///{keys}"), FixedSource("0f" * 32))
    store.open()
    database = Database(f"sqlite:///{content}")
    return Office(database, None), Vault(store)  # type: ignore[arg-type]


@on_sqlite
def test_content_opens_with_the_keys_of_before_and_never_with_those_of_after(office: Office, tmp_path: Path) -> None:
    filed = full_case(office)
    keys = {office.case(filed).key_id} | {row.key_id for row in office.rows(Raw)}
    with office.practice.vault.keys.database.read() as session:
        wrapped = [
            row.wrapped
            for row in session.connection().execute(text("SELECT id, wrapped FROM keystore_keys"))
            if row.id in keys and row.wrapped
        ]
    identities = [row.identity for row in office.rows(Message, col(Message.case_id) == filed.case_id)]
    content_before = copy_of(tmp_path, tmp_path / "before", "test.db")
    keys_before = copy_of(tmp_path, tmp_path / "before", "keys.db")
    office.purge(filed)
    office.practice.vault.keys.give_back()
    keys_after = copy_of(tmp_path, tmp_path / "after", "keys.db")

    def readable(keys: Path) -> tuple[int, int]:
        then, vault = opened_copy(content_before, keys)
        values = [
            (place, sealed)
            for place, sealed in then.sealed()
            if place.case_id == filed.case_id and place.table in ("messages", "notes", "decisions", "suggestions")
        ]
        count = sum(opens(vault, place, sealed) for place, sealed in values)
        vault.keys.database.dispose()
        then.database.dispose()
        return count, len(values)

    opened, total = readable(keys_before)
    assert opened == total > 5
    assert readable(keys_after) == (0, total)
    gone = [one for one in wrapped if one not in files_of(tmp_path, "keys.db")]
    assert len(gone) == len({row.key_id for row in office.rows(Destruction)})
    # Nor do the keyed hashes by which the message could be found again lie about in the content's files.
    assert len(identities) == 4
    assert [one for one in identities if one.encode() in files_of(tmp_path, "test.db")] == []


def files_of(folder: Path, stem: str) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob(f"{stem}*"))


# ---- subject access


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("Mr Daniel Hartwell grabbed a pupil", Match.NAMED),
        ("HARTWELL, Daniel", Match.NAMED),
        ("Hartwell, Mr D.", Match.NAMED),
        ("D Hartwell", Match.NAMED),
        ("D.J. Hartwell", Match.NAMED),
        ("Daniel James Hartwell's class", Match.NAMED),
        ("daniel-hartwell@x.example", Match.NAMED),
        ("Mr. Hartwell’s", Match.NAMED),
        ("Dániel Hart\u00adwell", Match.NAMED),
        ("Mr Kevin Hartwell", Match.SURNAME),
        ("at Hartwell primary", Match.SURNAME),
        ("Daniel Hartwells", Match.NONE),
        ("Daniel Hart", Match.NONE),
        ("", Match.NONE),
    ],
)
def test_a_name_is_found_however_it_is_written(words: str, found: Match) -> None:
    for name in ("Daniel Hartwell", "hartwell, DANIEL", "Mr Daniel Hartwell"):
        assert Person(name).found_in(words) is found


def test_other_kinds_of_names() -> None:
    assert Person("Siân O'Brien").found_in("Sian O’Brien") is Match.NAMED
    assert Person("Anna Smith-Jones").found_in("Ms Smith Jones") is Match.NAMED
    assert Person("Pieter van der Berg").found_in("Mr van der Berg") is Match.NAMED
    assert Person("K Ambleforth").found_in("Mr Kestrel Ambleforth") is Match.NAMED
    assert Person("Hartwell").found_in("the Hartwell matter") is Match.NAMED
    assert Person("d.hartwell@x.example").found_in("Write to D.Hartwell@x.example.") is Match.NAMED
    assert Person("d.hartwell@x.example").found_in("add.hartwell@x.example") is Match.NONE
    for nobody in ("", "Mr", " , "):
        with pytest.raises(ValueError, match="no name"):
            Person(nobody)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_is_too_strange_to_look_through(before: str, after: str) -> None:
    assert Person("Daniel Hartwell").found_in(f"{before} Daniel Hartwell {after}") is Match.NAMED
    Person("a@b.example").found_in(before + after)


def test_what_is_held_about_one_person_is_written_and_recorded(office: Office, tmp_path: Path) -> None:
    named = office.consultation(body_text=f"D. Hartwell shouted. {CANARY} \x1b[2J", sender="dsl@school.example")
    by_reason = office.opened(body_text="A colleague.")
    assert by_reason.case_id is not None
    office.perform(
        Decide(by_reason.case_id, AMINA, DecisionKind.CONSULTATION, Category.NONE, (), "About Daniel Hartwell.")
    )
    to_check = office.opened(body_text="Hartwell again.")
    office.opened(body_text="Another matter.")
    purged = office.concluded(body_text="Daniel Hartwell, too.")
    office.purge(purged)
    folder = tmp_path / "export"
    done = access_export.export(
        office.database, office.practice, Person("Daniel Hartwell"), folder, by=AMINA, now=LATER
    )
    assert (done.cases, done.messages, done.to_check) == (2, 1, 1)
    names = {f"{office.case(filed).reference}.txt" for filed in (named, by_reason)}
    assert {path.name for path in folder.iterdir()} == names | {"index.txt"}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    written = (folder / f"{office.case(named).reference}.txt").read_text()
    for expected in (CANARY, "D. Hartwell", "advice given", "decided: consultation", "sector: Education"):
        assert expected in written
    assert "\x1b" not in written
    index = (folder / "index.txt").read_text()
    assert office.case(to_check).reference in index
    assert office.case(purged).reference not in index
    entries = office.rows(AuditEntry, col(AuditEntry.act) == "exported")
    assert {entry.chain for entry in entries} == {named.case_id, by_reason.case_id, audit.SERVICE_CHAIN}
    assert "artwell" not in repr([entry.detail for entry in entries]).casefold()
    # The person's keyed hash stands in the service's record alone: on a case it would outlive the case's purge.
    assert [entry.chain for entry in entries if "person" in entry.detail] == [audit.SERVICE_CHAIN]
    with pytest.raises(FileExistsError):
        access_export.export(office.database, office.practice, Person("X"), folder, by=AMINA, now=LATER)
    assert office.chains_hold()


@on_sqlite
def test_nothing_found_is_an_answer_too(office: Office, tmp_path: Path) -> None:
    office.file(office.incoming(machine_reason="bounce", machine_opens_case=False, body_text="To D Hartwell."), None)
    office.file(office.incoming(), SUGGESTION)
    done = access_export.export(
        office.database, office.practice, Person("Daniel Hartwell"), tmp_path / "a", by=AMINA, now=LATER
    )
    assert (done.cases, (tmp_path / "a" / "unfiled.txt").exists()) == (0, True)
    access_export.export(office.database, office.practice, Person("Ann Other"), tmp_path / "b", by=AMINA, now=LATER)
    assert "Nothing was found" in (tmp_path / "b" / "index.txt").read_text()
