"""The report's tables, made from records. Every period is [since, until) in local days; every table says what it counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlmodel import Session

from intake_bot.casework.calendar import MIDNIGHT, WorkingCalendar
from intake_bot.casework.knowing import told_in_time
from intake_bot.casework.practice import ADVICE, FIRST_MEETING, TRIAGE, Practice
from intake_bot.casework.vocabulary import (
    CaseOutcome,
    DeadlineState,
    DecisionKind,
    EmployerAction,
    MeetingKind,
    RegulatorBody,
    Source,
    Status,
)
from intake_bot.reports import records, satisfaction
from intake_bot.reports.periods import Kind, Period, months_after
from intake_bot.reports.publishing import for_publication
from intake_bot.reports.records import Asked, Held, Kept, Record
from intake_bot.reports.tables import Row, Table, counted, share
from triage.vocabulary import Category, Criterion, Threshold

MOST_COMPARED = 5
"""Earlier years that a report lays beside this one."""
GOALS = {1: 80.0, 3: 90.0}
"""Per cent of referrals to be concluded within so many months (docs/reports.md says where these come from)."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a report shows, and what of it does not add up, which is nothing."""

    kind: Kind
    period: Period
    made_at: datetime
    authority: str
    service: str
    is_published: bool
    tables: tuple[Table, ...]
    compared: tuple[Period, ...] = ()
    faults: tuple[str, ...] = field(default=())

    def table(self, name: str) -> Table:
        return next(table for table in self.tables if table.id == name)

    def to_json(self) -> dict[str, Any]:
        return {
            "report": self.kind.value,
            "from": self.period.since.isoformat(),
            "to": (self.period.until - timedelta(days=1)).isoformat(),
            "made_at": self.made_at.isoformat(),
            "authority": self.authority,
            "published": self.is_published,
            "compared": [one.short for one in self.compared],
            "tables": [table.to_json() for table in self.tables],
            "reconciles": not self.faults,
            "faults": list(self.faults),
        }


def make(
    session: Session,
    practice: Practice,
    kind: Kind,
    period: Period,
    *,
    now: datetime,
    compare: int = 0,
    publish: bool = False,
    authority: str = "",
    service: str = "",
) -> Report:
    """The figures of a period as they stand at ``now``, with up to :data:`MOST_COMPARED` years before it beside them."""
    clock = _Clock(practice.calendar)
    before = (period.years_before(number) for number in range(1, min(compare, MOST_COMPARED) + 1))
    # A year of which nothing is recorded would show as one in which nothing happened.
    earlier = [_Year(one, found) for one in before if (found := clock.read(session, one))]
    years = (_Year(period, clock.read(session, period)), *earlier)
    compared = tuple(year.period for year in earlier)
    here = _Figures(
        years=years,
        clock=clock,
        now=now,
        meetings=[records.meetings(session, *clock.span(one)) for one in (period, *compared)],
        regulators=[records.regulators(session, *clock.span(one)) for one in (period, *compared)],
        open_at_end=records.open_at(session, min(clock.span(period)[1], now)),
        asked=records.feedback(session, *clock.span(period)),
    )
    tables = tuple(here.tables(kind))
    faults = tuple(fault for table in tables for fault in table.faults())
    return Report(
        kind=kind,
        period=period,
        made_at=now,
        authority=authority,
        service=service,
        is_published=publish,
        tables=for_publication(tables) if publish else tables,
        compared=compared,
        faults=faults,
    )


@dataclass(frozen=True, slots=True)
class _Clock:
    calendar: WorkingCalendar
    _known: dict[tuple[datetime, int], datetime] = field(default_factory=dict)
    """Limits that were counted before: each is asked for by several tables."""

    def span(self, period: Period) -> tuple[datetime, datetime]:
        return self.calendar.instant_at(period.since, MIDNIGHT), self.calendar.instant_at(period.until, MIDNIGHT)

    def read(self, session: Session, period: Period) -> list[Record]:
        return records.received(session, *self.span(period))

    def day(self, moment: datetime) -> date:
        return self.calendar.local(moment).date()

    def months_later(self, moment: datetime, number: int) -> datetime:
        limit = self._known.get((moment, number))
        if limit is None:
            wall = self.calendar.wall_clock(moment)
            limit = self.calendar.instant_at(months_after(wall.date(), number), wall.time())
            self._known[moment, number] = limit
        return limit


