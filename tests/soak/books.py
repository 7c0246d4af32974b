"""The books of the simulated year: what was planned, what was sent, and what the record says, held against each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, func, select

from intake_bot.casework import desk_queue, digest
from intake_bot.casework.pausing import NEVER_PAUSED
from intake_bot.casework.practice import TRIAGE, Practice
from intake_bot.casework.reminders import LATE_AFTER, notice_key
from intake_bot.casework.vocabulary import ReminderState
from storage.claims import CANCELLED, PARKED
from storage.outbox import Kind
from storage.tables import AuditEntry, Case, Chaser, Outgoing, Reminder
from storage.vault import Place
from storage.verify import faults

Span = tuple[datetime, datetime]
SENT = (ReminderState.SENT, ReminderState.LATE)
ROUNDED = timedelta(seconds=1)
"""The year's clock goes by whole seconds."""


def broken(
    session: Session, practice: Practice, *, since: datetime, until: datetime, dark: Sequence[Span]
) -> list[str]:
    """Every promise that did not hold. ``dark``: when no node was there that knew the time."""
    return [
        *_reminders(session, until, dark),
        *_chasers(session, practice, until, dark),
        *_told_too_much(session),
        *_digests(session, practice, since, until, dark),
        *(f"verify: {fault}" for fault in faults(session, practice.vault)),
        *(f"parked: {key}" for key in session.exec(select(Outgoing.key).where(col(Outgoing.state) == PARKED))),
    ]


def counts(session: Session) -> dict[str, int]:
    """What there was, for the report."""
    found: Counter[str] = Counter()
    for table, name in ((Reminder, "reminders"), (Chaser, "chasers")):
        rows = session.exec(
            select(table.state, table.cancelled_because, func.count()).group_by(table.state, table.cancelled_because)
        )
        for state, because, count in rows:
            found[f"{name} {state}{f': {because}' if because else ''}"] += count
    for kind, count in session.exec(select(Outgoing.kind, func.count()).group_by(col(Outgoing.kind))):
        found[f"outbox {kind}"] = count
    found["cases"] = session.exec(select(func.count()).select_from(Case)).one()
    return dict(found)


def _reminders(session: Session, until: datetime, dark: Sequence[Span]) -> Iterator[str]:
    keys = set(session.exec(select(Outgoing.key).where(col(Outgoing.key).startswith("reminder:"))))
    told = Counter(
        detail["reminder"]
        for detail in session.exec(select(AuditEntry.detail).where(col(AuditEntry.act) == "reminder_sent"))
    )
    for row in session.exec(select(Reminder)).all():
        sent, times, there = row.state in SENT, told[row.id], notice_key(row.id) in keys
        if times != sent or there != sent:
            yield f"reminder {row.id} is {row.state}, is on the record {times} times, and in the outbox: {there}"
        yield from _timing("reminder", row, until, dark)
    if len(keys) != sum(told.values()):
        yield f"{len(keys)} reminders in the outbox, {sum(told.values())} on the record"


def _timing(what: str, row: Reminder | Chaser, until: datetime, dark: Sequence[Span]) -> Iterator[str]:
    if row.state == ReminderState.CANCELLED and not row.cancelled_because:
        yield f"{what} {row.id} was cancelled for no recorded reason"
    if row.state == ReminderState.WAITING and row.due_at <= until - timedelta(days=4):
        # Chasers wait for the office to open, at Christmas for some days.
        yield f"{what} {row.id} waits, and was due at {row.due_at}"
    if row.state not in SENT:
        return
    assert row.sent_at is not None
    late = row.sent_at - row.due_at > LATE_AFTER
    if late is not (row.state == ReminderState.LATE):
        yield f"{what} {row.id}, due {row.due_at}, was sent {row.sent_at} and is marked {row.state}"
    if late and not any(begin <= row.due_at + ROUNDED and row.due_at <= end for begin, end in dark):
        yield f"{what} {row.id}, due {row.due_at}, was sent {row.sent_at}, though a node was there"
    if row.due_at - row.sent_at > ROUNDED:
        yield f"{what} {row.id}, due {row.due_at}, was sent too early, at {row.sent_at}"


