"""The work between acceptance and the desk: read, triage, file. One message at a time, each on its own.

Nothing here is lost by a crash: the spool row stays leased until the transaction that files it also finishes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session

from intake_bot.casework import consultation, conversation, desk_queue, officer
from intake_bot.casework.acts import Act
from intake_bot.casework.consultation import Consultation
from intake_bot.casework.desk import SYSTEM, Actor, Notice, NoticeKind
from intake_bot.casework.practice import Practice
from intake_bot.casework.receive import Filed, Incoming, file, is_for_an_officer, place, which_text
from intake_bot.casework.text_read import NEW_WORDS, parts_read, text_read
from intake_bot.casework.vocabulary import UNDECIDED
from intake_bot.mail.addresses import is_plain
from intake_bot.mail.machine import is_null_sender
from intake_bot.mail.reading import Reading
from intake_bot.mail.trust import Trust
from intake_bot.sandbox import SandboxFailed
from storage import audit, spool
from storage.engine import Database
from storage.spool import Arrival, Channel, Outcome
from storage.tables import Case
from triage.suggestion import Suggestion

log = logging.getLogger(__name__)


class Reader(Protocol):
    """Reads raw mail. Raises SandboxFailed."""

    async def read(self, raw: bytes, envelope: dict[str, Any]) -> Reading: ...


class Triager(Protocol):
    """Suggests; by the rules alone where asked, which is faster. Raises SandboxFailed."""

    async def suggest(
        self, text: str, *, subject: str, sender: str | None, rules_alone: bool = False
    ) -> Suggestion: ...


class Verifier(Protocol):
    """Finds out whether the sender is the sender, where no mail server of ours has said so. Raises SandboxFailed."""

    async def verdict(self, raw: bytes, envelope: dict[str, Any]) -> Trust: ...


_TRIAGED = frozenset({Outcome.OPENED, Outcome.JOINED, Outcome.VERSION})


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What triage is asked about a message: which of its texts to read, and whether the rules alone are to."""

    read: str
    rules_alone: bool


Interpret = Callable[[bytes], Act]
"""What an officer asked for, from a Slack payload. Raises ValueError on a foreign one."""


