"""A tick comes by the time that passes, whatever the wall's clock is set to."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

import pytest
from apscheduler.schedulers import base

from intake_bot import clock

OFF = {"by": timedelta(0)}
EVERY = 0.02


class Wall(datetime):
    """The wall's clock, as far off as the test sets it."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + OFF["by"]


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> dict[str, timedelta]:
    monkeypatch.setitem(OFF, "by", timedelta(0))
    monkeypatch.setattr(base, "datetime", Wall)
    monkeypatch.setattr(clock, "datetime", Wall)
    return OFF


class Sweep:
    def __init__(self) -> None:
        self.ticks: asyncio.Queue[datetime] = asyncio.Queue()

    async def __call__(self) -> None:
        self.ticks.put_nowait(datetime.now(UTC))
        raise RuntimeError("a fault of one tick is not the end of them")

    async def comes(self, times: int) -> None:
        async with asyncio.timeout(5):
            for _ in range(times):
                await self.ticks.get()


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(days=-20_000), timedelta(days=20_000)])
async def test_ticks_go_on_when_the_clock_is_set(
    jump: timedelta, wall: dict[str, timedelta], caplog: pytest.LogCaptureFixture
) -> None:
    sweep = Sweep()
    ticker = clock.Ticker(sweep.__call__, seconds=EVERY)
    ticker.start()
    await sweep.comes(2)
    wall["by"] = jump
    await sweep.comes(5)
    ticker.stop()
    await asyncio.sleep(0)
    # Its words may be withheld: whether they are is another test.
    assert "RuntimeError" in caplog.text


async def test_a_tick_that_comes_while_one_runs_is_left_out(wall: dict[str, timedelta]) -> None:
    begun, running, most = 0, 0, 0
    go_on = asyncio.Event()

    async def slow() -> None:
        nonlocal begun, running, most
        begun, running = begun + 1, running + 1
        most = max(most, running)
        await go_on.wait()
        running -= 1

    ticker = clock.Ticker(slow, seconds=EVERY)
    ticker.start()
    async with asyncio.timeout(5):
        while not begun:
            await asyncio.sleep(EVERY)
        wall["by"] = timedelta(hours=-1)
        await asyncio.sleep(5 * EVERY)
        assert (begun, most) == (1, 1)
        go_on.set()
        while begun < 3:
            await asyncio.sleep(EVERY)
    assert most == 1
    ticker.stop()
    await asyncio.sleep(0)
