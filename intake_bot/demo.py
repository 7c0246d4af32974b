"""The whole story on one screen: the real service on loopback, six fictional mails over real SMTP, a clock that is moved.

The service is the one that ``serve`` runs. What is the demo's own: a throw-away folder, a desk that hands its cards to
the screen one by one, and the clock.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import shutil
import smtplib
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from intake_bot import logs
from intake_bot.casework import deadlines, officer, views
from intake_bot.casework.acts import Claim, Decide
from intake_bot.casework.desk import (
    TERMINAL,
    Actor,
    CaseCard,
    Notice,
    Posted,
)
from intake_bot.casework.letters import say_time
from intake_bot.casework.plan import Moment
from intake_bot.casework.vocabulary import DecisionKind, ReminderState
from intake_bot.house import House, open_house
from intake_bot.service import Service
from intake_bot.settings import Settings, load
from intake_bot.terminal import NoSlack, card_panel, notice_sentence, suggestion_text
from storage import audit
from triage.vocabulary import Category, Criterion

LONDON = ZoneInfo("Europe/London")
FRIDAY_AFTERNOON = datetime(2026, 11, 27, 16, 40, tzinfo=LONDON)
OFFICER = Actor("terminal", "Amina (duty officer)")
SETTLE_SECONDS = 60

STORY = (
    ("1-harm.eml", "A clear allegation of harm"),
    ("2-low-level.eml", "A low-level concern"),
    ("3-private-life.eml", "A private-life matter"),
    ("4-child-on-child.eml", "Child on child: not the designated officer's"),
    ("5-vague.eml", "A vague one, with most of the minimum data missing"),
    ("6-out-of-office.eml", "An out-of-office reply: no answer, no case"),
)


class DemoClock:
    """Runs like any clock, from a Friday afternoon, and can be moved on."""

    def __init__(self, start: datetime) -> None:
        self._start = start.astimezone(UTC)
        self._began = time.monotonic()

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=time.monotonic() - self._began)

    def move_to(self, moment: datetime) -> None:
        self._start, self._began = moment.astimezone(UTC), time.monotonic()


@dataclass
class DemoDesk(NoSlack):
    """A desk that keeps what it is shown, for the screen to show in its own time."""

    cards: dict[str, CaseCard] = field(default_factory=dict)
    seen_at: dict[str, float] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)

    async def post_card(self, card: CaseCard, post_id: str, *, look_first: bool) -> Posted:
        self.seen_at[card.case_id] = time.monotonic()
        self.cards[card.case_id] = card
        return Posted(TERMINAL, post_id)

    async def update_card(self, card: CaseCard, at: Posted) -> None:
        self.cards[card.case_id] = card

    async def post_notice(self, notice: Notice, post_id: str, *, look_first: bool) -> Posted:
        self.notices.append(notice)
        return Posted(TERMINAL, post_id)

    async def tell(self, actor: Actor, text: str) -> None:
        """Nobody presses a button twice in this story."""

    def new_notices(self) -> list[Notice]:
        new, self.notices = self.notices, []
        return new


@dataclass
class Times:
    """Seconds from the end of DATA."""

    to_250: list[float] = field(default_factory=list)
    to_acknowledgement: list[float] = field(default_factory=list)
    to_card: list[float] = field(default_factory=list)


async def run(config: Path | None, data: Path | None, *, keep: bool) -> int:
    """Tell the story; 0 when everything came out as promised, 1 when not."""
    began = time.monotonic()
    console = Console(width=100) if not Console().is_terminal else Console()
    folder = Path(tempfile.mkdtemp(prefix="intake-bot-demo-"))
    try:
        settings = _settings(load(config), folder)
        house = open_house(settings, data or folder / "data")
        try:
            with (folder / "log").open("w", encoding="utf-8") as log_file:
                writer = logs.set_up(log_file)
                try:
                    faults = await Story(house, console).tell()
                finally:
                    writer.stop()
        finally:
            house.close()
        _year(settings, folder, console)
    finally:
        if keep:
            console.print(f"The throw-away folder is kept: {folder}", highlight=False)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    console.print(f"\nThat was the whole story, in {time.monotonic() - began:.0f} seconds.", highlight=False)
    console.print("Next: [bold]make test[/], then [bold].venv/bin/intake-bot serve[/]; README.md tells the rest.")
    for fault in faults:
        console.print(f"[bold red]Not as promised:[/] {fault}")
    return 1 if faults else 0


class Story:
    """The demo's scenes, in order. Each shows what people see and checks what was promised."""

    def __init__(self, house: House, console: Console) -> None:
        self._house = house
        self._console = console
        self._clock = DemoClock(FRIDAY_AFTERNOON)
        self._desk = DemoDesk()
        self._service = Service(house, console=console, clock=self._clock, desk=self._desk)
        self._zone = house.settings.office.zone
        self._times = Times()
        self._faults: list[str] = []
        self._letters_seen: set[Path] = set()
        self._case_ids: list[str] = []
        self._wall_dot = 0.0

    async def tell(self) -> list[str]:
        """Runs every scene; what did not come out as promised."""
        with self._console.status("starting the service and loading the language pipeline ..."):
            await self._service.start()
            if self._service.triager is not None:
                await self._service.triager.sandbox.warm(seconds=60)
        try:
            self._console.print(
                f"intake-bot is taking mail on 127.0.0.1:{self._service.mail.port}. "
                f"It is {say_time(self._clock(), self._zone)}. All names are fictional.\n",
                highlight=False,
            )
            for number, (name, title) in enumerate(STORY, 1):
                await self._arrival(number, name, title)
            await self._decisions_before_the_weekend()
            await self._monday()
            await self._the_referral()
            self._summary()
        finally:
            await self._service.stop()
        return self._faults

    async def _arrival(self, number: int, name: str, title: str) -> None:
        self._console.rule(f"[bold]{number} of {len(STORY)}: {title}")
        raw = resources.files("intake_bot").joinpath("demo_mail", name).read_bytes()
        self._wall_dot = time.time()
        with self._console.status("sending it over SMTP ..."):
            dot, kept = await asyncio.to_thread(_send, raw, self._service.mail.port)
            await self._settled()
        self._times.to_250.append(kept - dot)
        letter_path = self._new_letter()
        with self._house.database.read() as session:
            opened = [
                case
                for row in views.cases_json(session)
                if row["id"] not in self._case_ids and (case := views.find(session, row["id"])) is not None
            ]
            if not opened:
                self._console.print(f"[green]Kept[/] after {(kept - dot) * 1000:.0f} ms; it answers nothing of ours.")
                self._console.print("It opened no case and got no answer; the desk is told that it was kept:")
                told = self._show_notices()
                self._expect(number == 6 and letter_path is None, f"message {number} opened no case")
                self._expect(len(told) == 1, "the desk should have been told of the unfiled message")
                return
            case = opened[0]
            self._case_ids.append(case.id)
            view = views.whole(session, self._house.practice, case)
            explained = [line for row in deadlines.of_case(session, case.id) for line in deadlines.explained(row)]
        self._times.to_card.append(self._desk.seen_at[case.id] - dot)
        arrival = next(message for message in view.messages if message.direction == "in")
        self._console.print(
            f"[green]Kept[/] after {(kept - dot) * 1000:.0f} ms; on the desk after "
            f"{(self._desk.seen_at[case.id] - dot) * 1000:.0f} ms.",
            highlight=False,
        )
        if letter_path is not None:
            self._show_letter(letter_path)
        self._expect(letter_path is not None, f"message {number} was not acknowledged")
        self._console.print(Text("\nThe card in the duty channel", style="bold"))
        self._console.print(card_panel(view.card, self._zone))
        if view.suggestion is not None:
            self._console.print(Text("The suggestion, as an officer sees it with View", style="bold"))
            self._console.print(Panel(suggestion_text(view.suggestion, arrival.text), border_style="dim"))
        self._expect(view.suggestion is not None, f"message {number} has no suggestion")
        self._console.print(Text("The deadline, explained", style="bold"))
        for line in explained:
            self._console.print(f"  {line}", highlight=False)
        self._console.print()

    def _show_letter(self, path: Path) -> None:
        letter = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        body = letter.get_body(preferencelist=("plain",))
        heads = Text()
        for name in ("From", "To", "Subject", "Auto-Submitted"):
            heads.append(f"{name}: {letter[name]}\n", style="dim")
        words = Text(str(body.get_content()) if body is not None else "")
        self._console.print(
            Panel(heads + Text("\n") + words, title="The acknowledgement, as the school gets it", title_align="left")
        )
        self._times.to_acknowledgement.append(path.stat().st_mtime - self._wall_dot)

    async def _decisions_before_the_weekend(self) -> None:
        self._console.rule("[bold]Before the weekend, the duty officer decides three of them")
        for index, act in (
            (1, ("consultation", "conduct", "Within the low-level concerns policy; advice given by telephone.")),
            (
                2,
                (
                    "consultation",
                    "private_life",
                    "Interim risk assessment agreed; police and social care hold the enquiry.",
                ),
            ),
            (3, ("no_further_action", "none", "Between pupils; no adult's conduct in question.")),
        ):
            kind, category, reason = act
            self._perform(Decide(self._case_ids[index], OFFICER, DecisionKind(kind), Category(category), (), reason))
        self._perform(Claim(self._case_ids[0], OFFICER))
        await self._settled()
        self._show_cases()

    async def _monday(self) -> None:
        self._console.rule("[bold]The clock moves on: Monday, four hours before the target")
        sent = await self._move(FRIDAY_AFTERNOON + timedelta(days=2, hours=20, minutes=5))
        before = [notice for notice in sent if notice.moment == Moment.BEFORE]
        self._expect(len(before) == 2, "two cases should have been reminded before the target")
        self._console.rule(
            "[bold]The clock moves past the target at one go, as over an outage: that reminder comes late"
        )
        sent = await self._move(FRIDAY_AFTERNOON + timedelta(days=3, minutes=25))
        self._expect(any(notice.late for notice in sent), "a reminder should have been marked late")

    async def _the_referral(self) -> None:
        self._console.rule("[bold]The officer decides: a referral")
        for index, kind, category, criteria, reason in (
            (
                0,
                "referral",
                "physical",
                (1, 3),
                "Grabbed and dragged a child; a mark was seen. Meets criteria 1 and 3.",
            ),
            (4, "consultation", "none", (), "Spoken to by telephone; advice given, more to come in writing."),
        ):
            met = tuple(Criterion(number) for number in criteria)
            self._perform(Decide(self._case_ids[index], OFFICER, DecisionKind(kind), Category(category), met, reason))
        await self._settled()
        with self._house.database.read() as session:
            case = views.find(session, self._case_ids[0])
            assert case is not None  # noqa: S101 (opened in the first scene)
            shown = views.show_json(session, self._house.practice, case)
            self._console.print(card_panel(views.card(session, case), self._zone))
            month = next(row for row in deadlines.of_case(session, case.id) if row.target == "one_month")
            for line in deadlines.explained(month):
                self._console.print(f"  {line}", highlight=False)
        waiting = [r for r in shown["reminders"] if r["deadline"] == "triage" and r["state"] == ReminderState.WAITING]
        cancelled = [r for r in shown["reminders"] if r["state"] == ReminderState.CANCELLED]
        self._console.print(f"The decision cancelled {len(cancelled)} reminder of the 24-hour target.", highlight=False)
        self._expect(
            bool(cancelled) and not waiting, "the decision should cancel what is left of the 24-hour reminders"
        )
        self._console.rule("[bold]The clock moves on, past the first meeting, to the week before the one-month target")
        sent = await self._move(month.due_at - timedelta(days=6))
        self._expect(
            {"advice", "first_meeting", "one_month"} <= {notice.target for notice in sent},
            "each of the clocks that the decisions started should have reminded",
        )

    def _summary(self) -> None:
        self._console.rule("[bold]Summary")
        with self._house.database.read() as session:
            counts = views.status_json(session, now=self._clock())
            broken = list(audit.broken_links(session))
        table = Table.grid(padding=(0, 3))
        for row in (
            ("Messages sent over SMTP", str(len(STORY))),
            ("Cases opened", str(len(self._case_ids))),
            ("Acknowledgements", str(len(self._letters_seen))),
            ("Kept without a case, for an officer to see", str(counts["unfiled"])),
            ("Parked or still waiting", str(counts["parked"] + counts["spool"] + counts["outbox"])),
            ("From the dot to the 250, slowest", _milliseconds(self._times.to_250)),
            ("From the dot to the acknowledgement, slowest", _milliseconds(self._times.to_acknowledgement)),
            ("From the dot to the card, slowest", _milliseconds(self._times.to_card)),
            ("Audit chains", "hold" if not broken else "BROKEN"),
        ):
            table.add_row(*row)
        self._console.print(table)
        self._expect(not broken, "an audit chain is broken")
        self._expect(counts["unfiled"] == 1 and len(self._letters_seen) == 5, "five answers and one unfiled message")

    async def _move(self, moment: datetime) -> list[Notice]:
        self._clock.move_to(moment)
        self._console.print(f"It is now {say_time(self._clock(), self._zone)}.", highlight=False)
        await self._service.sweep()
        await self._settled()
        return self._show_notices()

    def _show_notices(self) -> list[Notice]:
        notices = self._desk.new_notices()
        for notice in notices:
            self._console.print(Text("● ", style="yellow") + Text(notice_sentence(notice, self._zone)))
        self._console.print()
        return notices

    def _perform(self, act: Claim | Decide) -> None:
        with self._house.database.write() as session:
            result = officer.perform(session, self._house.practice, act, now=self._clock())
        self._console.print(f"[green]✓[/] {result.said}", highlight=False)
        self._expect(isinstance(result, officer.Done), result.said)

    def _show_cases(self) -> None:
        table = Table("Case", "Status", "With", "Decision", box=None)
        for card in self._desk.cards.values():
            table.add_row(
                card.reference,
                card.status,
                card.officer.id if card.officer else "nobody yet",
                card.decision.label if card.decision else "",
            )
        self._console.print(table)
        self._console.print()

    async def _settled(self) -> None:
        async with asyncio.timeout(SETTLE_SECONDS):
            await self._service.settle()

    def _new_letter(self) -> Path | None:
        new = set(self._house.outgoing_dir.glob("*.eml")) - self._letters_seen
        self._letters_seen |= new
        return next(iter(new), None)

    def _expect(self, held: bool, otherwise: str) -> None:
        if not held:
            self._faults.append(otherwise)


