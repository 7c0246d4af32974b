"""Advice on both databases: to whom, on what evidence, in one transaction, and what joins the case afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session, col, select

from conftest import FRIDAY_1640
from contract.test_bounces import bounce, notices
from contract.test_casework import AMINA, BEN, Desk, referral
from intake_bot.casework import advise, deadlines, letters, retention, views
from intake_bot.casework.acts import Advise, Conclude, Done, Refused
from intake_bot.casework.advise import Recipient
from intake_bot.casework.calendar import WorkingCalendar
from intake_bot.casework.practice import ADVICE, AdviceRules, Practice
from intake_bot.casework.receive import Filed
from storage import audit, outbox, shredding
from storage.engine import Database
from storage.ids import new_id
from storage.outbox import Kind
from storage.search import Words, scan
from storage.spool import Outcome
from storage.tables import AuditEntry, Case, Deadline, Message, Outgoing, Participant
from storage.vault import Place
from storage.verify import faults

DSL = "dsl@school.example"
WORDS = "Keep the footage of Friday. The tamarisk hinge stays between us."
CANARY = "tamarisk hinge"


@pytest.fixture
def desk(database: Database, practice: Practice) -> Desk:
    return Desk(database, practice)


def known(desk: Desk, filed: Filed) -> list[Recipient]:
    with desk.database.read() as session:
        return advise.recipients(session, desk.practice, session.get_one(Case, filed.case_id))


def one(desk: Desk, filed: Filed, address: str) -> Recipient:
    with desk.database.read() as session:
        return advise.recipient(session, desk.practice, session.get_one(Case, filed.case_id), address)


def act(filed: Filed, **changes: Any) -> Advise:
    assert filed.case_id is not None
    return replace(Advise(filed.case_id, AMINA, DSL, "none", WORDS), **changes)


def advice(desk: Desk, filed: Filed) -> list[outbox.Parcel]:
    return [parcel for parcel in desk.letters() if parcel.kind is Kind.ADVICE and parcel.case_id == filed.case_id]


def acts(session: Session, filed: Filed) -> list[AuditEntry]:
    return list(
        session.exec(
            select(AuditEntry).where(col(AuditEntry.chain) == filed.case_id).order_by(col(AuditEntry.seq))
        ).all()
    )


class TestToWhom:
    def test_the_referrer_by_what_their_messages_prove(self, desk: Desk) -> None:
        first = desk.opened(sender_trust="pass")
        assert known(desk, first) == [Recipient(DSL, "J Farrier", "pass", "wrote", is_referrer=True)]

    def test_an_address_is_believed_as_far_as_its_least_believable_message(self, desk: Desk) -> None:
        first = desk.opened(sender_trust="pass")
        desk.file(desk.incoming(recipients=(desk.show(first)["reply_address"],), sender_trust="none"))
        assert known(desk, first)[0].trust == "none"

    @pytest.mark.parametrize(("trust", "shown"), [("pass", "none"), ("fail", "fail")])
    def test_where_answers_are_asked_to_go_is_proven_by_nothing(self, trust: str, shown: str, desk: Desk) -> None:
        first = desk.opened(sender_trust=trust, answer_to="office@elsewhere.example")
        assert known(desk, first) == [
            Recipient("office@elsewhere.example", "", shown, "answers", is_referrer=True),
            Recipient(DSL, "J Farrier", trust, "wrote"),
        ]

    def test_somebody_new_is_new_and_then_an_officer_s(self, desk: Desk) -> None:
        first = desk.opened()
        assert one(desk, first, " head@oak.example ") == Recipient("head@oak.example", "", "none", "new")
        assert isinstance(desk.perform(act(first, to="head@oak.example")), Done)
        assert one(desk, first, "HEAD@oak.example").standing == "officer"
        with desk.database.read() as session:
            key = desk.practice.address_key("head@oak.example")
            assert session.get_one(Participant, (first.case_id, key)).source == "officer"


def test_advice_is_one_letter_one_message_and_one_entry_on_the_record(desk: Desk) -> None:
    first = desk.opened(message_id="<last@school.example>", references=("<root@school.example>",))
    assert desk.perform(act(first)) == Done(f"{first.reference}: the advice is on its way.")
    (parcel,) = advice(desk, first)
    case = desk.show(first)
    message = case["messages"][-1]
    assert parcel.content["to"] == DSL
    assert parcel.content["reply_to"] == case["reply_address"]
    assert parcel.content["in_reply_to"] == "<last@school.example>"
    assert parcel.content["references"] == ["<root@school.example>", "<last@school.example>"]
    assert parcel.content["original"] is None
    assert parcel.bounce_tag
    assert WORDS in parcel.content["text"]
    assert (message["direction"], message["body_text"], message["recipients"]) == ("out", WORDS, [DSL])
    assert message["message_id"] == parcel.mail_id
    assert message["full_text"] == parcel.content["text"]
    with desk.database.read() as session:
        entry = next(entry for entry in acts(session, first) if entry.act == "advised")
        assert (entry.actor, entry.code) == (str(AMINA), "none")
        assert entry.detail["note"] == entry.detail["message"] == message["id"]
        assert entry.detail["original"] is None
        assert list(faults(session, desk.practice.vault)) == []
        row = session.get_one(Message, message["id"])
        assert CANARY.encode() not in row.content
        assert [match.id for match in scan_for(desk, "tamarisk")] == [message["id"]]


def scan_for(desk: Desk, word: str) -> list[Any]:
    found = scan(desk.database, desk.practice.vault.keys, Words([word]), clock=lambda: 0.0)
    return [match for match in found if hasattr(match, "kind")]


def test_our_other_letters_are_not_searched(desk: Desk) -> None:
    desk.opened()
    assert scan_for(desk, "immediate") == []


def test_a_changed_letter_is_named_by_verify(desk: Desk) -> None:
    first = desk.opened()
    desk.perform(act(first))
    with desk.database.write() as session:
        row = session.exec(select(Message).where(col(Message.direction) == "out").order_by(col(Message.id))).all()[-1]
        place = Place("messages", row.id, "content", row.case_id)
        content = desk.practice.vault.open_json(place, row.content) | {"body_text": "Something else."}
        key = session.get_one(Case, first.case_id).key_id
        row.content = desk.practice.vault.seal_json(place, content, key=key)
        session.add(row)
    with desk.database.read() as session:
        assert [fault for fault in faults(session, desk.practice.vault) if "is not what went on the record" in fault]


def test_the_words_are_on_no_card_in_no_notice_and_not_on_the_record(desk: Desk) -> None:
    first = desk.opened()
    desk.perform(act(first, to="head@oak.example"))
    with desk.database.read() as session:
        said = [repr((entry.actor, entry.code, entry.detail)) for entry in acts(session, first)]
        card = repr(views.card(session, session.get_one(Case, first.case_id)))
        desk_rows = session.exec(select(Outgoing).where(col(Outgoing.channel) == "desk")).all()
        opened = [
            repr(desk.practice.vault.open_json(Place("outbox", row.id, "content", row.case_id), row.content))
            for row in desk_rows
        ]
        history = repr(views.whole(session, desk.practice, session.get_one(Case, first.case_id)).history)
    for text in (*said, card, *opened, history):
        assert CANARY not in text
        assert "oak.example" not in text
    assert "wrote advice by email (sender authentication: none)" in history


class TestTheReply:
    def test_of_whoever_was_written_to_joins_the_case(self, desk: Desk) -> None:
        first = desk.opened()
        desk.perform(act(first, to="head@oak.example"))
        reply = desk.incoming(sender="head@oak.example", recipients=(desk.show(first)["reply_address"],))
        assert desk.file(reply).case_id == first.case_id
        (parcel,) = advice(desk, first)
        again = desk.incoming(sender="head@oak.example", in_reply_to=(parcel.mail_id,))
        assert desk.file(again).case_id == first.case_id

    def test_of_their_machine_is_kept_and_is_not_what_the_next_letter_answers(self, desk: Desk) -> None:
        first = desk.opened(message_id="<last@school.example>")
        desk.perform(act(first))
        away = {"machine_reason": "auto_replied", "machine_opens_case": False, "machine_for_a_person": True}
        reply = desk.incoming(
            recipients=(desk.show(first)["reply_address"],), message_id="<away@school.example>", **away
        )
        assert desk.file(reply, None).case_id == first.case_id
        desk.perform(act(first, words="More."))
        assert {parcel.content["in_reply_to"] for parcel in advice(desk, first)} == {"<last@school.example>"}

    def test_of_anybody_else_does_not(self, desk: Desk) -> None:
        first = desk.opened()
        desk.perform(act(first, to="head@oak.example"))
        reply = desk.incoming(sender="caretaker@oak.example", recipients=(desk.show(first)["reply_address"],))
        assert desk.file(reply).outcome is Outcome.OPENED

    def test_of_a_new_address_tells_nothing_of_others_mail(self, desk: Desk) -> None:
        first = desk.opened(message_id="<last@school.example>")
        desk.perform(act(first, to="head@oak.example"))
        (parcel,) = advice(desk, first)
        assert (parcel.content["in_reply_to"], parcel.content["references"]) == (None, [])

    def test_bounce_marks_the_advice_and_tells_the_desk_to_telephone(self, desk: Desk) -> None:
        first = desk.opened()
        desk.perform(act(first))
        (parcel,) = advice(desk, first)
        assert parcel.bounce_tag is not None
        bounce(desk, recipients=(desk.practice.bounce_address(parcel.bounce_tag),))
        with desk.database.read() as session:
            assert session.get_one(Outgoing, parcel.id).bounced_at == FRIDAY_1640
        assert [notice.code for notice in notices(desk)] == ["bounced"]
        assert "not_delivered" in desk.show(first)["remarks"]
        # After that the same words may go again.
        assert desk.perform(act(first)).changed  # type: ignore[union-attr]


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"words": " \n"}, "Write the advice"),
            ({"words": "x" * 100_001}, "more than 100,000"),
            ({"to": "lado@elmshire.example"}, "this service itself"),
            ({"to": "LADO+tag@elmshire.example"}, "this service itself"),
            ({"to": "nobody"}, "no address"),
            ({"to": "a@b.example\nBcc: x@y.example"}, "no address"),
            ({"to": ""}, "no address"),
            ({"trust": "pass"}, "has changed"),
        ],
    )
    def test_what_is_wrong_in_itself(self, changes: dict[str, Any], says: str, desk: Desk) -> None:
        first = desk.opened()
        refused = desk.perform(act(first, **changes))
        assert isinstance(refused, Refused)
        assert says in refused.said
        assert advice(desk, first) == []
        assert desk.count(Participant) == 1

    def test_an_address_that_failed_unless_it_is_confirmed_itself(self, desk: Desk) -> None:
        first = desk.opened(sender_trust="fail")
        assert isinstance(desk.perform(act(first, trust="fail")), Refused)
        assert isinstance(desk.perform(act(first, trust="fail", despite_fail=True)), Done)

    def test_a_restricted_case_but_for_its_officer(self, desk: Desk) -> None:
        first = desk.opened()
        with desk.database.write() as session:
            case = session.get_one(Case, first.case_id)
            case.restricted, case.officer = True, str(BEN)
        assert isinstance(desk.perform(act(first)), Refused)
        assert isinstance(desk.perform(act(first, by=BEN)), Done)

    def test_a_purged_case(self, desk: Desk) -> None:
        first = desk.opened()
        desk.perform(referral(first.case_id))
        assert first.case_id is not None
        with desk.database.write() as session:
            case = session.get_one(Case, first.case_id)
            retention.destroy(session, desk.practice, case, retention.Why.EARLY, by=AMINA, now=FRIDAY_1640)
        refused = desk.perform(act(first))
        assert isinstance(refused, Refused)
        assert "was purged" in refused.said

    def test_what_the_authority_s_template_makes_too_long(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        first = desk.opened()
        monkeypatch.setattr(letters, "MAX_LETTER", 10)
        refused = desk.perform(act(first, to="head@oak.example", words="Yes."))
        assert isinstance(refused, Refused)
        assert "advice.subject.j2: the letter grows too long" in refused.said
        assert desk.count(Participant) == 1

    def test_where_the_way_to_the_relay_is_open(self, desk: Desk) -> None:
        desk.practice = replace(desk.practice, advice=AdviceRules(way_is_safe=False, can_write_to=lambda _: True))
        first = desk.opened()
        refused = desk.perform(act(first))
        assert isinstance(refused, Refused)
        assert "starttls" in refused.said


def test_a_concluded_case_may_be_written_on_and_stays_concluded(desk: Desk) -> None:
    first = desk.opened()
    desk.perform(replace(referral(first.case_id), decision="consultation"))
    assert first.case_id is not None
    desk.perform(Conclude(first.case_id, AMINA, None, "Advice was given."))
    review = desk.show(first)["review_at"]
    assert isinstance(desk.perform(act(first)), Done)
    assert (desk.show(first)["status"], desk.show(first)["review_at"]) == ("concluded", review)


def test_a_purge_takes_the_advice_with_it(desk: Desk) -> None:
    first = desk.opened()
    desk.perform(act(first))
    with desk.database.read() as session:
        before = session.exec(select(Outgoing).where(col(Outgoing.kind) == Kind.ADVICE)).one()
    with desk.database.write() as session:
        case = session.get_one(Case, first.case_id)
        retention.destroy(session, desk.practice, case, retention.Why.EARLY, by=AMINA, now=FRIDAY_1640)
    shredding.finish(desk.database, desk.practice.vault.keys, now=FRIDAY_1640)
    with desk.database.read() as session:
        letter = session.get_one(Outgoing, before.id)
        assert (letter.state, letter.mail_id) == ("cancelled", None)
        assert list(faults(session, desk.practice.vault)) == []


def test_the_same_words_again_at_once_are_the_same_letter(desk: Desk) -> None:
    first = desk.opened()
    desk.perform(act(first))
    again = desk.perform(act(first, words=f"\r\n{WORDS}\r\n"), now=FRIDAY_1640 + timedelta(minutes=9))
    assert isinstance(again, Done)
    assert not again.changed
    for changes in ({"words": "Other words."}, {"to": "head@oak.example"}, {"with_original": True}):
        assert desk.perform(act(first, **changes)).changed  # type: ignore[union-attr]
    assert desk.perform(act(first), now=FRIDAY_1640 + timedelta(minutes=11)).changed  # type: ignore[union-attr]
    assert len({parcel.mail_id for parcel in advice(desk, first)}) == 5


def test_the_original_goes_along_only_where_it_is_asked_for_and_fits(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = desk.opened()
    assert isinstance(desk.perform(act(first, with_original=True)), Done)
    (parcel,) = advice(desk, first)
    assert parcel.content["original"] == desk.show(first)["messages"][0]["id"]
    assert "Friday 27 November 2026 at 16:40 goes with this" in parcel.content["text"]
    monkeypatch.setattr(advise, "MAX_ORIGINAL", 2)
    refused = desk.perform(act(first, words="More.", with_original=True))
    assert isinstance(refused, Refused)
    assert "larger than" in refused.said


def test_it_meets_the_target_of_that_name_where_there_is_one(desk: Desk) -> None:
    first = desk.opened()
    assert first.case_id is not None
    with desk.database.write() as session:
        session.add(
            Deadline(
                id=new_id(FRIDAY_1640),
                case_id=first.case_id,
                target=ADVICE,
                rule="working_days 3",
                calendar=WorkingCalendar().version,
                started_at=FRIDAY_1640,
                due_at=FRIDAY_1640 + timedelta(days=5),
                state="running",
            )
        )
    desk.perform(act(first), now=FRIDAY_1640 + timedelta(hours=1))
    with desk.database.read() as session:
        states = {row.target: row.state for row in deadlines.of_case(session, first.case_id)}
    # Advice is no decision.
    assert states == {"advice": "met", "triage": "running"}


def test_every_chain_holds(desk: Desk) -> None:
    first = desk.opened()
    desk.perform(act(first, to="head@oak.example"))
    with desk.database.read() as session:
        assert list(audit.broken_links(session)) == []
