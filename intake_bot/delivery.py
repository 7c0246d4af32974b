"""Delivering the outbox: mail to the relay or folder, cards and notices to the desk; at least once, and recognisably so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from sqlmodel import Session

from intake_bot.casework import (
    chasing,
    conversation,
    desk_queue,
    feedback,
    files,
    own_posts,
    restricted,
    rota,
    seniors,
    threads,
    undelivered,
    views,
)
from intake_bot.casework.desk import (
    SYSTEM,
    Actor,
    CaseCard,
    DeliveryFailed,
    Desk,
    Direct,
    FileToSend,
    Notice,
    NoticeKind,
    Posted,
)
from intake_bot.casework.own_posts import Holds, Standing
from intake_bot.casework.practice import Practice
from intake_bot.mail.compose import automatic_answer, officers_letter
from intake_bot.mail.outgoing import Post
from intake_bot.monitoring import Times
from intake_bot.sandbox import SandboxFailed
from storage import audit, outbox, spool
from storage.engine import Database
from storage.outbox import Kind, Parcel, Via
from storage.tables import Case
from storage.vault import UNOPENABLE

log = logging.getLogger(__name__)

DELAY_TOLD_AFTER = timedelta(hours=1)
"""A letter that has not left for so long is told to the desk, once a day for each cause."""

FAULTS = 3
"""Tries of what fails by a fault of ours, as a notice that cannot be put in words; then it is parked, and the desk told."""


class Opener(Protocol):
    """Takes a file out of a raw mail, where what strangers send can do no harm. Raises SandboxFailed."""

    async def attachment(self, raw: bytes, part_index: int, sha256: str) -> bytes: ...


class _Pointless(Exception):
    """What was to be done has been overtaken: a newer card update is on its way."""


@dataclass(frozen=True, slots=True)
class DeliveryWorker:
    """Delivers one way out (``via``), so that a relay that is down never holds up the desk."""

    database: Database
    practice: Practice
    via: Via
    post: Post
    desk: Desk
    from_name: str
    clock: Callable[[], datetime]
    lease: timedelta
    name: str
    opener: Opener | None = None
    """Needed for files alone, which are sent only where the settings say so."""
    times: Times | None = None

    async def step(self) -> bool:
        """Deliver what is due; False where there is nothing."""
        parcels = await asyncio.to_thread(
            outbox.take,
            self.database,
            self.practice.vault,
            via=self.via,
            now=self.clock(),
            lease=self.lease,
            worker=self.name,
            # One at a time: each has its whole lease, and stopping waits for one and no more.
            limit=1,
        )
        for parcel in parcels:
            await self._handle(parcel)
        return bool(parcels)

    async def _handle(self, parcel: Parcel) -> None:
        try:
            posted = await self._deliver(parcel)
        except _Pointless:
            await asyncio.to_thread(self._cancel, parcel)
        except DeliveryFailed as failure:
            await asyncio.to_thread(self._failed, parcel, failure)
        except Exception:  # a fault in rendering one row must not stop the others
            log.exception("could not deliver %s", parcel.id)
            # A notice that cannot be put in words never will be; of anything else the world may still mend the cause.
            given_up = parcel.kind is Kind.NOTICE and parcel.tries + 1 >= FAULTS
            await asyncio.to_thread(self._failed, parcel, DeliveryFailed("fault", permanent=given_up))
        else:
            await asyncio.to_thread(self._delivered, parcel, posted)

    async def _deliver(self, parcel: Parcel) -> Posted | None:
        match parcel.kind:
            case Kind.CHASER | Kind.FEEDBACK | Kind.ACKNOWLEDGEMENT | Kind.ADVICE:
                await self._deliver_mail(parcel)
                return None
            case Kind.SENIOR:
                await self._tell_senior(parcel)
                return None
            case Kind.CARD | Kind.CARD_UPDATE | Kind.NOTICE | Kind.EVENT:
                return await self._deliver_to_channel(parcel)
            case Kind.ERASE:
                there = await asyncio.to_thread(self._to_erase, parcel)
                if there is None:
                    raise _Pointless
                await (self.desk.erase_file if there.holds is Holds.FILE else self.desk.erase)(there.at)
                return None
            case Kind.FILE:
                return await self._deliver_file(parcel)
            case Kind.DIRECT:
                content = parcel.content
                said = Direct(
                    content["text"],
                    form=bool(content.get("form")),
                    holds_content=content.get("act") == conversation.ANSWERED,
                )
                to = Actor.parse(content["actor"])
                return await self.desk.direct(to, said, parcel.id, look_first=parcel.look_first)
            case Kind.TELL:
                await self.desk.tell(Actor.parse(parcel.content["actor"]), parcel.content["text"])
                return None

    async def _tell_senior(self, parcel: Parcel) -> None:
        # The case may have been restricted meanwhile.
        if not await asyncio.to_thread(self._may_know, parcel):
            raise _Pointless
        if parcel.via is Via.MAIL:
            await self._send_mail(parcel)
            return
        to, text = Actor.parse(parcel.content["actor"]), parcel.content["text"]
        await self.desk.direct(to, Direct(text), parcel.id, look_first=parcel.look_first)

    async def _deliver_mail(self, parcel: Parcel) -> None:
        # While the relay was away somebody may have answered, or a case have been closed.
        if parcel.kind in (Kind.CHASER, Kind.FEEDBACK) and not await asyncio.to_thread(self._is_true_still, parcel):
            raise _Pointless
        await self._send_mail(parcel)

    async def _deliver_to_channel(self, parcel: Parcel) -> Posted | None:
        if parcel.kind is Kind.NOTICE:
            notice = desk_queue.notice_from_json(parcel.content)
            notice = await asyncio.to_thread(self._for_the_channel, parcel, notice)
            await self.desk.post_notice(notice, parcel.id, look_first=parcel.look_first)
            return None
        if parcel.kind is Kind.EVENT:
            return await self._deliver_event(parcel)
        card, posted = await asyncio.to_thread(self._card, parcel)
        if parcel.kind is Kind.CARD:
            return await self.desk.post_card(card, parcel.id, look_first=parcel.look_first)
        if card.revision > parcel.content["revision"]:
            raise _Pointless
        if posted is None:
            raise DeliveryFailed("card_not_posted_yet")
        await self.desk.update_card(card, posted)
        return None

    async def _deliver_event(self, parcel: Parcel) -> Posted:
        said, card_at = await asyncio.to_thread(self._events, parcel)
        # Nothing is said of a case that was restricted meanwhile; but what an earlier try may have posted is looked for, so
        # that it can be taken back.
        if card_at is None or not (said or parcel.look_first):
            raise _Pointless
        try:
            return await self.desk.post_event(said, card_at, parcel.id, look_first=parcel.look_first)
        except DeliveryFailed as failure:
            if failure.permanent:  # the card is gone: what its thread would tell is in the case's history
                raise _Pointless from None
            raise

    async def _deliver_file(self, parcel: Parcel) -> Posted:
        if self.clock() - parcel.created_at > files.TRIED_FOR:
            # What an earlier try began may have arrived all the same, and then it was sent.
            begun = await asyncio.to_thread(self._begun, parcel)
            if begun is not None and await self.desk.file_stands(begun):
                return begun
            raise DeliveryFailed("too_late", permanent=True)
        asked = await asyncio.to_thread(self._asked_for, parcel)
        if asked is None:
            raise DeliveryFailed("no_such_file", permanent=True)
        content = asked.raw if asked.part_index < 0 else await self._taken_out(asked)

        async def note(at: Posted) -> None:
            await asyncio.to_thread(self._file_begun, parcel, at)

        file = FileToSend(asked.name, asked.text, content)
        return await self.desk.send_file(asked.to, file, note, before=asked.begun)

    async def _taken_out(self, asked: files.Asked) -> bytes:
        assert self.opener is not None  # noqa: S101 (whoever delivers to a desk in Slack has one)
        try:
            return await self.opener.attachment(asked.raw, asked.part_index, asked.sha256)
        except SandboxFailed as failure:
            raise DeliveryFailed(f"reading_{failure.code}"[:64]) from None

    async def _send_mail(self, parcel: Parcel) -> None:
        assert parcel.mail_id is not None  # noqa: S101 (every mail has one from the start)
        compose = automatic_answer
        if parcel.kind is Kind.ADVICE:
            # The settings may have changed since it was written.
            if not self.practice.advice.way_is_safe:
                raise DeliveryFailed("relay_without_tls")
            raw_id = parcel.content["original"]
            original = await asyncio.to_thread(self._original, raw_id) if raw_id else None
            compose = partial(officers_letter, original=original)
        try:
            raw = compose(
                parcel.content,
                mail_id=parcel.mail_id,
                from_name=self.from_name,
                from_address=self.practice.address,
                date=parcel.created_at,
                row_id=parcel.id,
            )
        except ValueError:  # HeaderParseError and its kind: trying again cannot help, telephoning can
            raise DeliveryFailed("not_composable", permanent=True) from None
        # A row from before bounces had an address of their own has none.
        tag = parcel.bounce_tag
        sender = self.practice.bounce_address(tag) if tag is not None else parcel.content["reply_to"]
        await self.post.send(raw, name=parcel.id, envelope_from=sender, to=parcel.content["to"])

    def _is_true_still(self, parcel: Parcel) -> bool:
        """Whether all that a chaser speaks of is owed. If not it does not go, and the rest comes again in another.

        Of a survey, whether its case is concluded still.
        """
        if parcel.kind is Kind.FEEDBACK:
            with self.database.read() as session:
                return feedback.still_wanted(session, parcel.case_id)
        actions = set(parcel.content.get("actions", ()))
        with self.database.write() as session:
            owed = chasing.still_owed(session, sorted(actions))
            if owed == actions:
                return bool(actions)
            chasing.withdraw(session, self.practice, owed, now=self.clock())
        return False

    def _may_know(self, parcel: Parcel) -> bool:
        with self.database.read() as session:
            return seniors.is_true_still(session, parcel.case_id or "", parcel.content)

    def _original(self, raw_id: str) -> bytes:
        try:
            with self.database.read() as session:
                return spool.raw_bytes(session, self.practice.vault, raw_id)
        except (*UNOPENABLE, LookupError):  # the case was purged a moment ago
            raise _Pointless from None

    def _asked_for(self, parcel: Parcel) -> files.Asked | None:
        with self.database.read() as session:
            try:
                return files.asked(session, self.practice, parcel.case_id or "", parcel.content, post_id=parcel.id)
            except (*UNOPENABLE, LookupError):  # the case was purged a moment ago
                return None

    def _begun(self, parcel: Parcel) -> Posted | None:
        with self.database.read() as session:
            return own_posts.stands(session, parcel.id)

    def _file_begun(self, parcel: Parcel, at: Posted) -> None:
        with self.database.write() as session:
            case = session.get_one(Case, parcel.case_id, with_for_update=True)
            if not views.may_see(case, Actor.parse(parcel.content["actor"])):
                # Restricted while it was taken out of its mail: nothing of it is there yet.
                raise DeliveryFailed("no_such_file", permanent=True)
            own_posts.remember(session, self.practice, case, Standing(parcel.id, Holds.FILE, at), now=self.clock())

    def _card(self, parcel: Parcel) -> tuple[CaseCard, Posted | None]:
        with self.database.read() as session:
            case = session.get_one(Case, parcel.case_id)
            posted = Posted(case.desk_channel, case.desk_ts) if case.desk_channel and case.desk_ts else None
            card = rota.addressed(session, self.practice, case, views.card(session, case), now=self.clock())
            return card, posted

    def _delivered(self, parcel: Parcel, posted: Posted | None) -> None:
        now = self.clock()
        with self.database.write() as session:
            if parcel.case_id is not None:
                # First, as an officer's act takes it: the record's head comes after, and nobody waits for each other.
                session.get_one(Case, parcel.case_id, with_for_update=True)
            self._measure(session, parcel, now)
            if posted is not None and parcel.case_id is not None:
                self._stands(session, parcel, posted, now=now)
            if parcel.kind is Kind.ERASE:
                own_posts.erased(session, parcel.content, now=now)
            if parcel.kind is Kind.FILE and parcel.case_id is not None:
                files.sent(session, self.practice, parcel.case_id, parcel.content, post_id=parcel.id, now=now)
            if parcel.kind is Kind.ACKNOWLEDGEMENT and parcel.case_id is not None:
                audit.record(session, parcel.case_id, at=now, actor=str(SYSTEM), act="acknowledged")
            if parcel.kind is Kind.ADVICE and parcel.case_id is not None:
                detail = {"letter": parcel.id}
                audit.record(session, parcel.case_id, at=now, actor=str(SYSTEM), act="advice_sent", detail=detail)
            if parcel.kind is Kind.SENIOR and parcel.case_id is not None:
                seniors.told(session, parcel.case_id, parcel.content, now=now)
            outbox.delivered(session, parcel.id, now=now)
            if parcel.case_id is not None and parcel.kind is not Kind.EVENT:
                case = session.get_one(Case, parcel.case_id)
                if parcel.kind is Kind.NOTICE and case.restricted:
                    notice = desk_queue.notice_from_json(parcel.content)
                    restricted.tell_named(session, self.practice, case, notice, key=parcel.id, now=now)
                threads.tell(session, self.practice, case, now=now)
        log.info("delivered %s: %s", parcel.id, parcel.kind)

    def _stands(self, session: Session, parcel: Parcel, posted: Posted, *, now: datetime) -> None:
        """Note where something stands from now on."""
        case = session.get_one(Case, parcel.case_id)
        match parcel.kind:
            case Kind.CARD:
                case.desk_channel, case.desk_ts = posted.channel, posted.ts
                session.add(case)
            case Kind.DIRECT:
                conversation.said(session, self.practice, parcel.content, case.id, posted, now=now)
                if parcel.content.get("act") == conversation.ANSWERED:
                    own_posts.remember(session, self.practice, case, Standing(parcel.id, Holds.ANSWER, posted), now=now)
            case Kind.EVENT:
                own_posts.remember(session, self.practice, case, Standing(parcel.id, Holds.EVENT, posted), now=now)

    def _for_the_channel(self, parcel: Parcel, notice: Notice) -> Notice:
        if parcel.case_id is None:
            return notice
        with self.database.read() as session:
            case = session.get_one(Case, parcel.case_id)
            return restricted.for_the_channel(notice, case) if case.restricted else notice

    def _events(self, parcel: Parcel) -> tuple[tuple[str, ...], Posted | None]:
        with self.database.read() as session:
            case = session.get_one(Case, parcel.case_id)
            posted = Posted(case.desk_channel, case.desk_ts) if case.desk_channel and case.desk_ts else None
            return threads.lines(session, case, parcel.content["entries"]), posted

    def _to_erase(self, parcel: Parcel) -> Standing | None:
        with self.database.read() as session:
            return own_posts.to_erase(session, parcel.content)

    def _measure(self, session: Session, parcel: Parcel, now: datetime) -> None:
        """How long whoever wrote, and whoever is on duty, waited."""
        if self.times is None or parcel.kind not in (Kind.ACKNOWLEDGEMENT, Kind.CARD) or parcel.case_id is None:
            return
        waited = (now - session.get_one(Case, parcel.case_id).received_at).total_seconds()
        (self.times.acknowledged if parcel.kind is Kind.ACKNOWLEDGEMENT else self.times.carded).observe(waited)

    def _failed(self, parcel: Parcel, failure: DeliveryFailed) -> None:
        now = self.clock()
        with self.database.write() as session:
            parked = outbox.failed(
                session,
                parcel.id,
                failure.code,
                now=now,
                permanent=failure.permanent,
                uncertain=failure.uncertain,
                retry_after=timedelta(seconds=failure.retry_after) if failure.retry_after is not None else None,
            )
            if parked and _somebody_waits(parcel):
                undelivered.report(
                    session, self.practice, letter_id=parcel.id, case_id=parcel.case_id, code=failure.code, now=now
                )
            if not parked and parcel.via is Via.MAIL and now - parcel.created_at > DELAY_TOLD_AFTER:
                # Most often the relay: somebody waits for an answer, and whoever can mend it does not know yet.
                notice = Notice(NoticeKind.DELIVERY_DELAYED, code=failure.code)
                key = f"delayed:{failure.code}:{now:%Y-%m-%d}"
                desk_queue.post_notice(session, self.practice, notice, key=key, now=now)
            if parked and parcel.kind is Kind.NOTICE and parcel.content.get("kind") != NoticeKind.PARKED:
                notice = Notice(NoticeKind.PARKED, code=f"notice_{failure.code}"[:60])
                desk_queue.post_notice(session, self.practice, notice, key=f"parked:{parcel.id}", now=now)
            if parked and parcel.case_id is not None and restricted.is_of_named(parcel.content):
                restricted.not_told(session, self.practice, parcel.case_id, key=parcel.id, now=now)
            if parked and parcel.kind is Kind.ERASE:
                undelivered.not_erased(session, self.practice, parcel.content["post"], failure.code, now=now)
            if parked and parcel.kind is Kind.FILE and parcel.case_id is not None:
                # Whoever asked asks again: there is nothing to replay.
                outbox.cancel(session, parcel.id)
                files.not_sent(
                    session, self.practice, parcel.case_id, parcel.content, failure.code, post_id=parcel.id, now=now
                )
            if parked and parcel.kind is Kind.CARD_UPDATE and parcel.case_id is not None:
                # The card is gone from the desk (somebody deleted it): the case must be seen again.
                case = session.get_one(Case, parcel.case_id, with_for_update=True)
                desk_queue.post_card_anew(session, self.practice, case, now=now)
        log.warning("not delivered %s (%s): %s", parcel.id, parcel.kind, failure.code)

    def _cancel(self, parcel: Parcel) -> None:
        with self.database.write() as session:
            if parcel.kind is Kind.SENIOR and seniors.is_true_still(session, parcel.case_id or "", parcel.content):
                # The restriction was lifted between the look and this: it goes after all.
                outbox.failed(session, parcel.id, "true_again", now=self.clock())
                return
            # One that an earlier attempt may have brought there stays on the record as sent.
            if parcel.kind is Kind.FEEDBACK and parcel.case_id and parcel.mail_id and not parcel.look_first:
                feedback.withdraw(session, self.practice, parcel.case_id, parcel.id, parcel.mail_id, now=self.clock())
            outbox.cancel(session, parcel.id)


def _somebody_waits(parcel: Parcel) -> bool:
    """Whether an officer must telephone where this could not be delivered.

    What could not be told to those named on a restricted case is for the channel (:func:`restricted.not_told`).
    """
    if parcel.via is Via.MAIL:
        return parcel.kind is not Kind.FEEDBACK
    if parcel.case_id is None:
        return False
    return parcel.kind is Kind.SENIOR or (parcel.kind is Kind.DIRECT and "message" in parcel.content)
