"""What a monitoring system is told (``monitoring_pages`` shows it): counts and ages alone.

What is counted in rows is looked up when it is asked for; what takes time is measured as it happens. No label holds anything
but our own fixed words: no name, no reference, no address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlmodel import Session, col, func, select

from intake_bot.casework.practice import TRIAGE
from intake_bot.casework.vocabulary import CLOSED, DeadlineState, ReminderState, Status
from storage.claims import PARKED
from storage.engine import Database
from storage.outbox import Via
from storage.spool import waiting_states
from storage.tables import LAST_SLACK_PING, Case, Chaser, Deadline, Message, Meta, Outgoing, Reminder, Spooled

AT_RISK = timedelta(hours=4)
"""A target that is due within this time, and not met, is at risk."""
STUCK = timedelta(minutes=15)
"""What is accepted, or due to go out, and has waited longer is stuck: somebody must look."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800, 7200)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits, and for how long the oldest of it. ``lag`` counts from the time at which it was due."""

    spool: int
    spool_age: timedelta
    outbox: dict[str, int]
    outbox_lag: dict[str, timedelta]
    reminders: int
    reminder_lag: timedelta

    def stuck(self) -> list[str]:
        """What has waited too long: ``mail in``, ``mail``, ``desk``, ``reminders``."""
        found = ["mail in"] if self.spool_age > STUCK else []
        found += [via for via, lag in self.outbox_lag.items() if lag > STUCK]
        return found + (["reminders"] if self.reminder_lag > STUCK else [])


def waiting(session: Session, *, now: datetime) -> Waiting:
    """What waits at ``now``."""

    def age(oldest: datetime | None) -> timedelta:
        return max(now - oldest, timedelta()) if oldest is not None else timedelta()

    spooled = session.exec(
        select(func.count(), func.min(Spooled.received_at)).where(col(Spooled.state).in_(waiting_states()))
    ).one()
    going = session.exec(
        select(Outgoing.channel, func.count(), func.min(Outgoing.available_at))
        .where(col(Outgoing.state).in_(waiting_states()))
        .group_by(col(Outgoing.channel))
    ).all()
    counts, lags = {via: (count, age(first)) for via, count, first in going}, {}
    for via in Via:
        lags[via.value] = counts.get(via, (0, timedelta()))[1]
    due = [
        session.exec(
            select(func.count(), func.min(table.due_at)).where(
                col(table.state) == ReminderState.WAITING, col(table.due_at) <= now
            )
        ).one()
        for table in (Reminder, Chaser)
    ]
    # Chasers wait for office hours by themselves, so that theirs is no lag.
    return Waiting(
        spool=spooled[0],
        spool_age=age(spooled[1]),
        outbox={via.value: counts.get(via, (0, timedelta()))[0] for via in Via},
        outbox_lag=lags,
        reminders=due[0][0] + due[1][0],
        reminder_lag=age(due[0][1]),
    )


@dataclass
class Times:
    """Measured as it happens."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        def histogram(name: str, what: str) -> Histogram:
            return Histogram(f"intake_bot_{name}_seconds", what, buckets=_SECONDS, registry=self.registry)

        self.dealt_with = Counter(
            "intake_bot_dealt_with", "What this node has taken from the spool and dealt with", registry=self.registry
        )
        self.role = Gauge("intake_bot_role", "What this node does: 1", ["role"], registry=self.registry)
        self.accepted = histogram("accept", "From the end of a message's data to its 250")
        self.acknowledged = histogram("acknowledge", "From receipt to the acknowledgement handed to the relay")
        self.carded = histogram("card", "From receipt to the card on the desk")


class Rows:
    """A collector of what stands in the record, looked up at each scrape."""

    def __init__(self, database: Database, now: Callable[[], datetime], ping: Callable[[], datetime | None]) -> None:
        self._database, self._now, self._ping = database, now, ping

    def describe(self) -> list[Metric]:
        """Nothing is looked up when the registry is made."""
        return []

    def collect(self) -> Iterator[Metric]:
        now = self._now()
        with self._database.read() as session:
            yield from _gauges(session, now, self._ping())


def _gauges(session: Session, now: datetime, ping: datetime | None) -> Iterator[Metric]:
    def one(name: str, what: str, value: float) -> Metric:
        return GaugeMetricFamily(f"intake_bot_{name}", what, value=value)

    def several(name: str, what: str, label: str, values: dict[str, float]) -> Metric:
        family = GaugeMetricFamily(f"intake_bot_{name}", what, labels=[label])
        for key, value in values.items():
            family.add_metric([key], value)
        return family

    def count(table: Any, *which: Any) -> int:
        return int(session.exec(select(func.count()).select_from(table).where(*which)).one())

    seen = waiting(session, now=now)
    yield one("spool_waiting", "Accepted and not dealt with", seen.spool)
    yield one("spool_oldest_seconds", "Age of the oldest of these", seen.spool_age.total_seconds())
    yield several("outbox_waiting", "Not delivered yet", "via", dict(seen.outbox))
    yield several(
        "outbox_lag_seconds",
        "For how long the oldest has been due for its next try",
        "via",
        {via: lag.total_seconds() for via, lag in seen.outbox_lag.items()},
    )
    yield one("reminders_due", "Reminders and chasers that are due and not sent", seen.reminders)
    yield one(
        "reminder_lag_seconds", "For how long the oldest reminder has been due", seen.reminder_lag.total_seconds()
    )
    parked = {
        "arrived": count(Spooled, col(Spooled.state) == PARKED),
        "outgoing": count(Outgoing, col(Outgoing.state) == PARKED),
    }
    yield several("parked", "What waits for an officer because it could not be dealt with", "kind", dict(parked))
    yield one("unfiled", "Messages without a case", count(Message, col(Message.case_id).is_(None)))
    yield one("cases_open", "Cases that are not closed", count(Case, col(Case.status).not_in(CLOSED)))
    yield one("cases_unclaimed", "Cases that nobody has taken", count(Case, col(Case.status) == Status.NEW))
    goes_on = col(Deadline.case_id).in_(select(Case.id).where(col(Case.status).not_in(CLOSED)))
    pending = (col(Deadline.state) == DeadlineState.RUNNING, col(Deadline.due_at) <= now + AT_RISK, goes_on)
    yield one("targets_at_risk", f"Targets due within {AT_RISK.seconds // 3600} hours", count(Deadline, *pending))
    missed = (col(Deadline.state) == DeadlineState.MISSED, col(Deadline.met_at).is_(None), goes_on)
    yield one("targets_missed_open", "Targets that are missed and not met since", count(Deadline, *missed))
    yield one(
        "first_responses_missed_open",
        "The same of first responses alone",
        count(Deadline, *missed, col(Deadline.target) == TRIAGE),
    )
    kept = session.get(Meta, LAST_SLACK_PING)
    last = ping or (datetime.fromisoformat(kept.value) if kept is not None else None)
    if last is not None:
        yield one("slack_ping_age_seconds", "Since Slack was last heard of", (now - last).total_seconds())
