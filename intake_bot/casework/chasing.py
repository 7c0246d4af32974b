"""Chasing what is owed: planned with the action, sent in office hours, merged for each person, and ended by what ends it.

Who takes part by email is written to; of anybody else's action the desk is told. The letters hold references and times, and
never what it is that somebody owes. Nobody has more than one on a day: a key in the outbox sees to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from functools import partial

from sqlalchemy import bindparam
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from intake_bot.casework import desk_queue
from intake_bot.casework.calendar import WorkingCalendar
from intake_bot.casework.desk import SYSTEM, Actor, Notice, NoticeKind
from intake_bot.casework.letters import LetterProblem, Owed
from intake_bot.casework.own_messages import message_of
from intake_bot.casework.practice import ChaserRules, Practice
from intake_bot.casework.reminders import BATCH, LATE_AFTER, Sent
from intake_bot.casework.retention import add_note
from intake_bot.casework.vocabulary import CLOSED, ActionState, Owner, ReminderState, Status
from storage import audit, outbox
from storage.claims import LEASED, WAITING
from storage.ids import new_id
from storage.outbox import Kind, Via
from storage.tables import Action, Case, Chaser, Message, Outgoing, Participant
from storage.vault import UNOPENABLE, Place

log = logging.getLogger(__name__)

ACTION = "action"
"""What chasers are of, where reminders are listed."""


class ChaserKind(StrEnum):
    """Where a chaser stands to the day that it is about; ``TELEPHONE``: no letter, but a task for the officer."""

    BEFORE = "before"
    AT = "at"
    AFTER = "after"
    TELEPHONE = "telephone"


@dataclass(frozen=True, slots=True)
class Swept:
    """What was sent, and how many rows were looked at for it."""

    sent: list[Sent]
    rows: int


def plan(
    calendar: WorkingCalendar, rules: ChaserRules, due_at: datetime, now: datetime, *, by_email: bool
) -> tuple[tuple[ChaserKind, datetime], ...]:
    """The chasers of something due at ``due_at`` that lie ahead of ``now``, soonest first, each when an office day opens.

    By email: some working days before the day, on it, and after it; then the task to telephone. Else on the day and after
    it, for the desk. Where every one of them is behind, one comes at the next opening.
    """
    due_day = calendar.local(due_at).date()
    day = due_day if calendar.is_working_day(due_day) else calendar.working_day_after(due_day)
    on = {ChaserKind.AT: day, ChaserKind.AFTER: _later(calendar, day, rules.after_days)}
    if by_email and rules.before_days:
        on[ChaserKind.BEFORE] = _earlier(calendar, due_day, rules.before_days)
    opening = {kind: calendar.instant_at(one, calendar.opens) for kind, one in on.items()}
    ahead = {kind: at for kind, at in opening.items() if at > now} or {ChaserKind.AFTER: calendar.next_opening(now)}
    if by_email and rules.telephone_days:
        last = calendar.local(max(ahead.values())).date()
        # A letter has its day to be answered in.
        task = max(_later(calendar, day, rules.telephone_days), calendar.working_day_after(last))
        ahead[ChaserKind.TELEPHONE] = calendar.instant_at(task, calendar.opens)
    return tuple(sorted(ahead.items(), key=lambda one: one[1]))


def start(session: Session, practice: Practice, action: Action, *, now: datetime) -> None:
    """Plan the chasers of an open action, or plan anew what was ended. What was sent is not sent again."""
    if practice.chasers is None:
        return
    session.flush()
    there = {row.kind: row for row in session.exec(select(Chaser).where(col(Chaser.action_id) == action.id))}
    by_email = action.address_key is not None
    for kind, at in plan(practice.calendar, practice.chasers, action.due_at, now, by_email=by_email):
        row = there.get(kind) or Chaser(
            id=new_id(now),
            case_id=action.case_id,
            action_id=action.id,
            address_key=action.address_key,
            kind=kind,
            due_at=at,
            state=ReminderState.WAITING,
        )
        if row.state == ReminderState.CANCELLED and row.cancelled_because not in _ENDED:
            row.state, row.cancelled_because = ReminderState.WAITING, None
            row.due_at = at
        session.add(row)


def start_all(session: Session, practice: Practice, case: Case, *, now: datetime) -> None:
    """The same for all that is still owed on a case that goes on, but for what was answered or stopped by hand."""
    for action in session.exec(
        select(Action).where(col(Action.case_id) == case.id, col(Action.state) == ActionState.OPEN)
    ).all():
        ended = session.exec(select(Chaser.cancelled_because).where(col(Chaser.action_id) == action.id)).all()
        if not _FOR_GOOD.intersection(ended):
            start(session, practice, action, now=now)


BY_HAND, ANSWERED = "by_hand", "answered"
NO_ADDRESS, NOT_RENDERABLE, FAULT = "no_address", "not_renderable", "fault"
_FOR_GOOD = frozenset({BY_HAND, ANSWERED})
_ENDED = _FOR_GOOD | {NO_ADDRESS, NOT_RENDERABLE, FAULT, ChaserKind.TELEPHONE.value}
"""What a case that goes on does not take up again: a pause and the like pass, these do not."""


def stop_action(session: Session, action: Action, *, because: str) -> int:
    """Send no more about one action; how many that ends. By hand it ends for good: what a pause had ended already, too."""
    return _stop(session, select(Chaser).where(col(Chaser.action_id) == action.id), because)


_OF_CASE = select(Chaser).where(col(Chaser.case_id) == bindparam("case_id"))


def stop_case(session: Session, case: Case, *, because: str) -> int:
    """Send no more about a case; how many were still to come."""
    return _stop(session, _OF_CASE, because, {"case_id": case.id})


def answered(session: Session, case: Case, address_key: str | None, *, now: datetime) -> None:
    """Somebody has written on the case: they are chased no more. Whether it answers what was asked, an officer says."""
    if address_key is None:
        return
    theirs = select(Chaser).where(col(Chaser.case_id) == case.id, col(Chaser.address_key) == address_key)
    if count := _stop(session, theirs, ANSWERED):
        detail = {"chasers": count}
        audit.record(session, case.id, at=now, actor=str(SYSTEM), act="chasers_stopped", code=ANSWERED, detail=detail)


_DUE = (
    select(Chaser, Action, Case)
    .where(
        col(Chaser.state) == ReminderState.WAITING,
        col(Chaser.due_at) <= bindparam("now"),
        col(Action.id) == col(Chaser.action_id),
        col(Action.state) == ActionState.OPEN,
        col(Case.id) == col(Chaser.case_id),
        col(Case.status).not_in((*CLOSED, Status.PAUSED)),
    )
    .order_by(col(Chaser.due_at), col(Chaser.id))
    .limit(bindparam("limit"))
    # As with reminders, the case is locked too: while an officer closes it, nothing about it is sent.
    .with_for_update(skip_locked=True)
)


def send_due(
    session: Session, practice: Practice, *, now: datetime, queued_at: datetime | None = None, limit: int = BATCH
) -> Swept:
    """Put up to ``limit`` chasers that are due in the outbox, oldest first. Out of office hours nothing is sent.

    ``queued_at`` is the real time, where ``now`` is only the time to look as at.
    """
    if not practice.calendar.office_open_at(now):
        return Swept([], 0)
    rows = session.exec(_DUE, params={"now": now, "limit": limit}).all()
    sweep = _Sweep(session, practice, now, queued_at or now)
    letters: dict[tuple[str, str], list[_Row]] = {}
    telephoned = {chaser.action_id for chaser, _, _ in rows if chaser.kind == ChaserKind.TELEPHONE}
    for chaser, action, case in rows:
        if chaser.kind == ChaserKind.TELEPHONE:
            sweep.each([(chaser, action, case)], partial(sweep.ask_to_telephone, chaser, action, case))
        elif chaser.address_key is None:
            sweep.each([(chaser, action, case)], partial(sweep.tell_desk, chaser, action, case))
        elif chaser.action_id in telephoned:
            # Both have become due while nobody was there: somebody rings now, and need not write as well.
            chaser.state, chaser.cancelled_because = ReminderState.CANCELLED, ChaserKind.TELEPHONE.value
            session.add(chaser)
        else:
            # A restricted case is named in no letter that is kept on another. The second goes on the next day.
            alone = case.id if case.restricted else ""
            letters.setdefault((chaser.address_key, alone), []).append((chaser, action, case))
    # By address, so that two nodes do not wait for each other; of one person's the oldest first, so that each has its day.
    for (address_key, _), owed in sorted(
        letters.items(), key=lambda one: (one[0][0], min(row[0].id for row in one[1]))
    ):
        sweep.each(owed, partial(sweep.write, address_key, owed))
    return Swept(sweep.sent, len(rows))


def still_owed(session: Session, action_ids: Sequence[str]) -> set[str]:
    """What of this is open still, on a case that goes on, and neither answered nor stopped by hand."""
    ended = select(Chaser.action_id).where(
        col(Chaser.action_id).in_(action_ids), col(Chaser.cancelled_because).in_((ANSWERED, BY_HAND))
    )
    owed = (
        select(Action.id)
        .join(Case, col(Case.id) == col(Action.case_id))
        .where(
            col(Action.id).in_(action_ids),
            col(Action.state) == ActionState.OPEN,
            col(Case.status).not_in((*CLOSED, Status.PAUSED)),
            col(Action.id).not_in(ended),
        )
    )
    return set(session.exec(owed).all())


def withdraw(session: Session, practice: Practice, action_ids: Collection[str], *, now: datetime) -> None:
    """A letter does not go after all: of what is owed still, the chaser comes again when the office opens next."""
    for action_id in action_ids:
        last = session.exec(
            select(Chaser)
            .where(col(Chaser.action_id) == action_id, col(Chaser.sent_at).is_not(None))
            .order_by(col(Chaser.sent_at).desc(), col(Chaser.due_at).desc())
            .limit(1)
            .with_for_update()
        ).first()
        if last is not None and last.kind != ChaserKind.TELEPHONE:
            last.state, last.sent_at, last.due_at = ReminderState.WAITING, None, practice.calendar.next_opening(now)
            session.add(last)


_Row = tuple[Chaser, Action, Case]


@dataclass(slots=True)
class _Sweep:
    """One look at what is due: the session that it is in, and what has been sent."""

    session: Session
    practice: Practice
    now: datetime
    queued_at: datetime
    sent: list[Sent] = field(default_factory=list)

    def each(self, rows: Sequence[_Row], send: Callable[[], None]) -> None:
        """Send one, in a savepoint of its own: a fault of it is undone and said, and the others go on."""
        before = len(self.sent)
        try:
            with self.session.begin_nested():
                send()
        except (OperationalError, InterfaceError):  # the database's, and passing: everything waits for the next look
            raise
        except Exception:  # whatever it is, it must not keep every other reminder from going out
            log.exception("a chaser could not be made")
            del self.sent[before:]
            cases = {case.id for _, _, case in rows}
            if len(cases) > 1:
                # One of them is at fault; the others go by themselves.
                for case_id in sorted(cases):
                    some = [row for row in rows if row[2].id == case_id]
                    self.each(some, partial(self.write, some[0][0].address_key or "", some))
                return
            for chaser, _, _ in rows:
                chaser.state, chaser.cancelled_because = ReminderState.CANCELLED, FAULT
                self.session.add(chaser)
            chaser, _, case = rows[0]
            # As little as can be said: whatever was at fault may be in the rest.
            notice = Notice(NoticeKind.TELEPHONE, reference=case.reference, code=FAULT)
            key = f"chaser:{chaser.id}"
            desk_queue.post_notice(self.session, self.practice, notice, key=key, now=self.queued_at, case_id=case.id)

    def tell_desk(self, chaser: Chaser, action: Action, case: Case) -> None:
        """Remind the desk of what somebody owes who is not written to."""
        self._mark(chaser, action, case, self._post(NoticeKind.ACTION, chaser, action, case, code=action.owner))

    def ask_to_telephone(self, chaser: Chaser, action: Action, case: Case) -> None:
        """Letters have done what they can: the officer is given the task to telephone."""
        self._mark(chaser, action, case, self._task(chaser, action, case, "unanswered"))

    def write(self, address_key: str, owed: Sequence[_Row]) -> None:
        """One letter to one person about all that they owe, unless they had one today: then on the next office day."""
        practice, now = self.practice, self.now
        address = self._address(address_key, owed[0])
        if address is None or not practice.advice.can_write_to(address):
            self._give_up(owed, NO_ADDRESS)
            return
        today = practice.calendar.local(now).date()
        if self._waits(address_key):
            # The relay is away: what has come together by then is one letter, and not one for each day.
            self._put_off(owed, today)
            return
        try:
            letter = practice.letters.chaser([self._owed(action, case) for action, case in _each_once(owed)])
        except LetterProblem:
            # Every template is tried at the start, so this is a very odd one. The others go on; somebody must telephone.
            self._give_up(owed, NOT_RENDERABLE)
            return
        _, action, case = owed[0]
        message_id = new_id(now)
        mail_id = practice.mail_id(message_id)
        asked = self.session.get(Message, action.asked_in) if action.asked_in else None
        thread = self._mail_id_of(asked) if asked is not None else None
        content = {
            "to": address,
            "reply_to": practice.reply_address(case.reply_tag),
            "subject": letter.subject,
            "text": letter.text,
            "html": letter.html,
            "in_reply_to": thread,
            "references": [thread] if thread else [],
            "submitted": "auto-generated",
            "actions": [action.id for action, _ in _each_once(owed)],
        }
        key = f"chaser:{address_key}:{today}"
        letter_id = outbox.put(
            self.session,
            practice.vault,
            key=key,
            via=Via.MAIL,
            kind=Kind.CHASER,
            now=self.queued_at,
            case_id=case.id,
            mail_id=mail_id,
            sealed_by=case.key_id,
            address_key=address_key,
            content=content,
        )
        if letter_id is None:
            self._put_off(owed, today)
            return
        self.session.add(message_of(practice, case, letter, message_id=message_id, to=address, now=now))
        for row in owed:
            audit.record(
                self.session,
                row[2].id,
                at=now,
                actor=str(SYSTEM),
                act="chased",
                code=row[0].kind,
                detail={"action": row[1].id, "letter": letter_id},
            )
            self._mark(*row, key)

    def _waits(self, address_key: str) -> bool:
        """Whether a letter to them has not left yet."""
        there = select(Outgoing.id).where(
            col(Outgoing.address_key) == address_key,
            col(Outgoing.kind) == Kind.CHASER,
            col(Outgoing.state).in_((WAITING, LEASED)),
        )
        return self.session.exec(there).first() is not None

    def _put_off(self, owed: Sequence[_Row], today: date) -> None:
        """To the next office day."""
        calendar = self.practice.calendar
        for chaser, _, _ in owed:
            chaser.due_at = calendar.instant_at(calendar.working_day_after(today), calendar.opens)
            self.session.add(chaser)

    def _give_up(self, owed: Sequence[_Row], why: str) -> None:
        """No letter can go: nothing more is tried, and somebody must telephone, once for each action."""
        for action, case in _each_once(owed):
            stop_action(self.session, action, because=why)
            chaser = next(chaser for chaser, of, _ in owed if of.id == action.id)
            self._task(chaser, action, case, why)

    def _task(self, chaser: Chaser, action: Action, case: Case, why: str) -> str:
        session, practice, now = self.session, self.practice, self.now
        note = add_note(session, practice, case, "telephone_wanted", by=SYSTEM, words=_TELEPHONE, now=now)
        closes = practice.calendar.instant_at(practice.calendar.local(now).date(), practice.calendar.closes)
        task = Action(
            id=new_id(now),
            case_id=case.id,
            owner=Owner.OFFICER,
            due_at=closes,
            state=ActionState.OPEN,
            by=str(SYSTEM),
            recorded_at=now,
            note_id=note.id,
        )
        session.add(task)
        detail = {"action": action.id, "task": task.id, "due_at": closes.isoformat()}
        audit.record(
            session, case.id, at=now, actor=str(SYSTEM), act="telephone_wanted", code=why, detail=detail, note=note
        )
        start(session, practice, task, now=now)
        desk_queue.update_card(session, practice, case, now=self.queued_at)
        return self._post(NoticeKind.TELEPHONE, chaser, action, case, code=why)

    def _owed(self, action: Action, case: Case) -> Owed:
        return Owed(
            reference=case.reference,
            asked_at=action.recorded_at,
            due_at=action.due_at,
            overdue=action.due_at < self.now,
            reply_to=self.practice.reply_address(case.reply_tag),
        )

    def _address(self, address_key: str, row: _Row) -> str | None:
        case = row[2]
        participant = self.session.get(Participant, (case.id, address_key))
        if participant is None:
            return None
        place = Place("participants", address_key, "content", case.id)
        try:
            address: str = self.practice.vault.open_json(place, participant.content)
        except (*UNOPENABLE, ValueError):
            return None
        return address

    def _mail_id_of(self, message: Message) -> str | None:
        place = Place("messages", message.id, "content", message.case_id)
        try:
            mail_id: str | None = self.practice.vault.open_json(place, message.content).get("message_id")
        except (*UNOPENABLE, ValueError):
            return None
        return mail_id

    def _post(self, kind: NoticeKind, chaser: Chaser, action: Action, case: Case, *, code: str) -> str:
        notice = Notice(
            kind=kind,
            reference=case.reference,
            moment=ChaserKind.AFTER if action.due_at < self.now else ChaserKind.AT,
            due_at=action.due_at,
            late=self.now - chaser.due_at > LATE_AFTER,
            owner=Actor.parse(case.officer) if case.officer else None,
            code=code,
        )
        key = f"chaser:{chaser.id}"
        desk_queue.post_notice(self.session, self.practice, notice, key=key, now=self.queued_at, case_id=case.id)
        return key

    def _mark(self, chaser: Chaser, action: Action, case: Case, key: str) -> None:
        late = self.now - chaser.due_at > LATE_AFTER
        chaser.state = ReminderState.LATE if late else ReminderState.SENT
        chaser.sent_at = self.now
        self.session.add(chaser)
        self.sent.append(
            Sent(
                key=key,
                case=case.reference,
                deadline=ACTION,
                kind=chaser.kind,
                to=action.owner,
                due_at=chaser.due_at,
                state=ReminderState(chaser.state),
                sent_at=self.now,
            )
        )


def _each_once(owed: Sequence[_Row]) -> list[tuple[Action, Case]]:
    """What is owed, each action once: two of its letters may fall together."""
    return list({action.id: (action, case) for _, action, case in owed}.values())


_TELEPHONE = "Telephone them: what they owe has not come, and letters have done what they can."


def _stop(
    session: Session, chasers: SelectOfScalar[Chaser], because: str, facts: Mapping[str, str] | None = None
) -> int:
    """End what waits. What ends it for good is marked on the others too, so that nothing plans them anew.

    On one that was sent the mark says that its letter need not go, if it still waits for the relay.
    """
    for_good = because in _FOR_GOOD
    ended = [
        row
        for row in session.exec(chasers.with_for_update(), params=facts).all()
        if row.state == ReminderState.WAITING or (for_good and row.cancelled_because not in _FOR_GOOD)
    ]
    for row in ended:
        if row.sent_at is None:
            row.state = ReminderState.CANCELLED
        row.cancelled_because = because
        session.add(row)
    return len(ended)


def _later(calendar: WorkingCalendar, day: date, working_days: int) -> date:
    for _ in range(working_days):
        day = calendar.working_day_after(day)
    return day


def _earlier(calendar: WorkingCalendar, day: date, working_days: int) -> date:
    for _ in range(working_days):
        day = calendar.working_day_before(day)
    return day