@dataclass(frozen=True, slots=True)
class _Year:
    period: Period
    records: list[Record]


_NOW_AND_THEN = "Counted in the period in which the consultation was received."


@dataclass(frozen=True, slots=True)
class _Figures:
    years: tuple[_Year, ...]
    clock: _Clock
    now: datetime
    meetings: list[list[Held]]
    regulators: list[list[Held]]
    open_at_end: list[Record]
    asked: list[Asked]

    def tables(self, kind: Kind) -> Iterable[Table]:
        yield self._by_month()
        if kind is Kind.ANNUAL:
            yield self._by_quarter()
        yield self._decisions()
        yield self._threshold()
        yield self._sectors()
        if kind is Kind.ANNUAL:
            yield self._sub_sectors()
            yield self._seldom()
        yield self._sources()
        if kind is Kind.ANNUAL:
            yield self._source_by_sector()
        yield self._categories()
        yield self._criteria()
        yield self._kept("decision_in_time", "Decision within 24 hours", TRIAGE, _any)
        yield self._kept("advice_in_time", "Advice within five working days", ADVICE, _any)
        yield self._kept("meeting_in_time", "First meeting within five working days", FIRST_MEETING, _any)
        if any(one.employer_knew_at is not None for one in self._this):
            yield self._told_in_time()
        yield self._meetings()
        yield self._outcomes()
        yield self._employer_actions()
        yield self._regulators()
        yield self._concluded("concluded_referrals", "How long referrals took to conclude", _is_referral)
        yield self._concluded("concluded_all", "How long all contacts took to conclude", _any)
        yield self._concluded_share()
        yield self._open()
        if kind is Kind.ANNUAL:
            yield self._themes()
            yield self._agreement()
        yield from satisfaction.tables(self.asked)

    @property
    def _this(self) -> list[Record]:
        return self.years[0].records

    def _heads(self, first: str) -> tuple[str, ...]:
        return (first, *(year.period.short for year in self.years))

    def _per_year(
        self,
        name: str,
        title: str,
        definition: str,
        *,
        first: str,
        labels: Iterable[tuple[str, str]],
        of: Callable[[Any], Iterable[str | None]],
        which: Callable[[Record], bool] | None = None,
        columns: Sequence[Sequence[Any]] | None = None,
        several: bool = False,
        note: str = "",
    ) -> Table:
        """Counts by a code, a column for each year. ``several``: one record may have more than one, or none."""
        if columns is None:
            columns = [[one for one in year.records if which is None or which(one)] for year in self.years]
        labels = list(labels)
        rows, totals = counted(labels, columns, of)
        coded = {words for _, words in labels} | {"Not recorded"}
        if not several:
            totals = [len(column) for column in columns]
        return Table(
            name,
            title,
            definition,
            self._heads(first),
            tuple(Row(words, tuple(numbers)) for words, numbers in rows),
            Row("Total", tuple(totals)),
            drawn=tuple(range(len(self.years))),
            note=note,
            typed=frozenset(words for words, _ in rows if words not in coded),
        )

    def _by_month(self) -> Table:
        return self._by_time("contacts_by_month", "Contacts by month", self.years[0].period.months(), "Month", 1)

    def _by_quarter(self) -> Table:
        period = self.years[0].period
        quarters = []
        begin = period.since
        while begin < period.until:
            end = min(months_after(begin, 3), period.until)
            quarters.append(Period(begin, end))
            begin = end
        return self._by_time("contacts_by_quarter", "Contacts by quarter", quarters, "Quarter", 3)

    def _by_time(self, name: str, title: str, spans: list[Period], first: str, length: int) -> Table:
        days = [[self.clock.day(one.received_at) for one in year.records] for year in self.years]
        rows = []
        for span in spans:
            moved = [span.years_before(number) if number else span for number in range(len(self.years))]
            counts = [
                sum(within.since <= day < within.until for day in found)
                for within, found in zip(moved, days, strict=True)
            ]
            last = span.until - timedelta(days=1)
            label = f"{span.since:%B}" if length == 1 else f"{span.since:%B} to {last:%B}"
            rows.append(Row(label, tuple(counts)))
        return Table(
            name,
            title,
            f"A contact is every consultation received, whatever was decided. {_NOW_AND_THEN}",
            self._heads(first),
            tuple(rows),
            Row("Total", tuple(len(year.records) for year in self.years)),
            drawn=tuple(range(len(self.years))),
        )

    def _decisions(self) -> Table:
        labels = [(kind.value, kind.label) for kind in DecisionKind]
        return self._per_year(
            "decisions",
            "What was decided",
            f"The decision that stands. A referral is a contact that meets the harm threshold. {_NOW_AND_THEN}",
            first="Decision",
            labels=[*labels, ("undecided", "Not decided yet")],
            of=lambda one: [one.decision or "undecided"],
        )

    def _threshold(self) -> Table:
        rows = []
        for year in self.years:
            met = sum(map(_is_referral, year.records))
            decided = sum(one.decision is not None for one in year.records)
            rows.append(Row(year.period.short, (decided, met, share(met, decided))))
        return Table(
            "threshold",
            "Share that met the threshold",
            f"Referrals among the contacts that are decided. {_NOW_AND_THEN}",
            ("Period", "Decided", "Met the threshold", "Share, %"),
            tuple(rows),
            shares={2: (1, 0)},
        )

    def _sectors(self) -> Table:
        return self._per_year(
            "sectors",
            "Sector in which the adult works",
            f"As recorded on the case; by the sender's mail domain where nobody has corrected it. {_NOW_AND_THEN}",
            first="Sector",
            labels=[(sector, sector) for sector in SECTORS],
            of=lambda one: [one.sector],
        )

    def _sub_sectors(self) -> Table:
        return self._per_year(
            "sub_sectors",
            "Sector and sub-sector",
            f"Of the contacts on which an officer has recorded the sub-sector. {_NOW_AND_THEN}",
            first="Sub-sector",
            labels=(),
            of=lambda one: [f"{one.sector or 'Sector not recorded'}: {one.sub_sector}"],
            which=lambda one: one.sub_sector is not None,
        )

    def _seldom(self) -> Table:
        """Sectors that bring nothing, or next to nothing."""
        contacts = len(self._this)
        by_sector = Counter(one.sector for one in self._this)
        rows = [
            Row(sector, (by_sector[sector], share(by_sector[sector], contacts)))
            for sector in SECTORS
            if by_sector[sector] * 50 < contacts
        ]
        return Table(
            "seldom",
            "Sectors that seldom bring anything",
            "Sectors with fewer than one contact in fifty. Nothing received is no proof that nothing happens there. "
            f"{_NOW_AND_THEN}",
            ("Sector", "Contacts", "Of all contacts, %"),
            tuple(rows),
            shares={1: (0, 0)},
        )

    def _sources(self) -> Table:
        return self._per_year(
            "sources",
            "Who brought it",
            f"The source of the contact, which need not be where the adult works. {_NOW_AND_THEN}",
            first="Source",
            labels=_labels(Source),
            of=lambda one: [one.source],
        )

    def _source_by_sector(self) -> Table:
        sectors = [sector for sector in SECTORS if any(one.sector == sector for one in self._this)]
        others = sorted({one.sector for one in self._this if one.sector and one.sector not in SECTORS})
        columns: list[str | None] = [*sectors, *others, None]
        tally = Counter((one.source, one.sector) for one in self._this)
        known = [(source.value, words) for source, (_, words) in zip(Source, _labels(Source), strict=True)]
        unknown = sorted({one.source for one in self._this if one.source} - {code for code, _ in known})
        labels: list[tuple[str | None, str]] = [*known, *((code, code) for code in unknown), (None, "Not recorded")]

        def row(words: str, numbers: list[int], total: int) -> Row:
            return Row(words, (*numbers, total))

        by_source, by_sector = Counter(one.source for one in self._this), Counter(one.sector for one in self._this)
        return Table(
            "source_by_sector",
            "Source and sector",
            f"Who brought what about whom. {_NOW_AND_THEN}",
            ("Source", *(sector or "Not recorded" for sector in columns), "Total"),
            tuple(
                row(words, [tally[(code, sector)] for sector in columns], by_source[code])
                for code, words in labels
                if by_source[code] or code is not None
            ),
            row("Total", [by_sector[sector] for sector in columns], len(self._this)),
            across=len(columns),
        )

    def _categories(self) -> Table:
        return self._per_year(
            "categories",
            "Category of the allegation or concern",
            "The main category, as the officer decided it; as triage suggested it where nobody has decided yet. "
            f"{_NOW_AND_THEN}",
            first="Category",
            labels=[(category.value, category.label) for category in Category],
            of=lambda one: [one.category],
        )

    def _criteria(self) -> Table:
        return self._per_year(
            "criteria",
            "Criteria of the harm threshold that referrals met",
            f"A referral may meet several, so that they add up to more than the referrals. {_NOW_AND_THEN}",
            first="Criterion",
            labels=[(str(int(criterion)), f"{int(criterion)}. {criterion.wording}") for criterion in Criterion],
            of=lambda one: [str(number) for number in one.criteria],
            which=_is_referral,
            several=True,
        )

    def _kept(self, name: str, title: str, target: str, which: Callable[[Record], bool]) -> Table:
        rows = []
        total = [0, 0]
        by_month = {(period.since.year, period.since.month): [0, 0] for period in self.years[0].period.months()}
        for one in self._this:
            kept = one.clocks.get(target)
            if kept is None or not which(one) or not _has_fallen_due(kept):
                continue
            day = self.clock.day(one.received_at)
            was_in_time = kept.state == DeadlineState.MET
            for tally in (by_month[(day.year, day.month)], total):
                tally[0] += 1
                tally[1] += was_in_time
        for period in self.years[0].period.months():
            due, in_time = by_month[(period.since.year, period.since.month)]
            rows.append(Row(f"{period.since:%B}", (due, in_time, share(in_time, due))))
        return Table(
            name,
            title,
            "Of the clocks that were met or have fallen due (docs/targets.md says how each is counted). What was cancelled, "
            f"is paused or runs still is not counted. {_NOW_AND_THEN}",
            ("Month", "Due or met", "In time", "In time, %"),
            tuple(rows),
            Row("Total", (*total, share(total[1], total[0]))),
            shares={2: (1, 0)},
            drawn=(2,),
        )

    def _told_in_time(self) -> Table:
        """How soon employers told us, by sector."""
        calendar = self.clock.calendar
        # A sector of one's own would tell more than a code does, and rare ones cannot be told together with a share.
        found = [
            ("Not recorded" if one.sector is None else one.sector if one.sector in SECTORS else "Another", in_time)
            for one in self._this
            if one.employer_knew_at is not None
            and (in_time := told_in_time(one.employer_knew_at, one.received_at, calendar)) is not None
        ]
        told, known = Counter(sector for sector, in_time in found if in_time), Counter(sector for sector, _ in found)
        return Table(
            "employer_to_officer",
            "Told by the employer within one working day",
            "Of the contacts on which it is recorded when the employer first knew, and on which the employer knew no later "
            "than we did: those received no later than on the next working day after the day on which the employer first "
            f"knew. {_NOW_AND_THEN}",
            ("Sector", "Recorded", "In time", "In time, %"),
            tuple(
                Row(sector, (known[sector], told[sector], share(told[sector], known[sector])))
                for sector in (*SECTORS, "Another", "Not recorded")
                if known[sector]
            ),
            Row("Total", (len(found), told.total(), share(told.total(), len(found)))),
            shares={2: (1, 0)},
            drawn=(2,),
        )

    def _meetings(self) -> Table:
        return self._per_year(
            "meetings",
            "Meetings",
            "Counted in the period in which they were held.",
            first="Meeting",
            labels=_labels(MeetingKind),
            of=lambda held: [held.kind],
            columns=self.meetings,
        )

    def _outcomes(self) -> Table:
        labels = [(outcome.value, outcome.label) for outcome in CaseOutcome]

        def of(one: Record) -> list[str | None]:
            if one.concluded_at is not None:
                return [one.outcome]
            return ["ongoing_police" if one.has_police else "ongoing"]

        return self._per_year(
            "outcomes",
            "Outcomes of referrals",
            f"How the referrals of the period have ended so far; those that have not are ongoing. {_NOW_AND_THEN}",
            first="Outcome",
            labels=[*labels, ("ongoing", "Ongoing"), ("ongoing_police", "Ongoing, with the police or a court")],
            of=of,
            which=_is_referral,
        )

    def _employer_actions(self) -> Table:
        return self._per_year(
            "employer_actions",
            "What employers did",
            f"As recorded when a referral was concluded. {_NOW_AND_THEN}",
            first="Action",
            labels=_labels(EmployerAction),
            of=lambda one: [one.employer_action],
            which=lambda one: _is_referral(one) and one.concluded_at is not None,
        )

    def _regulators(self) -> Table:
        return self._per_year(
            "regulators",
            "Regulators told",
            "Counted in the period in which they were told; one case may have several.",
            first="Regulator",
            labels=[(body.value, _REGULATORS.get(body, _words(body))) for body in RegulatorBody],
            of=lambda held: [held.kind],
            columns=self.regulators,
        )

    def _concluded(self, name: str, title: str, which: Callable[[Record], bool]) -> Table:
        cohort = [one for one in self._this if which(one)]
        elapsed = Counter(self._length(one, without_pauses=False) for one in cohort)
        without = Counter(self._length(one, without_pauses=True) for one in cohort)
        police = Counter(self._length(one, without_pauses=False) for one in cohort if one.has_police)
        return Table(
            name,
            title,
            "From receipt to conclusion in calendar months; without pauses, the time that a case stood still for the "
            f"police, a court or another body is taken off. {_NOW_AND_THEN}",
            ("Concluded", "Contacts" if which is _any else "Referrals", "Without pauses", "Of these with police"),
            tuple(Row(words, (elapsed[code], without[code], police[code])) for code, words in _LENGTHS.items()),
            Row("Total", (len(cohort), len(cohort), sum(one.has_police for one in cohort))),
            drawn=(0,),
        )

    def _length(self, one: Record, *, without_pauses: bool) -> int:
        """Within how many months it was concluded: 1, 3, 12, more (99), or not yet (0)."""
        if one.concluded_at is None:
            return 0
        ended = one.concluded_at - one.paused(one.concluded_at) if without_pauses else one.concluded_at
        for number in (1, 3, 12):
            if ended <= self.clock.months_later(one.received_at, number):
                return number
        return 99

    def _concluded_share(self) -> Table:
        """The measures of conclusion, against what is asked for."""
        rows = []
        for words, which in (("Referrals", _is_referral), ("All contacts", _any)):
            cohort = [one for one in self._this if which(one)]
            for number, goal in GOALS.items():
                # Whoever is concluded, or has had the time: what is still in time counts neither way.
                due = [
                    one
                    for one in cohort
                    if one.concluded_at is not None or self.clock.months_later(one.received_at, number) <= self.now
                ]
                for how, without in (("", False), (", without pauses", True)):
                    done = sum(0 < self._length(one, without_pauses=without) <= number for one in due)
                    label = f"{words} within {number} month{'s' if number > 1 else ''}{how}"
                    rows.append(Row(label, (len(due), done, share(done, len(due)), goal)))
        return Table(
            "concluded_share",
            "Conclusion against the measures",
            "Of those that are concluded or have had the time. The measures (80 % within one month, 90 % within three) are "
            f"those that services report against. {_NOW_AND_THEN}",
            ("Measure", "Counted", "Within", "Share, %", "Measure, %"),
            tuple(rows),
            shares={2: (1, 0), 3: (0, 0)},
        )

    def _open(self) -> Table:
        ages = ("Up to 1 month", "1 to 3 months", "3 to 12 months", "Over 12 months")
        end = min(self.clock.span(self.years[0].period)[1], self.now)
        reasons = {
            "undecided": "Not decided yet",
            "paused": "Paused",
            "police": "With the police or a court",
            "other": "Otherwise in progress",
        }
        tally = Counter((self._why_open(one), self._age(one, end)) for one in self.open_at_end)
        by_reason = Counter(self._why_open(one) for one in self.open_at_end)
        by_age = Counter(self._age(one, end) for one in self.open_at_end)
        return Table(
            "open",
            "Open at the end of the period",
            "Every contact received before and not concluded by then, whenever it came, by its age and what it waits for.",
            ("Waits", *ages, "Total"),
            tuple(
                Row(words, (*(tally[(code, age)] for age in range(4)), by_reason[code]))
                for code, words in reasons.items()
            ),
            Row("Total", (*(by_age[age] for age in range(4)), len(self.open_at_end))),
            across=4,
        )

    @staticmethod
    def _why_open(one: Record) -> str:
        if one.decision is None:
            return "undecided"
        if one.has_police:
            return "police"
        return "paused" if one.status == Status.PAUSED else "other"

    def _age(self, one: Record, end: datetime) -> int:
        limits = (self.clock.months_later(one.received_at, number) for number in (1, 3, 12))
        return sum(limit < end for limit in limits)

    def _themes(self) -> Table:
        return self._per_year(
            "themes",
            "Themes",
            f"Tags that officers add; a contact may have several, or none. {_NOW_AND_THEN}",
            first="Theme",
            labels=(),
            of=lambda one: one.themes,
            several=True,
        )

    def _agreement(self) -> Table:
        """How officers decided on what triage suggested first."""
        labels = {
            Threshold.MEETS: "Seems to meet the threshold",
            Threshold.LOW_LEVEL: "Low-level concern",
            Threshold.NOT_LADO: "Not for the designated officer",
            Threshold.UNCLEAR: "Unclear",
            None: "No suggestion",
        }
        decided = [one for one in self._this if one.decision is not None]
        tally = Counter((one.suggested, _is_referral(one)) for one in decided)
        by_decision = Counter(map(_is_referral, decided))
        by_suggestion = Counter(one.suggested for one in decided)
        return Table(
            "agreement",
            "What triage suggested and what officers decided",
            "The first suggestion of each contact that is decided, beside the decision that stands. The machine suggests; "
            f"an officer decides. {_NOW_AND_THEN}",
            ("Suggested", "Decided: referral", "Decided otherwise", "Total"),
            tuple(
                Row(words, (tally[(code, True)], tally[(code, False)], by_suggestion[code]))
                for code, words in labels.items()
            ),
            Row("Total", (by_decision[True], by_decision[False], len(decided))),
            across=2,
        )