def _chasers(session: Session, practice: Practice, until: datetime, dark: Sequence[Span]) -> Iterator[str]:
    """Each that was sent is a notice, or in a letter that names its action; nobody has two letters on a day."""
    notices = set(session.exec(select(Outgoing.key).where(col(Outgoing.key).startswith("chaser:"))))
    letters: Counter[str] = Counter()
    taken_back: dict[str, datetime] = {}
    days: Counter[tuple[str | None, str]] = Counter()
    for row in session.exec(select(Outgoing).where(col(Outgoing.kind) == Kind.CHASER)).all():
        days[row.address_key, row.key.rpartition(":")[2]] += 1
        place = Place("outbox", row.id, "content", row.case_id)
        actions = practice.vault.open_json(place, row.content)["actions"]
        if row.state == CANCELLED:
            taken_back |= {one: max(row.created_at, taken_back.get(one, row.created_at)) for one in actions}
        else:
            letters.update(actions)
    yield from (f"two letters to one person on {day}" for (_, day), count in days.items() if count > 1)
    why = ("action_closed", "chasers_stopped", "concluded", "paused", "set_aside")
    ends = select(AuditEntry.chain, func.max(AuditEntry.at)).where(col(AuditEntry.act).in_(why))
    ended = dict(session.exec(ends.group_by(AuditEntry.chain)).all())
    written: Counter[str] = Counter()
    for chaser in session.exec(select(Chaser)).all():
        yield from _timing("chaser", chaser, until, dark)
        notice = f"chaser:{chaser.id}" in notices
        if chaser.state in SENT and not notice:
            written[chaser.action_id] += 1
            # A letter that waited for the relay does not go where what it asks for has come meanwhile: the record says why.
            back = taken_back.get(chaser.action_id)
            is_excused = back is not None and chaser.case_id in ended and ended[chaser.case_id] >= back
            if not letters[chaser.action_id] and not is_excused:
                yield f"chaser {chaser.id} is {chaser.state}, and nothing was put in the outbox"
        if notice and chaser.state not in SENT and chaser.cancelled_because not in ("no_address", "not_renderable"):
            yield f"chaser {chaser.id} is {chaser.state}, and the desk was told"
    for action_id, count in letters.items():
        if count > written[action_id]:
            yield f"action {action_id} is in {count} letters, for {written[action_id]} chasers"


_AGAIN = frozenset({"decided", "reopened", "resumed", "strand_opened"})
"""After these a clock that was ended may run once more."""


def _told_too_much(session: Session) -> Iterator[str]:
    """The record in its own order: nothing after the decision, the end, a pause or the meeting of its target."""
    ended: defaultdict[str, set[str]] = defaultdict(set)
    undecided: defaultdict[str, bool] = defaultdict(lambda: True)
    still: dict[str, str] = {}
    for entry in session.exec(select(AuditEntry).order_by(col(AuditEntry.chain), col(AuditEntry.seq))):
        case_id, act, code = entry.chain, entry.act, entry.code or ""
        where = f"case {case_id}, entry {entry.seq}"
        if act == "decided":
            undecided[case_id] = False
        elif act == "reopened":
            undecided[case_id] = True
        if act in ("concluded", "set_aside", "paused"):
            still[case_id] = act
        elif act in ("reopened", "resumed"):
            still.pop(case_id, None)
        if act in ("target_met", "target_cancelled"):
            ended[case_id].add(code)
        elif act == "target_restarted":
            ended[case_id].discard(code)
        elif act in _AGAIN:
            ended[case_id].clear()
        if act == "chased" and case_id in still:
            yield f"{where}: somebody was chased after the case was {still[case_id]}"
        if act != "reminder_sent":
            continue
        target = code.partition("/")[0]
        if target in (TRIAGE, "claim") and not undecided[case_id]:
            yield f"{where}: {code} was sent after the decision"
        if target in ended[case_id]:
            yield f"{where}: {code} was sent after its target was met or ended"
        if case_id in still and not (still[case_id] == "paused" and target in NEVER_PAUSED):
            yield f"{where}: {code} was sent after the case was {still[case_id]}"


def _digests(
    session: Session, practice: Practice, since: datetime, until: datetime, dark: Sequence[Span]
) -> Iterator[str]:
    """One for each day on which somebody was there after it was due, marked late where nobody was there then."""
    calendar = practice.calendar
    rows = {
        row.key: row for row in session.exec(select(Outgoing).where(col(Outgoing.key).startswith(digest.KEY))).all()
    }
    first = session.exec(select(func.min(Case.received_at))).one()
    day = calendar.local(since).date()
    while first is not None and (at := calendar.instant_at(day, calendar.opens)) < until:
        if calendar.is_working_day(day) and first < at:
            midnight = min(until, calendar.instant_at(day + timedelta(days=1), calendar.opens.replace(0, 0)))
            row = rows.get(f"{digest.KEY}{day}")
            if row is None:
                if not any(begin <= at and midnight <= end for begin, end in dark):
                    yield f"no digest on {day}"
            else:
                notice = desk_queue.notice_from_json(
                    practice.vault.open_json(Place("outbox", row.id, "content", None), row.content)
                )
                if notice.late is not (row.created_at - at > LATE_AFTER):
                    yield f"the digest of {day} was made {row.created_at}, and is marked late: {notice.late}"
                if notice.late and not any(begin <= at <= end for begin, end in dark):
                    yield f"the digest of {day} was late, though a node was there"
        day += timedelta(days=1)
