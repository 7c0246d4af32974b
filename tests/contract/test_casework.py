"""Casework's promises on both databases: one case, no stranger, reminders once, one transaction."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, func, select

from conftest import FRIDAY_1640
from intake_bot.casework import agreement, desk_queue, full_reading, officer, receive, reminders, views
from intake_bot.casework.acts import Claim, Conclude, Decide, Release
from intake_bot.casework.desk import Actor, Notice, NoticeKind
from intake_bot.casework.plan import ReminderPlan
from intake_bot.casework.practice import Practice
from intake_bot.casework.receive import Filed, Incoming
from intake_bot.casework.vocabulary import CaseOutcome, DecisionKind
from intake_bot.terminal import notice_sentence
from storage import audit, outbox, spool
from storage.engine import Database
from storage.outbox import Kind, Via
from storage.spool import Channel, Offer, Outcome
from storage.tables import Case, DecisionRow, Message, Outgoing, Reminder
from storage.vault import Place
from triage.suggestion import RULES_ALONE, Evidence, Polarity, Suggestion
from triage.vocabulary import Category, Criterion, Flag, MissingDatum, Threshold

AMINA = Actor("slack", "T1/U1")
BEN = Actor("slack", "T1/U2")

SUGGESTION = Suggestion(
    category=Category.PHYSICAL,
    secondary_categories=(),
    category_confidence=0.8,
    threshold=Threshold.MEETS,
    threshold_confidence=0.7,
    criteria=(Criterion.HARMED,),
    flags=(Flag.INJURY,),
    missing=(MissingDatum.SUBJECT_NAME, MissingDatum.DATE_OF_INCIDENT),
    evidence=(Evidence(0, 7, "grabbed", "physical", Polarity.FOR),),
    reason="An adult seems to have used force on a child.",
    engine="rules",
    version="rules-1+test",
)


class Desk:
    """A practice on a database, with arrivals made to measure."""

    def __init__(self, database: Database, practice: Practice) -> None:
        self.database = database
        self.practice = practice
        self._made = 0

    def incoming(self, *, at: datetime = FRIDAY_1640, **facts: Any) -> Incoming:
        """An arrival that is in the spool, with plain facts where none are given."""
        self._made += 1
        offer = Offer(Channel.EMAIL, b"raw", {"from": "", "to": []}, at)
        (identity,) = spool.accept(self.database, self.practice.vault, [offer])
        assert identity is not None
        body = facts.get(
            "body_text", f"Words number {self._made}, letters {'abcdefghij'[self._made % 10] * self._made}."
        )
        plain = {
            "sender": "dsl@school.example",
            "sender_name": "J Farrier",
            "answer_to": facts.get("sender", "dsl@school.example"),
            "recipients": ("lado@elmshire.example",),
            "message_id": f"<{self._made}@school.example>",
            "in_reply_to": (),
            "references": (),
            "date": "Fri, 27 Nov 2026 16:40:00 +0000",
            "subject": "Advice",
            "body_text": body,
            "full_text": body,
            "digest": hashlib.sha256(body.encode()).hexdigest(),
        }
        with self.database.read() as session:
            key_id = spool.key_id_of(session, identity)
        return Incoming(id=identity, channel="email", received_at=at, raw_id=identity, key_id=key_id, **(plain | facts))

    def file(
        self, incoming: Incoming, suggestion: Suggestion | None = SUGGESTION, *, now: datetime = FRIDAY_1640
    ) -> Filed:
        with self.database.write() as session:
            filed = receive.file(session, self.practice, incoming, suggestion, now=now)
        assert filed is not None
        return filed

    def opened(self, **facts: Any) -> Filed:
        filed = self.file(self.incoming(**facts))
        assert filed.outcome is Outcome.OPENED
        return filed

    def perform(
        self, act: Any, *, now: datetime = FRIDAY_1640, at: datetime | None = None
    ) -> officer.Done | officer.Refused:
        with self.database.write() as session:
            return officer.perform(session, self.practice, act, now=now, at=at)

    def tick(self, now: datetime) -> list[tuple[str, str, str]]:
        with self.database.write() as session:
            reminders.mark_missed(session, self.practice, now=now)
            return [(s.deadline, s.kind, s.state) for s in reminders.send_due(session, self.practice, now=now)]

    def show(self, filed: Filed) -> dict[str, Any]:
        with self.database.read() as session:
            case = session.get(Case, filed.case_id)
            assert case is not None
            return views.show_json(session, self.practice, case)

    def letters(self) -> list[outbox.Parcel]:
        later = FRIDAY_1640 + timedelta(days=40)
        return outbox.take(
            self.database,
            self.practice.vault,
            via=Via.MAIL,
            now=later,
            lease=timedelta(seconds=1),
            worker="t",
            limit=50,
        )

    def count(self, what: Any, *where: Any) -> int:
        with self.database.read() as session:
            return int(session.exec(select(func.count()).select_from(what).where(*where)).one())


@pytest.fixture
def desk(database: Database, practice: Practice) -> Desk:
    # The manager's reminders have tests of their own (test_clocks): here are the duty desk's alone.
    triage = replace(practice.clocks["triage"], plan=ReminderPlan.parse(("-4h", "0", "+1h")))
    clocks = {**practice.clocks, "triage": triage}
    return Desk(database, replace(practice, clocks=clocks, unclaimed_after=None))


def referral(case_id: str | None, by: Actor = AMINA) -> Decide:
    assert case_id is not None
    return Decide(case_id, by, DecisionKind.REFERRAL, Category.PHYSICAL, (Criterion.HARMED,), "Force was used.")


def test_a_new_case_has_everything_that_follows_from_it(desk: Desk) -> None:
    filed = desk.opened()
    case = desk.show(filed)
    assert case["deadlines"][0]["due_at"] == "2026-11-30T16:40:00Z"
    assert [(r["kind"], r["due_at"], r["state"]) for r in case["reminders"]] == [
        ("before", "2026-11-30T12:40:00Z", "waiting"),
        ("at", "2026-11-30T16:40:00Z", "waiting"),
        ("after", "2026-11-30T17:40:00Z", "waiting"),
    ]
    assert case["suggestion"] == SUGGESTION.to_json() | {"read": "new_words"}
    (letter,) = desk.letters()
    assert letter.content["to"] == "dsl@school.example"
    assert "Monday 30 November 2026 at 16:40" in letter.content["text"]
    assert MissingDatum.SUBJECT_NAME.label in letter.content["text"]
    assert MissingDatum.WORKPLACE.label not in letter.content["text"]
    assert desk.count(Outgoing, col(Outgoing.kind) == Kind.CARD) == 1


def test_without_a_suggestion_the_letter_asks_for_everything_and_the_card_says_so(desk: Desk) -> None:
    filed = desk.file(desk.incoming(), None)
    (letter,) = desk.letters()
    assert all(datum.label in letter.content["text"] for datum in MissingDatum)
    assert desk.show(filed)["remarks"] == ["no_suggestion"]


def test_documents_are_shown_with_the_evidence_that_lies_in_them(desk: Desk) -> None:
    form = {"filename": "form.docx", "text": "He grabbed her arm."}
    in_body, in_form = (
        Evidence(start, start + 7, "grabbed", "physical", Polarity.FOR)
        for start in (3, len("He grabbed.\n\nform.docx\n") + 3)
    )
    suggestion = replace(SUGGESTION, evidence=(in_body, in_form))
    filed = desk.file(desk.incoming(body_text="He grabbed.", documents=(form,)), suggestion)
    case = desk.show(filed)
    assert case["messages"][0]["body_text"] == "He grabbed."
    assert case["messages"][0]["documents"] == [form]
    body, document = case["suggestion"]["evidence"]
    assert "document" not in body
    assert (document["document"], form["text"][document["start"] : document["end"]]) == (0, "grabbed")
    with desk.database.read() as session:
        view = views.whole(session, desk.practice, session.get_one(Case, filed.case_id))
    assert view.suggestion is not None
    assert [view.messages[0].text[e.start : e.end] for e in view.suggestion.evidence] == ["grabbed", "grabbed"]


HISTORY = "Copying in the officer.\n\nFrom: Sally Moss <sally@home.example>\n\nThe coach shouted at my son."


@pytest.mark.parametrize(
    ("facts", "read"),
    [
        ({"in_reply_to": ("<unseen@home.example>",)}, "full_text"),
        ({"references": ("<first@school.example>", "<unseen@home.example>")}, "full_text"),
        ({"subject": "Re: a coach"}, "full_text"),
        ({"in_reply_to": ("<first@school.example>",)}, "new_words"),
        ({"references": ("<unseen@home.example>", "<first@school.example>")}, "new_words"),
        ({"history_by_us": True}, "new_words"),
        # Nothing was taken off but the signature.
        ({"full_text": "Copying in the officer.\n\nJane"}, "new_words"),
    ],
)
def test_triage_reads_history_that_is_new_to_us(desk: Desk, facts: dict[str, Any], read: str) -> None:
    desk.opened(message_id="<first@school.example>")
    plain = {"body_text": "Copying in the officer.", "signature_text": "Jane", "full_text": HISTORY}
    incoming = desk.incoming(sender="head@other.example", **(plain | facts))
    with desk.database.read() as session:
        assert receive.which_text(session, desk.practice, incoming) == read


def test_evidence_points_into_the_text_that_was_read_and_officers_see_that_one(desk: Desk) -> None:
    start = HISTORY.index("shouted")
    suggestion = replace(SUGGESTION, evidence=(Evidence(start, start + 7, "shouted", "emotional", Polarity.FOR),))
    incoming = desk.incoming(body_text="Copying in the officer.", full_text=HISTORY, signature_text="Jane")
    with desk.database.write() as session:
        filed = receive.file(session, desk.practice, incoming, suggestion, now=FRIDAY_1640, read="full_text")
    assert filed is not None
    shown = desk.show(filed)
    (found,) = shown["suggestion"]["evidence"]
    assert shown["suggestion"]["read"] == "full_text"
    assert shown["messages"][0]["full_text"][found["start"] : found["end"]] == "shouted"
    with desk.database.read() as session:
        view = views.whole(session, desk.practice, session.get_one(Case, filed.case_id))
    assert view.messages[0].read_whole
    assert view.messages[0].text[start : start + 7] == "shouted"


@pytest.mark.parametrize(
    ("facts", "remarks", "asked_again"),
    [
        ({"unreadable": "smime"}, ["unreadable"], True),
        ({"unreadable": "document", "defects": ("DocumentEncrypted",)}, ["unreadable"], True),
        ({"defects": ("DocumentEncrypted",)}, ["document_unread"], False),
        ({"defects": ("DocumentTooSlow",)}, ["document_unread"], False),
    ],
)
def test_what_could_not_be_read_is_on_the_card_and_in_the_letter(
    desk: Desk, facts: dict[str, Any], remarks: list[str], asked_again: bool
) -> None:
    filed = desk.opened(**facts)
    assert desk.show(filed)["remarks"] == remarks
    (letter,) = desk.letters()
    for text in (letter.content["text"], letter.content["html"]):
        assert ("could not read your message" in text.lower()) is asked_again


def test_a_no_names_consultation_is_asked_for_nobody_s_name(desk: Desk) -> None:
    filed = desk.file(desk.incoming(body_text="I would like to consult on a no-names basis."), None)
    assert desk.show(filed)["no_names"] is True
    (letter,) = desk.letters()
    assert MissingDatum.SUBJECT_NAME.label not in letter.content["text"]
    assert MissingDatum.CHILD_NAME_OR_AGE.label not in letter.content["text"]
    assert MissingDatum.DATE_OF_INCIDENT.label in letter.content["text"]


def test_a_failure_in_the_middle_leaves_nothing_behind(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    incoming = desk.incoming()
    monkeypatch.setattr(receive.desk_queue, "post_card", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        desk.file(incoming)
    for table in (Case, Message, Outgoing, Reminder):
        assert desk.count(table) == 0
    monkeypatch.undo()
    assert desk.file(incoming).outcome is Outcome.OPENED


def test_the_same_mail_filed_by_two_workers_at_once_is_one_case(desk: Desk) -> None:
    arrivals = [desk.incoming(message_id="<same@school.example>", body_text="The same.") for _ in range(4)]
    barrier = threading.Barrier(4)
    outcomes: list[Outcome] = []

    def work(incoming: Incoming) -> None:
        barrier.wait()
        try:
            outcomes.append(desk.file(incoming).outcome)
        except IntegrityError:
            outcomes.append(desk.file(incoming).outcome)

    threads = [threading.Thread(target=work, args=(incoming,)) for incoming in arrivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["duplicate"] * 3 + ["opened"]
    assert desk.count(Case) == 1
    assert len(desk.letters()) == 1


def test_without_a_message_id_sender_date_and_content_make_the_same(desk: Desk) -> None:
    facts = {"message_id": None, "body_text": "No id."}
    desk.opened(**facts)
    assert desk.file(desk.incoming(**facts)).outcome is Outcome.DUPLICATE
    assert desk.file(desk.incoming(**facts, date="Sat, 28 Nov 2026 09:00:00 +0000")).outcome is Outcome.OPENED


def test_ids_that_differ_in_punctuation_are_two_messages(desk: Desk) -> None:
    desk.opened(message_id="<a.b@school.example>", body_text="Words.")
    assert desk.file(desk.incoming(message_id="<a-b@school.example>", body_text="Words.")).outcome is Outcome.OPENED


@pytest.mark.parametrize(
    ("facts", "outcome", "why"),
    [
        ({}, Outcome.JOINED, None),
        ({"sender": "DSL@School.example"}, Outcome.JOINED, None),
        ({"sender_trust": "fail"}, Outcome.OPENED, "sender_trust_fail"),
        ({"sender": "colleague@school.example"}, Outcome.OPENED, "not_a_participant"),
        ({"sender": None}, Outcome.OPENED, "not_a_participant"),
    ],
)
@pytest.mark.parametrize("named_by", ["reply address", "our Message-ID", "their Message-ID"])
def test_who_joins_a_case(desk: Desk, named_by: str, facts: dict[str, Any], outcome: Outcome, why: str | None) -> None:
    first = desk.opened(message_id="<first@school.example>")
    case = desk.show(first)
    ours = next(message["message_id"] for message in case["messages"] if message["direction"] == "out")
    naming: dict[str, Any] = {
        "reply address": {"recipients": (case["reply_address"].upper(),)},
        "our Message-ID": {"in_reply_to": (ours,)},
        "their Message-ID": {"references": ("<unknown@x.example>", "<first@school.example>")},
    }[named_by]
    second = desk.file(desk.incoming(**(naming | facts)))
    assert second.outcome is outcome
    assert (second.case_id == first.case_id) is (outcome is Outcome.JOINED)
    links = desk.show(second)["links"]
    assert [link["why"] for link in links] == ([why] if why else [])


@pytest.mark.parametrize(
    ("facts", "linked"),
    [
        ({"in_reply_to": ("<root@elm.example>",)}, True),
        ({"references": ("<root@elm.example>", "<later@elm.example>")}, True),
        ({"references": ("<older@elm.example>", "<root@elm.example>")}, True),
        ({"in_reply_to": ("<root@elm.example>",), "sender": "DSL@School.example", "sender_trust": "pass"}, True),
        ({"in_reply_to": ("<root@elm.example>",), "sender": "other@school.example"}, False),
        ({"in_reply_to": ("<root@elm.example>",), "sender_trust": "fail"}, False),
        ({"in_reply_to": ("<another@elm.example>",)}, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize(
    "first", [{"references": ("<root@elm.example>", "<x@elm.example>")}, {"in_reply_to": ("<root@elm.example>",)}]
)
def test_siblings_of_a_message_that_never_came_are_proposed_to_each_other(
    desk: Desk, first: dict[str, Any], facts: dict[str, Any], linked: bool
) -> None:
    elder = desk.opened(**first)
    younger = desk.opened(**facts)
    shown = desk.show(younger)
    proposal = {"case": elder.reference, "state": "proposed", "why": "same_thread"}
    assert shown["links"] == ([proposal] if linked else [])
    assert ("proposed_link" in shown["remarks"]) is linked


def test_a_long_thread_proposes_its_newest_cases(desk: Desk) -> None:
    filed = [desk.opened(in_reply_to=("<root@elm.example>",)) for _ in range(receive.MOST_SIBLINGS + 3)]
    linked = {link["case"] for link in desk.show(filed[-1])["links"]}
    assert linked == {one.reference for one in filed[2:-1]}


def test_a_reference_in_the_subject_opens_no_door(desk: Desk) -> None:
    first = desk.opened()
    second = desk.file(desk.incoming(subject=f"Re: {first.reference}"))
    assert second.case_id != first.case_id


def test_a_bounce_of_our_letter_goes_to_its_case_and_a_stray_one_to_the_unfiled(desk: Desk) -> None:
    first = desk.opened()
    machine = {"machine_reason": "bounce", "machine_opens_case": False, "sender": "mailer-daemon@school.example"}
    machine |= {"null_sender": True}
    bounce = desk.incoming(recipients=(desk.show(first)["reply_address"],), **machine)
    assert desk.file(bounce, None).case_id == first.case_id
    assert desk.file(desk.incoming(**machine), None).outcome is Outcome.UNFILED
    assert len(desk.letters()) == 1


def test_knowing_the_referrer_s_message_id_files_no_machine_mail_on_the_case(desk: Desk) -> None:
    desk.opened(message_id="<first@school.example>")
    forged = desk.incoming(machine_reason="vacation", machine_opens_case=False, answers=("<first@school.example>",))
    assert desk.file(forged, None).outcome is Outcome.UNFILED


@pytest.mark.parametrize(
    ("sender", "trust", "joins"),
    [
        ("dsl@school.example", "pass", True),
        ("dsl@school.example", "fail", False),
        ("accused@elsewhere.example", "pass", False),
    ],
)
def test_a_vacation_reply_joins_only_in_a_participant_s_name(sender: str, trust: str, joins: bool, desk: Desk) -> None:
    first = desk.opened()
    with desk.database.read() as session:
        tag = session.get_one(Case, first.case_id).reply_tag
    reply = desk.incoming(
        sender=sender,
        sender_trust=trust,
        recipients=(desk.practice.reply_address(tag),),
        machine_reason="auto_replied",
        machine_opens_case=False,
        machine_for_a_person=True,
    )
    filed = desk.file(reply)
    assert (filed.outcome, filed.case_id) == ((Outcome.JOINED, first.case_id) if joins else (Outcome.UNFILED, None))
    told = desk.count(Outgoing, col(Outgoing.kind) == Kind.NOTICE)
    assert told == (0 if joins else 1)


def test_a_decision_made_in_time_and_noted_late_has_met_its_target(desk: Desk) -> None:
    filed = desk.opened()
    late = FRIDAY_1640 + timedelta(days=4)
    desk.tick(late)
    assert [d["state"] for d in desk.show(filed)["deadlines"]] == ["missed"]
    desk.perform(replace(referral(filed.case_id), decision=DecisionKind.CONSULTATION), now=late, at=FRIDAY_1640)
    deadline = next(d for d in desk.show(filed)["deadlines"] if d["target"] == "triage")
    assert (deadline["state"], deadline["met_at"]) == ("met", "2026-11-27T16:40:00Z")


def test_a_robot_that_hides_gets_two_answers_to_the_same_words(desk: Desk) -> None:
    for number in range(5):
        desk.opened(body_text=f"We have received your message {number}.")
    assert len(desk.letters()) == 2


def test_a_robot_that_repeats_our_reference_gets_no_more_and_the_desk_is_told(desk: Desk) -> None:
    for number in range(4):
        filed = desk.opened(body_text="Thank you for: Consultation received: LADO-26-7KMQ4" + "DBCF"[number])
    assert len(desk.letters()) == 2
    assert [notice.kind for notice in notices(desk)] == [NoticeKind.CAPPED]
    assert "not_acknowledged_cap" in desk.show(filed)["remarks"]


def test_the_same_covering_words_with_other_files_are_answered(desk: Desk) -> None:
    for number in range(3):
        file = {"filename": "form.docx", "content_type": "x/y", "size": 1, "sha256": f"{number}", "part_index": 1}
        desk.opened(body_text="Please see attached.", attachments=(file,))
    assert len(desk.letters()) == 3


def test_a_forger_cannot_use_up_a_school_s_answers(desk: Desk) -> None:
    for _ in range(12):
        desk.opened(sender_trust="fail")
    for number in range(40):
        desk.opened(sender=f"robot{number}@elsewhere.example", answer_to="dsl@school.example")
    assert len(desk.letters()) <= 30
    desk.opened(sender_trust="pass")
    assert len(desk.letters()) == 1


def notices(desk: Desk) -> list[Notice]:
    vault = desk.practice.vault
    with desk.database.read() as session:
        return [
            desk_queue.notice_from_json(vault.open_json(Place("outbox", row.id, "content", row.case_id), row.content))
            for row in session.exec(select(Outgoing).where(col(Outgoing.kind) == Kind.NOTICE).order_by(Outgoing.id))
        ]


def test_what_joins_a_case_rings_a_bell_and_a_concluded_case_rings_louder(desk: Desk) -> None:
    first = desk.opened(body_text="First words")
    reply = {"recipients": (desk.show(first)["reply_address"],)}
    desk.file(desk.incoming(**reply), None)
    assert notices(desk) == [Notice(NoticeKind.JOINED, reference=first.reference, code="joined")]
    desk.perform(referral(first.case_id))
    desk.perform(
        Conclude(first.case_id or "", AMINA, CaseOutcome.UNFOUNDED, "Done."), now=FRIDAY_1640 + timedelta(days=1)
    )
    desk.file(desk.incoming(**reply))
    (louder,) = (notice for notice in notices(desk) if notice.code == "concluded")
    assert "The case is closed" in notice_sentence(louder, desk.practice.calendar.zone)


CALM = replace(SUGGESTION, threshold=Threshold.LOW_LEVEL, category=Category.CONDUCT, flags=(Flag.ONLINE,), evidence=())
WORSE = replace(SUGGESTION, flags=(Flag.IMMEDIATE_DANGER, Flag.RESTRAINT), version="rules-2+test")


def test_what_joins_makes_a_case_more_urgent_and_changes_no_view_of_the_first(desk: Desk) -> None:
    first = desk.file(desk.incoming(), CALM)
    reply = {"recipients": (desk.show(first)["reply_address"],)}
    second = desk.file(desk.incoming(body_text="He has grabbed another child.", **reply), WORSE)
    shown = desk.show(first)
    assert shown["suggestion"] == CALM.to_json() | {"read": "new_words"}
    assert (shown["threshold"], shown["category"], shown["category_by"]) == (
        "low_level_concern",
        "conduct",
        "suggestion",
    )
    (later,) = shown["later_suggestions"]
    assert (later["message"], later["version"], later["flags"]) == (
        second.message_id,
        "rules-2+test",
        ["immediate_danger", "restraint"],
    )
    with desk.database.read() as session:
        case = session.get_one(Case, first.case_id)
        view = views.whole(session, desk.practice, case)
    assert view.card.flags == (Flag.IMMEDIATE_DANGER, Flag.RESTRAINT, Flag.ONLINE)
    assert (view.card.threshold, view.suggestion) == (Threshold.LOW_LEVEL, CALM)
    joined = next(message for message in view.messages if message.id == second.message_id)
    assert (joined.is_evidence_text, joined.suggestion) == (False, WORSE)
    (notice,) = notices(desk)
    assert notice.urgent == (Flag.IMMEDIATE_DANGER,)
    assert notice_sentence(notice, desk.practice.calendar.zone).startswith(f"URGENT ({Flag.IMMEDIATE_DANGER.label}): ")


def test_what_joins_never_makes_a_case_less_urgent(desk: Desk) -> None:
    first = desk.file(desk.incoming(), WORSE)
    reply = {"recipients": (desk.show(first)["reply_address"],)}
    for suggestion in (CALM, None):
        desk.file(desk.incoming(**reply), suggestion)
        with desk.database.read() as session:
            card = views.card(session, session.get_one(Case, first.case_id))
        assert set(WORSE.flags) <= set(card.flags)
        assert card.threshold is Threshold.MEETS
    assert [notice.urgent for notice in notices(desk)] == [(), ()]


def test_a_decision_stands_beside_the_first_suggestion_whatever_joined(desk: Desk) -> None:
    first = desk.file(desk.incoming(), CALM)
    desk.file(desk.incoming(recipients=(desk.show(first)["reply_address"],)), WORSE)
    desk.perform(referral(first.case_id))
    assert desk.show(first)["decision"]["suggestion_version"] == CALM.version
    with desk.database.read() as session:
        (pair,) = agreement.pairs(session)
    assert pair.missed
    desk.file(desk.incoming(recipients=(desk.show(first)["reply_address"],)), WORSE)
    assert desk.show(first)["decision"]["decision"] == "referral"


def test_a_notice_of_the_version_before_is_still_read(desk: Desk) -> None:
    old = desk_queue.notice_to_json(Notice(NoticeKind.JOINED, code="joined"))
    del old["urgent"]
    assert desk_queue.notice_from_json(old) == Notice(NoticeKind.JOINED, code="joined")


def test_a_case_s_address_counts_where_a_redirection_left_it(desk: Desk) -> None:
    first = desk.opened()
    filed = desk.file(desk.incoming(addressed_to=(desk.show(first)["reply_address"],)))
    assert filed.case_id == first.case_id


def test_machines_messages_are_told_of_one_at_once_and_the_others_together(desk: Desk) -> None:
    for _ in range(4):
        desk.file(desk.incoming(machine_reason="vacation_subject", machine_opens_case=False), None)
    assert [(notice.kind, notice.count) for notice in notices(desk)] == [
        (NoticeKind.UNFILED, 1),
        (NoticeKind.UNFILED, 3),
    ]


def test_a_busy_person_is_answered_each_time_up_to_the_cap(desk: Desk) -> None:
    for _ in range(12):
        desk.opened()
    assert len(desk.letters()) == desk.practice.acknowledgements_per_address == 10
    later = FRIDAY_1640 + timedelta(hours=25)
    desk.file(desk.incoming(at=later), now=later)
    assert len(desk.letters()) >= 1


@pytest.mark.parametrize(
    ("address", "read"),
    [
        ("no-reply@forms.example", False),
        ("NoReply@forms.example", False),
        ("do_not_reply@forms.example", False),
        ("donotreply2@forms.example", False),
        ("oakfield.dont-reply@forms.example", False),
        ("noreply+7Q@forms.example", False),
        ("forms-no.response@forms.example", False),
        ("moreno.reply@school.example", True),
        ("head@noreply.example", True),
        ("reply@school.example", True),
    ],
)
def test_an_address_that_takes_no_answers_is_not_acknowledged_and_the_card_says_so(
    desk: Desk, address: str, read: bool
) -> None:
    filed = desk.opened(sender=address)
    assert filed.acknowledged is read
    assert ("not_acknowledged_no_reply" in desk.show(filed)["remarks"]) is not read
    assert desk.opened(sender=address, answer_to="head@school.example").acknowledged


@pytest.mark.parametrize("address", ["Allegations@elmshire.example", "allegations+k3y@elmshire.example"])
def test_none_of_our_addresses_is_answered(desk: Desk, address: str) -> None:
    desk.practice = replace(desk.practice, recipients=("allegations@elmshire.example",))
    filed = desk.opened(sender=address)
    assert not filed.acknowledged
    assert "not_acknowledged_no_address" in desk.show(filed)["remarks"]


def test_our_own_address_is_never_answered(desk: Desk) -> None:
    desk.opened(sender="LADO@elmshire.example")
    assert desk.letters() == []


def test_of_two_officers_one_has_the_case(desk: Desk) -> None:
    case_id = desk.opened().case_id
    assert case_id is not None
    barrier = threading.Barrier(2)
    results: dict[str, officer.Done | officer.Refused] = {}

    def claim(actor: Actor) -> None:
        barrier.wait()
        results[actor.id] = desk.perform(Claim(case_id, actor))

    threads = [threading.Thread(target=claim, args=(actor,)) for actor in (AMINA, BEN)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(result).__name__ for result in results.values()) == ["Done", "Refused"]


def test_pressing_twice_is_one_act(desk: Desk) -> None:
    filed = desk.opened()
    assert filed.case_id is not None
    assert desk.perform(Claim(filed.case_id, AMINA)).changed  # type: ignore[union-attr]
    assert not desk.perform(Claim(filed.case_id, AMINA)).changed  # type: ignore[union-attr]
    assert isinstance(desk.perform(Release(filed.case_id, BEN)), officer.Done)
    desk.perform(referral(filed.case_id))
    assert not desk.perform(referral(filed.case_id)).changed  # type: ignore[union-attr]
    assert isinstance(desk.perform(referral(filed.case_id, BEN)), officer.Refused)
    assert desk.count(DecisionRow) == 1


def test_a_referral_meets_the_target_and_starts_the_month_from_receipt(desk: Desk) -> None:
    filed = desk.opened()
    desk.perform(referral(filed.case_id), now=FRIDAY_1640 + timedelta(hours=2))
    case = desk.show(filed)
    assert {d["target"]: (d["state"], d["due_at"]) for d in case["deadlines"]} == {
        "triage": ("met", "2026-11-30T16:40:00Z"),
        "first_meeting": ("running", "2026-12-04T17:00:00Z"),
        "one_month": ("running", "2026-12-27T16:40:00Z"),
        "three_months": ("running", "2027-02-27T16:40:00Z"),
        "twelve_months": ("running", "2027-11-27T16:40:00Z"),
    }
    assert {(r["deadline"], r["state"]) for r in case["reminders"]} == {
        ("triage", "cancelled"),
        ("first_meeting", "waiting"),
        ("one_month", "waiting"),
        ("three_months", "waiting"),
        ("twelve_months", "waiting"),
    }
    assert (case["category"], case["threshold"], case["category_by"]) == ("physical", "meets_harm_threshold", "officer")
    assert case["decision"]["suggestion_version"] == SUGGESTION.version


def test_a_very_late_referral_starts_a_month_that_is_missed_and_says_so(desk: Desk) -> None:
    filed = desk.opened()
    late = FRIDAY_1640 + timedelta(days=60)
    desk.perform(referral(filed.case_id), now=late)
    states = {d["target"]: (d["state"], d["met_at"] is not None) for d in desk.show(filed)["deadlines"]}
    assert states == {
        "triage": ("missed", True),
        "first_meeting": ("missed", False),
        "one_month": ("missed", False),
        "three_months": ("running", False),
        "twelve_months": ("running", False),
    }
    assert {row[:2] for row in desk.tick(late)} == {("first_meeting", "at"), ("one_month", "at")}


def test_reminders_fire_once_and_never_after_the_decision(desk: Desk) -> None:
    filed = desk.opened()
    other = desk.opened()
    before = datetime.fromisoformat("2026-11-30T12:40:00Z")
    assert desk.tick(before - timedelta(seconds=1)) == []
    assert desk.tick(before) == [("triage", "before", "sent")] * 2
    assert desk.tick(before) == []
    desk.perform(referral(filed.case_id), now=before + timedelta(minutes=1))
    assert desk.tick(before + timedelta(hours=4, minutes=6)) == [("triage", "at", "late")]
    assert [d["state"] for d in desk.show(other)["deadlines"]] == ["missed"]


def test_two_nodes_ticking_at_once_send_each_reminder_once(desk: Desk) -> None:
    for _ in range(10):
        desk.opened()
    barrier = threading.Barrier(3)
    sent: list[tuple[str, str, str]] = []

    def node() -> None:
        barrier.wait()
        for _ in range(4):
            sent.extend(desk.tick(datetime.fromisoformat("2026-11-30T12:41:00Z")))

    threads = [threading.Thread(target=node) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) == 10
    assert desk.count(Outgoing, col(Outgoing.kind) == Kind.NOTICE) == 10


def test_a_decision_may_not_lie_before_the_receipt_or_ahead(desk: Desk) -> None:
    filed = desk.opened()
    for at in (FRIDAY_1640 - timedelta(minutes=1), FRIDAY_1640 + timedelta(minutes=1)):
        assert isinstance(desk.perform(referral(filed.case_id), at=at), officer.Refused)


def test_cards_and_notices_hold_no_content(desk: Desk) -> None:
    canary = "zylophantine"
    filed = desk.opened(
        body_text=f"{canary} grabbed", subject=canary, sender_name=canary, sender=f"{canary}@school.example"
    )
    desk.perform(replace(referral(filed.case_id), reason=canary))
    desk.tick(FRIDAY_1640 + timedelta(days=40))
    with desk.database.read() as session:
        case = session.get_one(Case, filed.case_id)
        assert canary not in repr(views.card(session, case))
        entries = session.exec(select(audit.AuditEntry)).all()
        assert entries
        assert canary not in repr(entries)
    parcels = outbox.take(
        desk.database,
        desk.practice.vault,
        via=Via.DESK,
        now=FRIDAY_1640 + timedelta(days=41),
        lease=timedelta(1),
        worker="t",
        limit=50,
    )
    assert parcels
    assert all(canary not in repr(parcel.content) for parcel in parcels)
    for letter in desk.letters():
        assert canary not in letter.content["text"] + letter.content["html"] + letter.content["subject"]


def test_every_chain_holds(desk: Desk) -> None:
    filed = desk.opened()
    desk.perform(referral(filed.case_id))
    desk.tick(FRIDAY_1640 + timedelta(days=40))
    with desk.database.read() as session:
        assert list(audit.broken_links(session)) == []


def test_agreement_counts_what_officers_decided_against_the_suggestion_that_stood(desk: Desk) -> None:
    low = replace(SUGGESTION, threshold=Threshold.LOW_LEVEL, category=Category.CONDUCT)
    unclear = replace(SUGGESTION, threshold=Threshold.UNCLEAR)
    for suggestion, kind in (
        (SUGGESTION, DecisionKind.REFERRAL),  # agreed
        (SUGGESTION, DecisionKind.CONSULTATION),  # over-called
        (low, DecisionKind.REFERRAL),  # called less: the fault that matters most
        (unclear, DecisionKind.REFERRAL),  # left open
        (SUGGESTION, DecisionKind.TRANSFERRED),  # says nothing of the threshold
        (None, DecisionKind.REFERRAL),
    ):
        filed = desk.file(desk.incoming(), suggestion)
        assert isinstance(desk.perform(replace(referral(filed.case_id), decision=kind)), officer.Done)
    with desk.database.read() as session:
        found = agreement.review(session, ZoneInfo("Europe/London"))
    assert {key: value for key, value in found.items() if not isinstance(value, dict)} == {
        "decided": 4,
        "left_open": 1,
        "threshold_agreement": 0.333,
        "category_agreement": 0.75,
        "referred_though_called_less": 1,
    }
    assert found["by_month"]["2026-11"]["decided"] == 4
    # What nobody has decided, and what was transferred, was suggested all the same.
    assert found["suggested_by_month"]["2026-11"]["suggestions"] == 5
    assert found["suggested_by_month"]["2026-11"]["thresholds"] == {
        "meets_harm_threshold": 3,
        "low_level_concern": 1,
        "not_lado": 0,
        "unclear": 1,
    }
    assert found["suggested_by_month"]["2026-11"]["categories"]["conduct"] == 1
    said = agreement.readable(found)
    assert "| 2026-11 |        5 |                  60% |               20% |       0% |     20% |" in said
    assert "| conduct to physical |     1 |" in said
    assert found["by_version"][SUGGESTION.version]["decided"] == 4
    assert found["categories_changed"] == {"conduct to physical": 1}


def test_what_was_suggested_counts_by_the_month_of_local_time_and_each_message_once(desk: Desk) -> None:
    assert agreement.readable(_review(desk)).count("| in all |") == 1
    # In British Summer Time it is July already.
    late_in_june = datetime(2026, 6, 30, 23, 30, tzinfo=FRIDAY_1640.tzinfo)
    desk.file(desk.incoming(at=late_in_june), SUGGESTION, now=late_in_june)
    filed = desk.file(desk.incoming(), replace(CALM, engine=RULES_ALONE))
    with desk.database.write() as session:
        (one,) = full_reading.due(session, limit=5)
        full_reading.keep(session, desk.practice, one, WORSE, read="new_words", now=FRIDAY_1640)
    assert desk.show(filed)["suggestion"]["version"] == WORSE.version
    found = _review(desk)["suggested_by_month"]
    assert {month: held["suggestions"] for month, held in found.items()} == {"2026-07": 1, "2026-11": 1}
    assert found["2026-11"]["thresholds"][WORSE.threshold] == 1


@pytest.mark.parametrize(
    ("full", "urgent"),
    [
        (replace(CALM, threshold=Threshold.MEETS), [()]),
        (replace(CALM, flags=(Flag.INJURY, Flag.ONLINE)), [(Flag.INJURY,)]),
        (replace(CALM, threshold=Threshold.UNCLEAR), []),
    ],
)
def test_a_bell_rings_where_the_full_reading_is_graver(
    desk: Desk, full: Suggestion, urgent: list[tuple[Flag, ...]]
) -> None:
    filed = desk.file(desk.incoming(), replace(CALM, engine=RULES_ALONE))
    desk.perform(Claim(str(filed.case_id), AMINA))
    with desk.database.write() as session:
        (one,) = full_reading.due(session, limit=5)
        full_reading.keep(session, desk.practice, one, full, read="new_words", now=FRIDAY_1640)
        # Another node that read it at the same time changes nothing.
        assert full_reading.keep(session, desk.practice, one, full, read="new_words", now=FRIDAY_1640) is None
    rung = notices(desk)
    assert [notice.urgent for notice in rung] == urgent
    assert {notice.kind for notice in rung} <= {NoticeKind.MORE_URGENT}
    for notice in rung:
        assert "graver than the rules alone saw. It is with T1/U1." in notice_sentence(
            notice, desk.practice.calendar.zone
        )


def _review(desk: Desk) -> dict[str, Any]:
    with desk.database.read() as session:
        return agreement.review(session, ZoneInfo("Europe/London"))
