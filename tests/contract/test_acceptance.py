"""Group commit: what comes at once goes in one commit, and nobody is told of another's fault (invariant 1)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import col, select

from conftest import FRIDAY_1640
from intake_bot import acceptance
from intake_bot.acceptance import Acceptance
from storage import spool
from storage.engine import Database
from storage.spool import Channel, Offer
from storage.tables import Spooled
from storage.vault import Vault

real_accept = spool.accept


class Gate:
    """Stands before the spool: holds the first commit until it is opened, notes how much came with each, and can break."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.open = threading.Event()
        self.reached = threading.Event()
        self.away = False

    def accept(self, database: Database, vault: Vault, offers: Sequence[Offer]) -> list[str | None]:
        self.sizes.append(len(offers))
        self.reached.set()
        assert self.open.wait(10)
        if self.away:
            raise OperationalError("", {}, Exception("away"))
        if any(offer.raw == b"poison" for offer in offers):
            raise ValueError
        return real_accept(database, vault, offers)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr(spool, "accept", gate.accept)
    return gate


def mail(number: int, raw: bytes | None = None) -> Offer:
    return Offer(Channel.EMAIL, raw or b"%d" % number, {}, FRIDAY_1640 + timedelta(seconds=number))


async def offered(accepting: Acceptance, gate: Gate, offers: Sequence[Offer]) -> list[asyncio.Task[str | None]]:
    """The first on its way to the disk, the others behind it."""
    first = asyncio.create_task(accepting.accept(offers[0]))
    await asyncio.to_thread(gate.reached.wait, 10)
    rest = [asyncio.create_task(accepting.accept(offer)) for offer in offers[1:]]
    await asyncio.sleep(0)
    return [first, *rest]


def kept(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.exec(select(Spooled.id).order_by(col(Spooled.id))).all())


async def test_what_waits_while_one_commits_goes_in_the_next(database: Database, vault: Vault, gate: Gate) -> None:
    woken: list[None] = []
    accepting = Acceptance(database, vault, accepted=lambda: woken.append(None))
    tasks = await offered(accepting, gate, [mail(number) for number in range(6)])
    gate.open.set()
    assert await asyncio.gather(*tasks) == kept(database)
    assert gate.sizes == [1, 5]
    assert len(woken) == 2
    accepting.close()


async def test_one_that_cannot_be_kept_takes_no_other_with_it(database: Database, vault: Vault, gate: Gate) -> None:
    accepting = Acceptance(database, vault, accepted=lambda: None)
    tasks = await offered(accepting, gate, [mail(0), mail(1), mail(2, b"poison"), mail(3)])
    gate.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [str, str, ValueError, str]
    assert [answers[0], answers[1], answers[3]] == kept(database)
    accepting.close()


async def test_a_database_that_is_away_is_asked_once_for_all(database: Database, vault: Vault, gate: Gate) -> None:
    accepting = Acceptance(database, vault, accepted=lambda: None)
    tasks = await offered(accepting, gate, [mail(number) for number in range(4)])
    gate.away = True
    gate.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [OperationalError] * 4
    assert gate.sizes == [1, 3]
    gate.away = False
    assert await accepting.accept(mail(9)) in kept(database)
    accepting.close()


async def test_a_client_that_hangs_up_loses_nothing_and_an_end_waits_for_all(
    database: Database, vault: Vault, gate: Gate
) -> None:
    accepting = Acceptance(database, vault, accepted=lambda: None)
    tasks = await offered(accepting, gate, [mail(number) for number in range(3)])
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    gate.open.set()
    await asyncio.to_thread(accepting.close)
    assert len(kept(database)) == 3


async def test_other_work_waits_for_a_lull_but_not_for_ever(
    database: Database, vault: Vault, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepting = Acceptance(database, vault, accepted=lambda: None)
    (task,) = await offered(accepting, gate, [mail(0)])
    lull = asyncio.create_task(accepting.lull())
    await asyncio.sleep(acceptance.LULL_SECONDS)
    assert not lull.done()
    gate.open.set()
    await task
    await lull
    monkeypatch.setattr(acceptance, "LONGEST_LULL_SECONDS", 0.0)
    gate.open.clear()
    gate.reached.clear()
    (task,) = await offered(accepting, gate, [mail(1)])
    await accepting.lull()
    assert not task.done()
    gate.open.set()
    await task
    accepting.close()
