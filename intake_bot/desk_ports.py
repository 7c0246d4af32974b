"""What the desk in Slack asks of the house, over sessions of its own: each question a short one, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime

from sqlmodel import Session, col, select

from intake_bot import searching
from intake_bot.casework import advise, asking, files, queue, rota, views
from intake_bot.casework.acts import Done, Refused
from intake_bot.casework.desk import Actor, CaseCard, CaseView
from intake_bot.casework.files import CaseFile
from intake_bot.casework.queue import Which
from intake_bot.casework.rota import DutyDay
from intake_bot.house import House
from intake_bot.slack.ports import Board, Found, SoFar, WriteTo, Writing
from storage import audit, spool
from storage.search import NoWords, Words
from storage.spool import Channel, Offer
from storage.tables import SLACK_HEARD_UNTIL, Case, Meta
from triage.vocabulary import MissingDatum

SEARCHED, SEARCH_SHOWN = 200, 20
"""Matches that a search in Slack looks for at most, and references that it says."""


class DeskPorts:
    """What the desk in Slack asks of the house."""

    def __init__(
        self,
        house: House,
        accept: Callable[[str, bytes, str], Awaitable[bool]],
        keep: Callable[[Offer], Awaitable[bool]],
        clock: Callable[[], datetime],
    ) -> None:
        self._house = house
        self._keep = keep
        self._accept = accept
        self._clock = clock

    async def accept(self, key: str, payload: bytes, case_id: str) -> bool:
        return await self._accept(key, payload, case_id)

    async def waits(self, key: str) -> bool:
        return await asyncio.to_thread(self._waits, key)

    async def open_case(self, case_id: str, actor: Actor, page: int = 1) -> CaseView | None:
        return await asyncio.to_thread(self._open_case, case_id, actor, page)

    async def case_of_card(self, channel: str, ts: str, actor: Actor) -> str | None:
        return await asyncio.to_thread(self._case_of_card, channel, ts, actor)

    async def heard_until(self) -> datetime | None:
        return await asyncio.to_thread(self._heard_until)

    async def card(self, case_id: str, actor: Actor) -> CaseCard | None:
        return await asyncio.to_thread(self._card, case_id, actor)

    async def case_called(self, reference: str, actor: Actor) -> str | None:
        return await asyncio.to_thread(self._case_called, reference, actor)

    async def writing(self, case_id: str, actor: Actor) -> Writing | None:
        return await asyncio.to_thread(self._writing, case_id, actor)

    async def files(self, case_id: str, actor: Actor) -> tuple[CaseFile, ...]:
        return await asyncio.to_thread(self._files, case_id, actor)

    async def open_actions(self, case_id: str, actor: Actor) -> tuple[tuple[str, str], ...]:
        return await asyncio.to_thread(self._open_actions, case_id, actor)

    async def consult(self, key: str, payload: bytes) -> bool:
        return await self._keep(Offer(Channel.FORM, payload, {}, self._clock(), key=key))

    async def talk(self, key: str, payload: bytes) -> bool:
        return await self._keep(Offer(Channel.TALK, payload, {}, self._clock(), key=key))

    async def board(
        self, actor: Actor, lists: tuple[Which, ...], limit: int, *, offset: int = 0, sector: str | None = None
    ) -> Board:
        return await asyncio.to_thread(self._board, actor, dict.fromkeys(lists, (limit, offset)), sector)

    async def rota(self) -> tuple[DutyDay, ...]:
        return await asyncio.to_thread(self._rota)

    async def away(self, by: Actor, who: Actor, *, first: date, last: date, cover: Actor | None) -> Done | Refused:
        def put() -> Done | Refused:
            with self._house.database.write() as session:
                practice, now = self._house.practice, self.now()
                return rota.away(session, practice, who, first=first, last=last, cover=cover, by=by, now=now)

        return await asyncio.to_thread(put)

    async def back(self, by: Actor, who: Actor) -> Done | Refused:
        def put() -> Done | Refused:
            with self._house.database.write() as session:
                return rota.back(session, self._house.practice, who, by=by, now=self.now())

        return await asyncio.to_thread(put)

    async def figures(self, actor: Actor) -> list[SoFar]:
        return await asyncio.to_thread(self._figures, actor)

    async def search(self, words: list[str], actor: Actor) -> Found | None:
        try:
            wanted = Words(words)
        except NoWords:
            return None
        house, seen = self._house, dict[str, None]()
        async with searching.search(
            house.database, house.practice.vault, wanted, actor=str(actor), now=self.now(), limit=SEARCHED
        ) as found:
            async for match in found:
                if match.reference:
                    seen[match.reference] = None
        whole = found.looked is not None and found.looked.cursor is None
        allowed = [one for one in seen if await self.case_called(one, actor)]
        return Found(tuple(allowed[:SEARCH_SHOWN]), whole)

    async def refuse(self, actor: Actor, what: str) -> None:
        await asyncio.to_thread(self._refuse, actor, what)

    def now(self) -> datetime:
        return self._clock()

    def _open_case(self, case_id: str, actor: Actor, page: int) -> CaseView | None:
        with self._house.database.write() as session:
            case = self._case(session, case_id, actor)
            if case is None:
                return None
            views.record_access(session, case, actor, "view" if page <= 1 else f"view/{page}", now=self.now())
            return views.whole(session, self._house.practice, case)

    def _card(self, case_id: str, actor: Actor) -> CaseCard | None:
        with self._house.database.read() as session:
            case = self._case(session, case_id, actor)
            return None if case is None else views.card(session, case)

    def _case(self, session: Session, case_id: str, actor: Actor) -> Case | None:
        case = session.get(Case, case_id)
        return case if case is not None and views.may_see(case, actor) else None

    def _case_called(self, reference: str, actor: Actor) -> str | None:
        with self._house.database.read() as session:
            case = views.find(session, reference)
            return case.id if case is not None and views.may_see(case, actor) else None

    def _case_of_card(self, channel: str, ts: str, actor: Actor) -> str | None:
        with self._house.database.read() as session:
            case = session.exec(select(Case).where(col(Case.desk_ts) == ts, col(Case.desk_channel) == channel)).first()
            if case is None or case.purged_at is not None or not views.may_see(case, actor):
                return None
            return case.id

    def _waits(self, key: str) -> bool:
        with self._house.database.read() as session:
            return spool.waits(session, key)

    def _heard_until(self) -> datetime | None:
        with self._house.database.read() as session:
            kept = session.get(Meta, SLACK_HEARD_UNTIL)
            return datetime.fromisoformat(kept.value) if kept is not None else None

    def _writing(self, case_id: str, actor: Actor) -> Writing | None:
        practice, now = self._house.practice, self.now()
        with self._house.database.write() as session:
            case = self._case(session, case_id, actor)
            if case is None:
                return None
            # To see who takes part is to see content.
            views.record_access(session, case, actor, "advise", now=now)
            by = asking.answer_by(practice.calendar, now)
            suggestion, _ = views.suggestions(session, case.id)
            missing = [MissingDatum(value) for value in suggestion.missing] if suggestion else []
            refused = advise.refusal(case, actor)
            known = advise.recipients(session, practice, case) if refused is None else []
            return Writing(
                recipients=tuple(
                    WriteTo(
                        practice.address_key(one.address)[:24],
                        one.address,
                        f"{one.name} <{one.address}>" if one.name else one.address,
                        one.trust,
                    )
                    for one in known
                ),
                words=asking.words(missing, no_names=case.no_names, by=by, zone=practice.calendar.zone),
                asks_by=by,
                refused=refused,
            )

    def _board(self, actor: Actor, wanted: dict[Which, tuple[int, int]], sector: str | None) -> Board:
        practice, now = self._house.practice, self.now()
        with self._house.database.read() as session:
            counts, lists = queue.board(session, practice, actor, wanted, now=now, sector=sector)
            return Board(
                queue.overview(session, practice, actor, now=now, counts=counts),
                lists,
                tuple(queue.sectors(session, actor)),
                rota.on_duty(session, practice, now),
            )

    def _rota(self) -> tuple[DutyDay, ...]:
        with self._house.database.read() as session:
            practice = self._house.practice
            return tuple(rota.days(session, practice, self.now())) if practice.week.is_kept else ()

    def _figures(self, actor: Actor) -> list[SoFar]:
        from intake_bot.reports import briefly  # what only a report needs is loaded for one alone

        house, now = self._house, self.now()
        with house.database.read() as session:
            found = briefly.so_far(session, house.practice, now=now)
        with house.database.write() as session:
            audit.record(session, audit.SERVICE_CHAIN, at=now, actor=str(actor), act="figures_seen")
        return found

    def _open_actions(self, case_id: str, actor: Actor) -> tuple[tuple[str, str], ...]:
        with self._house.database.write() as session:
            case = self._case(session, case_id, actor)
            if case is None:
                return ()
            views.record_access(session, case, actor, "actions", now=self.now())
            return views.open_actions(session, self._house.practice, case)

    def _files(self, case_id: str, actor: Actor) -> tuple[CaseFile, ...]:
        with self._house.database.write() as session:
            case = self._case(session, case_id, actor)
            if case is None:
                return ()
            views.record_access(session, case, actor, "files", now=self.now())
            return tuple(files.of_case(session, self._house.practice, case))

    def _refuse(self, actor: Actor, what: str) -> None:
        with self._house.database.write() as session:
            audit.record(session, audit.SERVICE_CHAIN, at=self.now(), actor=str(actor), act="refused", code=what)