@dataclass(frozen=True, slots=True)
class IntakeWorker:
    """Takes arrivals from the spool and deals with them. ``triager`` is None where triage is switched off.

    While more than ``rules_alone_beyond`` messages wait, the rules alone read what opens a case, or joins one that is not
    decided: :mod:`intake_bot.catching_up` reads it in full afterwards.
    """

    database: Database
    practice: Practice
    reader: Reader
    triager: Triager | None
    interpret: Interpret
    clock: Callable[[], datetime]
    lease: timedelta
    name: str
    verifier: Verifier | None = None
    rules_alone_beyond: int = 100
    dealt_with: Callable[[], None] | None = None
    """Told of each arrival that this node has dealt with, whatever came of it."""

    async def step(self) -> bool:
        """Deal with the next arrival; False where there is none."""
        arrivals = await asyncio.to_thread(
            spool.take,
            self.database,
            self.practice.vault,
            now=self.clock(),
            lease=self.lease,
            worker=self.name,
            limit=1,
            on_park=self._parked,
        )
        for arrival in arrivals:
            await self._deal_with(arrival)
            if self.dealt_with is not None:
                self.dealt_with()
        return bool(arrivals)

    async def _deal_with(self, arrival: Arrival) -> None:
        try:
            match arrival.channel:
                case Channel.EMAIL:
                    filed = await self._email(arrival)
                    if filed is not None:
                        log.info("filed %s: %s", arrival.id, filed.outcome)
                case Channel.SLACK:
                    await asyncio.to_thread(self._act, arrival)
                case Channel.FORM:
                    told = Consultation.unpack(arrival.raw)
                    await self._told(incoming_told(told, arrival))
                case Channel.TALK:
                    await self._told(await asyncio.to_thread(self._talk, arrival))
        except SandboxFailed as failure:
            await asyncio.to_thread(self._failed, arrival, f"reading_{failure.code}"[:64])
        except OperationalError:
            # The database's fault, not the message's: it is taken again, and this taking does not count against it.
            log.warning("the database failed while dealing with %s", arrival.id)
            with contextlib.suppress(OperationalError):
                await asyncio.to_thread(self._give_back, arrival)
        except Exception:  # one message's fault must not stop the others
            log.exception("could not deal with %s", arrival.id)
            await asyncio.to_thread(self._failed, arrival, "fault")

    async def _email(self, arrival: Arrival) -> Filed | None:
        reading = await self.reader.read(arrival.raw, arrival.envelope)
        incoming = incoming_from(arrival, reading, self.practice)
        if self.verifier is not None and incoming.sender_trust == "none":
            incoming = replace(incoming, sender_trust=await self._verdict(self.verifier, arrival))
        suggestion, read = None, NEW_WORDS
        # Triage takes longest: it is asked for before the transaction, and not about copies and machines' reports.
        if self.triager is not None:
            wanted = await asyncio.to_thread(self._to_triage, incoming)
            if wanted is not None:
                suggestion, read = await self._suggest(incoming, wanted), wanted.read
        return await asyncio.to_thread(self._file, incoming, suggestion, read)

    async def _told(self, incoming: Incoming) -> None:
        """What came by no letter: triaged and filed as one."""
        suggestion, read = None, NEW_WORDS
        if self.triager is not None:
            wanted = await asyncio.to_thread(self._to_triage, incoming)
            if wanted is not None:
                suggestion, read = await self._suggest(incoming, wanted), wanted.read
        filed = await asyncio.to_thread(self._file, incoming, suggestion, read)
        if filed is not None:
            log.info("filed %s: %s", incoming.id, filed.outcome)

    def _talk(self, arrival: Arrival) -> Incoming:
        said = json.loads(arrival.raw)
        who = Actor("slack", f"{said['team']}/{said['user']}")
        with self.database.read() as session:
            after = conversation.last_word(session, self.practice, who)
        return consultation.talk(said, _facts_of(arrival), after=after)

    async def _verdict(self, verifier: Verifier, arrival: Arrival) -> Trust:
        """``none`` where it cannot be found out: the case waits for no name server."""
        try:
            return await verifier.verdict(arrival.raw, arrival.envelope)
        except SandboxFailed as failure:
            log.warning("the sender of %s could not be verified: %s", arrival.id, failure.code)
            return "none"

    async def _suggest(self, incoming: Incoming, wanted: _Wanted) -> Suggestion | None:
        """A suggestion, or None: triage may fail, and the case does not wait for it."""
        if self.triager is None or incoming.unreadable:
            return None
        try:
            parts = parts_read(
                wanted.read, incoming.body_text, incoming.full_text, incoming.signature_text, incoming.documents
            )
            return await self.triager.suggest(
                text_read(*parts), subject=incoming.subject, sender=incoming.sender, rules_alone=wanted.rules_alone
            )
        except SandboxFailed as failure:
            log.warning("no suggestion for %s: %s", incoming.id, failure.code)
            return None

    def _to_triage(self, incoming: Incoming) -> _Wanted | None:
        """What triage is asked; None for what it is not asked about."""
        with self.database.read() as session:
            found = place(session, self.practice, incoming)
            if found.outcome not in _TRIAGED or (
                found.outcome is not Outcome.OPENED and not is_for_an_officer(incoming)
            ):
                return None
            return _Wanted(
                which_text(session, self.practice, incoming),
                # What joins a decided case would not be read again.
                rules_alone=_is_undecided(session, found.case_id)
                and spool.more_wait_than(session, self.rules_alone_beyond, now=self.clock()),
            )

    def _file(self, incoming: Incoming, suggestion: Suggestion | None, read: str) -> Filed | None:
        try:
            with self.database.write() as session:
                return file(session, self.practice, incoming, suggestion, now=self.clock(), read=read)
        except IntegrityError:
            # Another worker filed the same mail between our look and our write: look again, and find it.
            with self.database.write() as session:
                return file(session, self.practice, incoming, suggestion, now=self.clock(), read=read)

    def _act(self, arrival: Arrival) -> None:
        act = self.interpret(arrival.raw)
        now = self.clock()
        with self.database.write() as session:
            if not spool.finish(session, arrival.id, Outcome.ACTED, now=now, case_id=act.case_id):
                return
            result = officer.perform(session, self.practice, act, now=now, at=arrival.received_at)
            if isinstance(result, officer.Refused) or not result.changed:
                desk_queue.tell(session, self.practice, act.by, result.said, key=f"tell:{arrival.id}", now=now)
        log.info("acted on %s: %s", arrival.id, type(act).__name__)

    def _failed(self, arrival: Arrival, code: str) -> None:
        now = self.clock()
        with self.database.write() as session:
            if spool.fail(session, arrival.id, code, now=now):
                park_notice(session, self.practice, arrival.id, code, now=now)
                log.error("parked %s: %s", arrival.id, code)

    def _parked(self, session: Session, arrival_id: str, code: str) -> None:
        park_notice(session, self.practice, arrival_id, code, now=self.clock())
        log.error("parked %s: %s", arrival_id, code)

    def _give_back(self, arrival: Arrival) -> None:
        with self.database.write() as session:
            spool.give_back(session, arrival.id, now=self.clock())


def _is_undecided(session: Session, case_id: str | None) -> bool:
    """Also of a case that is yet to be opened (None)."""
    case = session.get(Case, case_id) if case_id is not None else None
    return case is None or case.status in UNDECIDED


def park_notice(session: Session, practice: Practice, arrival_id: str, code: str, *, now: datetime) -> None:
    """An officer sees what is parked, in the transaction that parks it."""
    audit.record(
        session, audit.SERVICE_CHAIN, at=now, actor=str(SYSTEM), act="parked", code=code, detail={"arrival": arrival_id}
    )
    notice = Notice(NoticeKind.PARKED, code=code)
    desk_queue.post_notice(session, practice, notice, key=f"parked:{arrival_id}:{now.isoformat()}", now=now)