YEAR, CONTACTS = 2025, 60


def _year(settings: Settings, folder: Path, console: Console) -> None:
    """A fictional year in a record of its own, and the annual report over it, which outlives the throw-away folder."""
    from intake_bot.report_commands import make
    from intake_bot.reports.documents import headlines
    from intake_bot.reports.periods import Kind, Period
    from intake_bot.simulation import simulate

    console.rule("[bold]A fictional year, and its annual report")
    house = open_house(settings, folder / "year")
    try:
        done = simulate(house, year=YEAR, contacts=CONTACTS)
        period = Period(done.since, done.until)
        out = Path(tempfile.mkdtemp(prefix="intake-bot-report-"))
        now = house.practice.calendar.instant_at(date(YEAR + 1, 4, 30), time_of_day(9))
        report, paths = make(house, Kind.ANNUAL, period, now=now, out=out, compare=0, publish=False, by=str(OFFICER))
    finally:
        house.close()
    console.print(
        f"{done.contacts} contacts lived through with {done.acts} acts of officers and {done.reminders} reminders."
    )
    for line in headlines(report):
        console.print(f"  {line}", highlight=False)
    console.print(
        f"The report: {next(path for path in paths if path.suffix == '.html')}", highlight=False, soft_wrap=True
    )


def _settings(settings: Settings, folder: Path) -> Settings:
    """The given settings with the demo's own: everything in the throw-away folder, any free port, a fictional council."""
    return Settings.model_validate(
        settings.model_dump()
        | {
            "service": {"authority": "Elmshire County Council (fictional)"},
            "office": {
                "duty_phone": "01632 960 500",
                "front_door_phone": "01632 960 501",
                "emergency_duty_phone": "01632 960 502",
                "privacy_notice_url": "https://www.elmshire.example/lado-privacy",
            },
            "mail": {"port": 0, "address": "designated.officer@elmshire.example"},
            "slack": {},
            "monitoring": {"enabled": False},
            "database": {},
            "keys": {"file": folder / "keys" / "master.key"},
        }
    )


def _send(raw: bytes, port: int) -> tuple[float, float]:
    """Hand the message over as a school's mail server would; when the dot was sent and when the 250 came."""
    sender = email.message_from_bytes(raw, policy=email.policy.default)["From"].addresses[0].addr_spec
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.ehlo("mx.school.example")
        client.mail(sender)
        client.rcpt("designated.officer@elmshire.example")
        began = time.monotonic()
        code, _ = client.data(raw)
        if code != 250:
            raise RuntimeError("the service did not keep the message")
        return began, time.monotonic()


def _milliseconds(times: list[float]) -> str:
    return f"{max(times) * 1000:.0f} ms" if times else "-"