SECTORS = (
    "Education",
    "Early years",
    "Social care",
    "Fostering",
    "Health",
    "Police",
    "Council or government",
    "Voluntary organisation",
    "Sport",
    "Faith group",
    "Transport",
    "CAFCASS",
    "Ofsted",
)
"""The sectors that a report names whether or not anything came from them: silence is a figure too."""
_REGULATORS = {
    RegulatorBody.DBS: "Disclosure and Barring Service",
    RegulatorBody.TRA: "Teaching Regulation Agency",
    RegulatorBody.OFSTED: "Ofsted",
    RegulatorBody.SPORT: "A sport's governing body",
    RegulatorBody.PROFESSIONAL: "A professional body",
}
_LENGTHS = {
    1: "Within 1 month",
    3: "1 to 3 months",
    12: "3 to 12 months",
    99: "After more than 12 months",
    0: "Not concluded yet",
}


def _any(_: Record) -> bool:
    return True


def _is_referral(one: Record) -> bool:
    return one.decision == DecisionKind.REFERRAL


def _has_fallen_due(kept: Kept) -> bool:
    return kept.state in (DeadlineState.MET, DeadlineState.MISSED)


def _words(code: str) -> str:
    return code.upper() if code in _INITIALS else str(code).replace("_", " ").capitalize()


_INITIALS = frozenset({"nspcc"})


def _labels(codes: Iterable[StrEnum]) -> list[tuple[str, str]]:
    return [(code.value, getattr(code, "label", None) or _words(code)) for code in codes]