def file_parked(session: Session, practice: Practice, arrival_id: str, *, by: Actor, now: datetime) -> str | None:
    """File what is parked under a new case as it is; gives the case's reference, or None where nothing such is parked there.

    That is a mail, a form that was filled in, or what somebody wrote to the service in Slack: an officer's act is none.
    """
    if not spool.replay(session, arrival_id, now=now):
        return None
    arrival = spool.get(session, practice.vault, arrival_id)
    if arrival is None or arrival.channel not in _FILED:
        return None
    incoming = incoming_unread(arrival)
    if arrival.channel is not Channel.EMAIL:
        # It came, and something here failed over it: as far as it can be read, it is filed as what it says.
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            incoming = _as_said(arrival)
    filed = file(session, practice, incoming, None, now=now)
    if filed is None or filed.case_id is None:
        return None
    audit.record(session, filed.case_id, at=now, actor=str(by), act="filed_unread", detail={"arrival": arrival_id})
    return filed.reference


_FILED = frozenset({Channel.EMAIL, Channel.FORM, Channel.TALK})


def _as_said(arrival: Arrival) -> Incoming:
    """A consultation in Slack without what may be wrong about where it belongs. Raises ValueError and its kind."""
    if arrival.channel is Channel.FORM:
        return incoming_told(Consultation.unpack(arrival.raw), arrival)
    said = json.loads(arrival.raw)
    said.pop("thread_ts", None)
    return consultation.talk(said, _facts_of(arrival), after=None)


def incoming_from(arrival: Arrival, reading: Reading, practice: Practice) -> Incoming:
    """What casework needs of a mail that was read."""
    # An answer to an address of ours would come back here, and the school would have none.
    reply_to_ours = reading.reply_to is not None and practice.is_ours(reading.reply_to)
    reply_to = None if reply_to_ours else reading.reply_to
    return Incoming(
        id=arrival.id,
        channel=arrival.channel,
        received_at=arrival.received_at,
        raw_id=arrival.raw_id,
        key_id=arrival.key_id,
        sender=reading.sender,
        sender_name=reading.sender_name,
        # What cannot be written to without quoting is no address to answer: the card says so at once.
        answer_to=reply_to or (reading.sender if reading.sender and is_plain(reading.sender) else None),
        recipients=reading.recipients,
        message_id=reading.message_id,
        in_reply_to=reading.in_reply_to,
        references=reading.references,
        date=reading.date,
        subject=reading.subject,
        body_text=reading.body_text,
        full_text=reading.full_text,
        signature_text=reading.signature_text,
        digest=reading.digest,
        attachments=tuple(
            {
                "filename": attachment.filename,
                "content_type": attachment.content_type,
                "size": attachment.size,
                "sha256": attachment.sha256,
                "part_index": attachment.part_index,
            }
            for attachment in reading.attachments
        ),
        documents=tuple({"filename": item.filename, "text": item.text} for item in reading.documents),
        machine_reason=reading.machine.reason if reading.machine else None,
        machine_opens_case=reading.machine.opens_case if reading.machine else True,
        machine_for_a_person=reading.machine.for_a_person if reading.machine else False,
        answers=reading.answers,
        still_trying=reading.still_trying,
        null_sender=is_null_sender(str(arrival.envelope.get("from", ""))),
        addressed_to=(*reading.to, *reading.cc),
        reply_to_ours=reply_to_ours,
        history_by_us=reading.history_by_us,
        sender_trust=reading.trust,
        unreadable=reading.unreadable,
        defects=reading.defects,
    )


def incoming_told(told: Consultation, arrival: Arrival) -> Incoming:
    """A consultation that came by no letter, as casework files it."""
    return consultation.incoming(told, _facts_of(arrival), is_address=is_plain(told.email.strip()))


def _facts_of(arrival: Arrival) -> dict[str, Any]:
    return {"id": arrival.id, "received_at": arrival.received_at, "key_id": arrival.key_id}


def incoming_unread(arrival: Arrival) -> Incoming:
    """What is parked, filed as it is because an officer said so: its bytes are the content, nothing of it was read."""
    is_mail = arrival.channel is Channel.EMAIL
    name, kind = ("original.eml", "message/rfc822") if is_mail else ("original.json", "application/json")
    return Incoming(
        id=arrival.id,
        channel=arrival.channel if is_mail else consultation.SLACK,
        received_at=arrival.received_at,
        raw_id=arrival.raw_id,
        key_id=arrival.key_id,
        sender=None,
        sender_name="",
        answer_to=None,
        recipients=tuple(arrival.envelope.get("to", ())),
        message_id=None,
        in_reply_to=(),
        references=(),
        date=None,
        subject="",
        body_text="",
        full_text="",
        digest="",
        attachments=(
            {
                "filename": name,
                "content_type": kind,
                "size": len(arrival.raw),
                "sha256": "",
                "part_index": -1,
            },
        ),
        filed_unread=True,
    )
