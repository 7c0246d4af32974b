"""The composition root: builds the parts, runs them, stops them cleanly. With cli.py the only place that reads the clock."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import logging
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from intake_bot import backup_job, dataset_job
from intake_bot.acceptance import Acceptance
from intake_bot.casework import chasing, desk_queue, digest, reminders, retention, views
from intake_bot.casework.acts import Act
from intake_bot.casework.desk import Desk, Notice, NoticeKind
from intake_bot.catching_up import CatchingUp
from intake_bot.clock import Ticker
from intake_bot.clock_watch import ClockWatch
from intake_bot.delivery import DeliveryWorker
from intake_bot.desk_ports import DeskPorts
from intake_bot.house import House
from intake_bot.intake import IntakeWorker
from intake_bot.mail.addresses import without_tag
from intake_bot.mail.clients import ClientRules, is_within, parse_networks
from intake_bot.mail.outgoing import FolderPost, Post, RelayAddress, RelayPost, verified_tls
from intake_bot.mail.reading import Reading
from intake_bot.mail.server import Listening, MailServer, NoRoom
from intake_bot.mail.tls import Certificate, CertificateProblem
from intake_bot.mail.trust import Trust
from intake_bot.monitoring import Times, waiting
from intake_bot.roles import ALL, Role, told
from intake_bot.sandbox import Sandbox, SandboxFailed
from intake_bot.settings import Mail, Relay, Settings, SettingsProblem
from intake_bot.terminal import TerminalDesk
from storage import audit, outbox, shredding
from storage.backup_file import BackupProblem
from storage.batches import batches
from storage.claims import bring_back, release_leases
from storage.faults import is_out_of_room
from storage.outbox import Via
from storage.seats import Seat
from storage.spool import Channel, Offer
from storage.tables import LAST_SLACK_PING, SLACK_HEARD_UNTIL, Case, Meta
from storage.verify import signing_key
from triage.suggestion import Suggestion

if TYPE_CHECKING:
    from intake_bot.monitoring_pages import Monitoring
    from intake_bot.slack.connection import SlackConnection
    from intake_bot.slack.http import SlackHttp
    from intake_bot.slack.ports import SlackSettings

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often a worker looks for rows that another process or node may have added."""
PAUSE_AFTER_FAULT = 1.0
WARM_SECONDS = 120.0
BACKUP_LOOK_SECONDS = 60.0
BACKUP_PAUSE = timedelta(hours=1)
"""Between a backup that failed and the next try."""
FAULTY_BACKUP_PAUSE = timedelta(days=1)
"""The same where the record itself does not hold: that does not mend itself by the hour."""
BACKUP_LOCK = 0x1A7A_B0A
CLOCK_LOCK, HOUSE_LOCK = 0x1A7A_C10C, 0x1A7A_4053
"""Among nodes, each look at the clocks and each keeping of the house is one node's: whichever comes first to it."""
LOOK_AT_MOST = timedelta(minutes=10)
"""A node that stands still in the middle of a look keeps the others from theirs for no longer."""
STOP_SECONDS = 15.0
"""How long stopping waits for what is in hand; supervisors commonly send SIGKILL after 90 s, some after 30."""
VERIFY_MEMORY_MIB = 1024
VERIFY_SECONDS = 20.0
"""As long as RFC 7208 section 4.6.4 gives SPF; the case waits no longer for its sender's name servers."""
TRIAGE_MEMORY_MIB = 4096
"""Address space, not resident memory: the NLP libraries map far more than they use."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class SandboxReader:
    """Reads mail in a child process."""

    def __init__(self, house: House) -> None:
        settings = house.settings
        self.sandbox = Sandbox("read", memory_mib=settings.intake.sandbox_memory_mib)
        self._seconds = settings.intake.reading_timeout_seconds
        self._authserv_id = settings.mail.authserv_id or None
        self._own = [settings.mail.address, *settings.mail.recipients]
        self._letters = house.practice.letters.acknowledgement_templates

    async def read(self, raw: bytes, envelope: dict[str, Any]) -> Reading:
        request = {
            "envelope_from": envelope["from"],
            "envelope_to": envelope["to"],
            "authserv_id": self._authserv_id,
            "own_addresses": self._own,
            "own_letters": self._letters,
        }
        answer = await self.sandbox.call(request, raw, seconds=self._seconds)
        return Reading.from_json(answer["reading"])

    async def attachment(self, raw: bytes, part_index: int, sha256: str) -> bytes:
        """The content of one attachment, from the raw mail again."""
        answer = await self.sandbox.call({"attachment": part_index, "sha256": sha256}, raw, seconds=self._seconds)
        return base64.b64decode(answer["content"])


class SandboxVerifier:
    """Verifies senders in a child process. What a relay of ours hands over came from elsewhere: of that it knows nothing."""

    def __init__(self, mail: Mail) -> None:
        self.sandbox = Sandbox("verify", memory_mib=VERIFY_MEMORY_MIB)
        self._relays = parse_networks(mail.relays)

    async def verdict(self, raw: bytes, envelope: dict[str, Any]) -> Trust:
        client = str(envelope.get("client", ""))
        if is_within(client, self._relays):
            return "none"
        request = {"client": client, "mail_from": envelope["from"]}
        answer = await self.sandbox.call(request, raw, seconds=VERIFY_SECONDS)
        found: Trust = {"pass": "pass", "fail": "fail"}.get(answer["trust"], "none")  # type: ignore[assignment]
        return found


class SandboxTriager:
    """Suggests in a child process, which loads its model again in the background after it had to be stopped."""

    def __init__(self, seconds: float) -> None:
        self.sandbox = Sandbox("triage", memory_mib=TRIAGE_MEMORY_MIB)
        self._seconds = seconds
        self._warming: asyncio.Task[None] | None = None

    def warm(self) -> None:
        if self._warming is None or self._warming.done():
            self._warming = asyncio.create_task(self._warm())

    async def suggest(self, text: str, *, subject: str, sender: str | None, rules_alone: bool = False) -> Suggestion:
        request = {"subject": subject, "sender": sender, "rules_alone": rules_alone}
        try:
            answer = await self.sandbox.call(request, text.encode("utf-8", "replace"), seconds=self._seconds)
        except SandboxFailed as failure:
            if failure.code in {"timeout", "died"}:
                self.warm()
            raise
        return Suggestion.from_json(answer)

    async def stop(self) -> None:
        if self._warming is not None:
            self._warming.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._warming
        await self.sandbox.stop()

    async def _warm(self) -> None:
        try:
            await self.sandbox.warm(seconds=WARM_SECONDS)
            log.info("triage is ready")
        except SandboxFailed as failure:
            log.error("triage cannot start (%s): cards come without a suggestion", failure.code)


class Service:
    """A running intake-bot. ``clock`` gives aware UTC; only the demo gives one that it moves.

    ``roles`` is what this node does, where that is not what the settings say. Raises SettingsProblem.
    """

    def __init__(
        self,
        house: House,
        *,
        console: Console,
        clock: Clock = utc_now,
        desk: Desk | None = None,
        roles: frozenset[Role] | None = None,
    ) -> None:
        self.house = house
        self.clock = clock
        settings = house.settings
        self.roles = roles or settings.service.roles
        _check_roles(house, self.roles)
        name = settings.service.node or socket.gethostname()[:40]
        does = "all" if self.roles == ALL else told(self.roles)
        # Two units of one host that share the work are told apart by what they do.
        self._name = name if self.roles == ALL else f"{name}/{does}"
        self._seat = Seat(house.database, name, does)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._intake_wake, self._mail_wake, self._desk_wake = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._acceptance = Acceptance(house.database, house.practice.vault, accepted=self._intake_wake.set)
        self._lock_file: int | None = None
        self._signed_on: date | None = None

        self.slack: SlackConnection | SlackHttp | None = None
        if desk is None and settings.slack.enabled and Role.SLACK in self.roles:
            from intake_bot.slack.app import build_desk
            from intake_bot.slack.connection import SlackConnection
            from intake_bot.slack.http import SlackHttp

            slack_settings = make_slack_settings(settings)
            app, catch_up = build_desk(slack_settings, DeskPorts(self.house, self.accept_slack, self._keep, clock))
            kind = SlackHttp if slack_settings.signing_secret else SlackConnection
            self.slack = kind(app, slack_settings, clock, catch_up=catch_up)
        self.desk: Desk = desk or make_desk(house, console)
        self.reader = SandboxReader(house)
        self.verifier = SandboxVerifier(settings.mail) if settings.mail.verify_senders else None
        self.triager = SandboxTriager(settings.triage.timeout_seconds) if settings.triage.enabled else None
        self.mail = MailServer(_listening(house, takes_mail=Role.MAIL in self.roles), self._accept_mail)
        lease = timedelta(seconds=settings.intake.lease_seconds)
        self._times = Times()
        self._intake = IntakeWorker(
            database=house.database,
            practice=house.practice,
            reader=self.reader,
            triager=self.triager,
            verifier=self.verifier,
            interpret=_interpret,
            clock=clock,
            # A message may take its full time to read, to verify and then to triage.
            lease=lease
            + timedelta(
                seconds=settings.intake.reading_timeout_seconds
                + (VERIFY_SECONDS if self.verifier is not None else 0)
                + (settings.triage.timeout_seconds if self.triager is not None else 0)
            ),
            name=self._name,
            rules_alone_beyond=settings.triage.rules_alone_beyond,
            dealt_with=self._times.dealt_with.inc,
        )
        self._catching_up = (
            CatchingUp(database=house.database, practice=house.practice, triager=self.triager, clock=clock)
            if self.triager is not None
            else None
        )
        self._post = make_post(house)
        # A child of its own, started where a file is to be sent: mail that is to be read waits for none.
        self._opener = SandboxReader(house)
        deliver = partial(
            DeliveryWorker,
            database=house.database,
            practice=house.practice,
            post=self._post,
            desk=self.desk,
            from_name=settings.service.name,
            clock=clock,
            name=self._name,
            opener=self._opener,
            times=self._times,
        )
        self._mail_out = deliver(via=Via.MAIL, lease=_delivery_lease(settings, Via.MAIL))
        self._desk_out = deliver(via=Via.DESK, lease=_delivery_lease(settings, Via.DESK))
        self._tickers = [Ticker(self._sign_of_life, seconds=settings.intake.tick_seconds)]
        if Role.CLOCK in self.roles:
            self._tickers += [
                Ticker(self._sweep_unless_in_doubt, seconds=settings.intake.tick_seconds),
                Ticker(self.keep_house, seconds=settings.intake.tick_seconds),
                Ticker(self._back_up, seconds=BACKUP_LOOK_SECONDS),
            ]
        self.monitoring: Monitoring | None = None
        self._clock_watch = ClockWatch(clock, time.monotonic)
        self._stuck: frozenset[str] = frozenset()
        self._no_backup_before: datetime | None = None
        self._untidied: str | None = None
        self._dataset_fault: str | None = None
        self._give_up = threading.Event()

    async def start(self) -> None:
        """Take mail first; everything slower starts behind it. Raises SettingsProblem or OSError."""
        self._take_lock()
        self._sit_down()
        with self.house.database.read() as session:
            signed = audit.latest_signed(session)
        if signed is not None:
            self._clock_watch.compare(signed.at)
        if Role.MAIL in self.roles:
            await self.mail.start()
        if Role.CLOCK in self.roles:
            await asyncio.to_thread(self._tidy)
        if Role.WORKER in self.roles:
            self._work()
        if self.slack is not None:
            await self.slack.start()
        for ticker in self._tickers:
            ticker.start()
        if self.house.settings.monitoring.enabled:
            await self._be_seen()

    async def _be_seen(self) -> None:
        # Loaded where it is wanted, off the loop and behind the mail: it takes as long as much that is before it.
        pages = await asyncio.to_thread(import_module, "intake_bot.monitoring_pages")
        settings = self.house.settings.monitoring
        monitoring = pages.Monitoring(
            self.house.database,
            self._times,
            host=settings.host,
            port=settings.port,
            now=self.clock,
            ping=lambda: self.slack.last_ping if self.slack is not None else None,
            working=self._wrong,
            roles=self.roles,
        )
        try:
            await monitoring.start()
        except OSError as fault:
            # Nobody's mail waits for somebody to look at it.
            log.error("monitoring cannot listen: %s", fault.strerror or type(fault).__name__)
        else:
            self.monitoring = monitoring

    def _sit_down(self) -> None:
        """Take back what was in hand when this node was last stopped, unless another that lives has its name."""
        if self._seat.take():
            with self.house.database.write() as session:
                release_leases(session, worker=self._name, now=self.clock())
        else:
            log.error("another node has this one's name: give each a service.node of its own")

    def _work(self) -> None:
        self._tasks = [
            asyncio.create_task(self._run(self._take_in, self._intake_wake, self._mail_wake, self._desk_wake)),
            asyncio.create_task(self._run(self._mail_out.step, self._mail_wake)),
            asyncio.create_task(self._run(self._desk_out.step, self._desk_wake)),
            asyncio.create_task(self._warm_reader()),
        ]
        if self.triager is not None:
            self.triager.warm()

    def _wrong(self) -> list[str]:
        """What of this process does not work, in fixed words."""
        names = ("intake", "mail out", "desk out")
        wrong = [f"{name} has ended" for name, task in zip(names, self._tasks, strict=False) if task.done()]
        return wrong + (["it is stopping"] if self._stopping else [])

    async def stop(self) -> None:
        """Take nothing new, finish what is in hand, leave nothing half-done."""
        self._stopping = True
        self._give_up.set()
        for ticker in self._tickers:
            ticker.stop()
        await self.mail.stop()
        if self.slack is not None:
            await self.slack.stop()
        if self.monitoring is not None:
            await self.monitoring.stop()
        for wake in (self._intake_wake, self._mail_wake, self._desk_wake):
            wake.set()
        if self._tasks:
            _, hanging = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
            for task in hanging:
                # A relay that says nothing: whoever takes the row next looks first whether it has arrived.
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.to_thread(self._hand_over)
        await self._post.close()
        await self.reader.sandbox.stop()
        await self._opener.sandbox.stop()
        if self.verifier is not None:
            await self.verifier.sandbox.stop()
        if self.triager is not None:
            await self.triager.stop()
        self._acceptance.close()
        self._seat.leave()
        if self._lock_file is not None:
            os.close(self._lock_file)

    def _hand_over(self) -> None:
        """What was cut off is another node's at once. Without the database, it is when its lease has ended.

        So it is without a seat of our own: what is leased under the name may be in the hand of the other that has it.
        """
        try:
            self._seat.keep()
            if not self._seat.is_ours:
                return
            with self.house.database.write() as session:
                release_leases(session, worker=self._name, now=self.clock())
        except SQLAlchemyError:
            log.error("what was in hand could not be handed over: it is taken up when its lease has ended")

    async def sweep(self, now: datetime | None = None) -> list[reminders.Sent]:
        """One look at the clocks, as at ``now``: mark what is missed, put what is due in the outbox."""
        sent = await asyncio.to_thread(self._sweep, now or self.clock())
        self._desk_wake.set()
        return sent

    async def _sweep_unless_in_doubt(self) -> None:
        # By the time that was found right: the clock may be set while this waits for its turn among the nodes.
        now = self.clock()
        if self._clock_watch.may_remind():
            await self.sweep(now)

    async def settle(self) -> None:
        """Wait until everything accepted is dealt with and everything due is delivered."""
        while True:
            for wake in (self._intake_wake, self._mail_wake, self._desk_wake):
                wake.set()
            with self.house.database.read() as session:
                if not views.busy(session, now=self.clock()):
                    return
            await asyncio.sleep(0.02)

    async def _sign_of_life(self) -> None:
        await asyncio.to_thread(self._show_life)

    def _show_life(self) -> None:
        """Other processes (status, doctor) read from here who is there and when Slack was last heard of."""
        # Whichever process destroys a key, no node opens anything with it from the next look on.
        self.house.keys.forget_destroyed()
        self._seat.keep()
        if self.slack is not None and self.slack.last_ping is not None:
            with self.house.database.write() as session:
                session.merge(Meta(name=LAST_SLACK_PING, value=self.slack.last_ping.isoformat()))
                if (heard := self.slack.heard_until) is not None:
                    session.merge(Meta(name=SLACK_HEARD_UNTIL, value=heard.isoformat()))

    def _sweep(self, now: datetime) -> list[reminders.Sent]:
        # The rows' own locks and keys keep two nodes from sending one reminder twice: this spares all but one the looking.
        with self.house.database.leadership(CLOCK_LOCK, at_most=LOOK_AT_MOST) as leads:
            return sweep(self.house, now=now) if leads else []

    async def keep_house(self) -> None:
        """What nobody waits for. A backup disk that hangs, or a fault here, keeps no reminder from going out."""
        await asyncio.to_thread(self._keep_house)

    def _keep_house(self) -> None:
        """Each by itself: nothing that is to be destroyed waits for figures, nor the audit for either."""
        with self.house.database.leadership(HOUSE_LOCK, at_most=LOOK_AT_MOST) as leads:
            steps = (
                self._bring_back,
                self._sign_heads,
                self._purge_due,
                self._destroy,
                self._tell_of_stuck,
                self._write_dataset,
            )
            for step in steps if leads else ():
                try:
                    step()
                except Exception:  # the next look tries it again
                    log.exception("a step of keeping house failed")

    def _bring_back(self) -> None:
        now = self.clock()
        if not self._clock_watch.may_remind():
            return  # by a clock that was just set back, all that waits came ahead
        count = bring_back(self.house.database, now=now)
        if count:
            log.warning("the clock ran ahead: %d waiting things are brought back to now", count)

    def _destroy(self) -> None:
        # Also forgets what other processes have destroyed.
        if shredding.finish(self.house.database, self.house.keys, now=self.clock()):
            try:
                backup_job.note_destroyed(self.house)
            except BackupProblem as problem:
                log.error("the list of destroyed keys: %s", problem)

    def _tell_of_stuck(self) -> None:
        """Tell the desk, once an hour, of what has waited too long at two looks running: a start has its backlog at one."""
        now = self.clock()
        with self.house.database.read() as session:
            stuck = frozenset(waiting(session, now=now).stuck())
        told, self._stuck = stuck & self._stuck, stuck
        if told:
            with self.house.database.write() as session:
                for what in sorted(told):
                    notice = Notice(NoticeKind.STUCK, code=what)
                    key = f"stuck:{what}:{now:%Y-%m-%dT%H}"
                    desk_queue.post_notice(session, self.house.practice, notice, key=key, now=now)

    def _write_dataset(self) -> None:
        """Tried each time until it is written; what keeps it from being so is said once."""
        try:
            written = dataset_job.write_due(self.house, now=self.clock())
        except OSError as fault:
            if self._dataset_fault != fault.strerror:
                log.error("the month's dataset cannot be written: %s", fault.strerror)
            self._dataset_fault = fault.strerror
        else:
            self._dataset_fault = None
            if written is not None:
                log.info("the month's dataset was written")

    def _sign_heads(self) -> None:
        """At least once a day, and at the first sweep of a run, so that a case taken away whole shows."""
        today = self.clock().date()
        if self._signed_on == today:
            return
        keys = self.house.keys
        mark = keys.signed_head()
        with self.house.database.read() as session:
            newest = audit.latest_signed(session)
        if mark is not None and not audit.follows(newest, mark):
            # Signing on would cover the hole up. It stays, and verify names it.
            log.error("the newest signed head of the audit is missing or was changed: see intake-bot verify")
            return
        while True:
            with self.house.database.write() as session:
                signed = audit.sign_heads(session, signing_key(keys), now=self.clock())
            if signed is None:
                break
            keys.note_signed_head(f"{signed.seq}:{signed.hash}")
        self._signed_on = today

    async def _back_up(self) -> None:
        """Take a backup when one is due: one node of several, and not again at once where it failed.

        Not right after the clock has jumped: a backup has its time in its name, and is the newest until that time is past.
        """
        now = self.clock()
        await asyncio.to_thread(self._tidy)
        if not self._clock_watch.may_remind() or not backup_job.due(self.house.settings, now=now):
            return
        if self._no_backup_before is not None and now < self._no_backup_before:
            return
        self._no_backup_before = now + BACKUP_PAUSE
        await asyncio.to_thread(self._back_up_alone, now)

    def _tidy(self) -> None:
        """Old backups of keys, and what a killed process left, go in time; what cannot be deleted is said once."""
        now = self.clock()
        may_destroy = self._clock_watch.may_destroy()
        with self.house.database.leadership(BACKUP_LOCK) as leads:
            # Another node may be proving a backup in a data folder that both have.
            untidied = backup_job.tidy(self.house, now=now, may_destroy=may_destroy) if leads else self._untidied
        if untidied is not None and untidied != self._untidied:
            log.error("an old backup stays: %s", untidied)
        self._untidied = untidied

    def _back_up_alone(self, now: datetime) -> None:
        with self.house.database.leadership(BACKUP_LOCK) as leads:
            outcome = (
                backup_job.scheduled(
                    self.house, now=now, may_destroy=self._clock_watch.may_destroy(), stopping=self._give_up.is_set
                )
                if leads
                else None
            )
        if outcome is None:
            return
        if outcome.faults:
            self._no_backup_before = now + FAULTY_BACKUP_PAUSE
        if outcome.left is not None:
            log.error("an old backup stays: %s", outcome.left)
        if outcome.proven:
            log.info("a backup was taken and proven")
        else:
            # Both are our own fixed words: paths, table names and ids.
            log.error("a backup is not proven: %s", "; ".join([outcome.problem or "", *outcome.faults[:5]]).strip("; "))

    def _purge_due(self) -> None:
        """Only where the setting for purging without a manager's word is on, and while there is no doubt about the clock."""
        # Read once, and before the watch is asked: a jump after that is not in it, and one before it is seen.
        now = self.clock()
        while self.house.settings.retention.unattended_purge and self._clock_watch.may_destroy():
            with self.house.database.write() as session:
                purged = retention.purge_due(session, self.house.practice, now=now)
                unfiled = retention.purge_unfiled(session, self.house.practice, now=now)
            if len(purged) < retention.BATCH and unfiled < retention.BATCH:
                return

    async def accept_slack(self, key: str, payload: bytes, case_id: str) -> bool:
        """Keep what an officer asked for, until the worker does it; False where it was kept before."""
        case = await asyncio.to_thread(self._key_of_case, case_id)
        offer = Offer(Channel.SLACK, payload, {}, self.clock(), key=key, case=case)
        return await self._acceptance.accept(offer) is not None

    async def _keep(self, offer: Offer) -> bool:
        """Keep something from Slack; False where it was kept before."""
        return await self._acceptance.accept(offer) is not None

    async def _accept_mail(self, raw: bytes, envelope: dict[str, Any]) -> str:
        try:
            with self._times.accepted.time():
                identity = await self._acceptance.accept(Offer(Channel.EMAIL, raw, envelope, self.clock()))
        except Exception as fault:
            if is_out_of_room(fault):
                raise NoRoom from fault
            raise
        assert identity is not None  # noqa: S101 (only a known key gives None)
        return identity

    async def _take_in(self) -> bool:
        await self._acceptance.lull()
        return await self._intake.step() or (self._catching_up is not None and await self._catching_up.step())

    def _key_of_case(self, case_id: str) -> tuple[str, str] | None:
        with self.house.database.read() as session:
            case = session.get(Case, case_id)
        if case is not None and case.purged_at is not None:
            # Words about what was destroyed must not be kept; unacknowledged, Slack tells the officer.
            raise ValueError("the case was purged")
        return (case.id, case.key_id) if case is not None else None

    async def _run(self, step: Callable[[], Awaitable[bool]], wake: asyncio.Event, *then: asyncio.Event) -> None:
        """Work until stopped: step after step while there is something, else wait to be woken."""
        while not self._stopping:
            try:
                busy = await step()
            except Exception:  # the database may be away for a while; the worker must outlive that
                log.exception("a worker's step failed")
                await asyncio.sleep(PAUSE_AFTER_FAULT)
                continue
            for event in then:
                event.set()
            if not busy and not self._stopping:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await wake.wait()
                wake.clear()

    async def _warm_reader(self) -> None:
        with contextlib.suppress(SandboxFailed):
            await self.reader.sandbox.warm(seconds=WARM_SECONDS)

    def _take_lock(self) -> None:
        """Two services on one SQLite file would take each other's leases for their own."""
        if not self.house.database.is_sqlite:
            return
        descriptor = os.open(self.house.data_dir / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise SettingsProblem(
                "another intake-bot is serving from this data folder; several at once need one PostgreSQL (database.url)"
            ) from None
        self._lock_file = descriptor


def sweep(house: House, *, now: datetime, queued_at: datetime | None = None) -> list[reminders.Sent]:
    """Mark what is missed and put what is due in the outbox, batch by batch, as at ``now``.

    ``queued_at`` is the real time, where ``now`` is another.
    """
    sent: list[reminders.Sent] = []
    while True:
        with house.database.write() as session:
            missed = reminders.mark_missed(session, house.practice, now=now, queued_at=queued_at)
            batch = reminders.send_due(session, house.practice, now=now, queued_at=queued_at)
        sent += batch
        if max(missed, len(batch)) < reminders.BATCH:
            break
    while True:
        with house.database.write() as session:
            chased = chasing.send_due(session, house.practice, now=now, queued_at=queued_at)
        sent += chased.sent
        if chased.rows < reminders.BATCH:
            break
    try:
        with house.database.write() as session:
            digest.post_due(session, house.practice, now=now, queued_at=queued_at)
    except Exception:  # what was sent is sent, and is told
        log.exception("a digest could not be made")
    return sent


async def tick(house: House, *, now: datetime, clock: Clock = utc_now) -> tuple[list[reminders.Sent], int]:
    """One sweep as at ``now`` without a running service; what is due is really sent before this returns.

    Gives what was sent, and how many of these could not be delivered. Only the looking is as at ``now``: leases and
    retries are the running service's too, and keep the real time.
    """
    settings = house.settings
    sent = await asyncio.to_thread(partial(sweep, house, now=now, queued_at=clock()))
    desk = make_desk(house, Console(stderr=True))
    post = make_post(house)
    # No child is started where there is no file to send.
    reader = SandboxReader(house)
    try:
        for via in Via:
            worker = DeliveryWorker(
                database=house.database,
                practice=house.practice,
                via=via,
                post=post,
                desk=desk,
                from_name=settings.service.name,
                clock=clock,
                lease=_delivery_lease(settings, via),
                # A name of its own: the service's leases are not ours to give back, nor ours the service's.
                name=f"tick-{os.getpid()}",
                opener=reader,
            )
            while await worker.step():
                pass
    finally:
        await post.close()
        await reader.sandbox.stop()
    keys = list({one.key for one in sent})
    with house.database.read() as session:
        return sent, sum(outbox.count_failing(session, some) for some in batches(keys, 500))


def _delivery_lease(settings: Settings, via: Via) -> timedelta:
    """How long a delivery may take. A file is taken out of its mail first, and then handed over to Slack."""
    lease = timedelta(seconds=settings.intake.lease_seconds)
    if via is not Via.DESK or not settings.slack.send_files:
        return lease
    return lease + timedelta(seconds=settings.intake.reading_timeout_seconds) + FILE_TAKES


FILE_TAKES = timedelta(minutes=2)
"""The calls to Slack that one file needs, each at its limit."""


def make_slack_settings(settings: Settings) -> SlackSettings:
    from intake_bot.slack.ports import SlackSettings

    slack = settings.slack
    return SlackSettings(
        bot_token=slack.bot_token.get_secret_value(),
        app_token=slack.app_token.get_secret_value(),
        channel=slack.channel,
        officers=frozenset(slack.officers),
        managers=frozenset(slack.managers),
        support=frozenset(slack.support),
        readers=frozenset(slack.readers),
        signing_secret=slack.signing_secret.get_secret_value(),
        show_content=slack.show_content,
        thread_notes=slack.thread_notes,
        send_files=slack.send_files,
        address=settings.mail.address,
        http_host=slack.http_host,
        http_port=slack.http_port,
        zone=settings.office.zone,
        api_url=slack.api_url,
    )


def make_desk(house: House, console: Console) -> Desk:
    """Slack where it is set, else the terminal."""
    if not house.settings.slack.enabled:
        return TerminalDesk(console, house.settings.office.zone)
    from intake_bot.slack.desk import SlackDesk

    return SlackDesk(make_slack_settings(house.settings))


def make_post(house: House) -> Post:
    """The relay where one is set, else the folder. Raises SettingsProblem where the relay's authority cannot be used."""
    if not house.settings.mail.relay.host:
        return FolderPost(house.outgoing_dir)
    return make_relay_post(house.settings.mail.relay)


def make_relay_post(relay: Relay) -> RelayPost:
    """Raises SettingsProblem where the certificate authority cannot be used."""
    try:
        tls = verified_tls(relay.authority_file) if relay.starttls else None
    except OSError:
        raise SettingsProblem(f"mail.relay.authority_file: {relay.authority_file} is no certificate in PEM") from None
    return RelayPost(
        RelayAddress(
            host=relay.host,
            port=relay.port,
            tls=tls,
            username=relay.username,
            password=relay.password.get_secret_value(),
            timeout_seconds=relay.timeout_seconds,
        )
    )


def _check_roles(house: House, roles: frozenset[Role]) -> None:
    """Raises SettingsProblem where nodes of this kind cannot be."""
    if house.database.is_sqlite and roles != ALL:
        raise SettingsProblem(
            "service.only (--only): several nodes need one PostgreSQL (database.url); on SQLite one process does everything"
        )
    if roles == {Role.SLACK} and not house.settings.slack.enabled:
        raise SettingsProblem("service.only (--only): this node would have nothing to do: slack is not set")


def _interpret(payload: bytes) -> Act:
    from intake_bot.slack.acts import interpret

    return interpret(payload)


def _certificate(mail: Mail) -> Certificate | None:
    """The listener's certificate, where TLS is on. Raises SettingsProblem where it cannot be used."""
    if mail.tls == "off" or mail.tls_certificate is None or mail.tls_key is None:
        return None
    try:
        return Certificate(mail.tls_certificate, mail.tls_key)
    except CertificateProblem as problem:
        raise SettingsProblem(f"mail.tls_certificate, mail.tls_key: {problem}") from None


def _listening(house: House, *, takes_mail: bool) -> Listening:
    """Raises SettingsProblem where the certificate cannot be used; a node that takes no mail needs none."""
    mail = house.settings.mail
    return Listening(
        host=mail.host,
        port=mail.port,
        protocol=mail.protocol,
        # Letters ask for replies to our own address: where recipients are named, it is one of them.
        recipients=frozenset(without_tag(address) for address in (*mail.recipients, mail.address) if mail.recipients),
        max_message=mail.max_message_mib * 1024 * 1024,
        max_recipients=mail.max_recipients,
        max_connections=mail.max_connections,
        idle_seconds=mail.idle_seconds,
        clients=ClientRules(
            networks=parse_networks(mail.networks),
            relays=parse_networks(mail.relays),
            connections_each=mail.client_connections,
            messages_per_minute=mail.client_messages_per_minute,
        ),
        certificate=_certificate(mail) if takes_mail else None,
        tls_required=mail.tls == "required",
    )
