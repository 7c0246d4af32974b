"""What a monitoring system is told, on both databases: counts and ages, and nothing of what anybody wrote."""

from __future__ import annotations

from datetime import timedelta

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from contract.test_casework import AMINA, FRIDAY_1640, Desk, desk
from intake_bot.casework.acts import NotAConsultation
from intake_bot.casework.vocabulary import SetAside
from intake_bot.monitoring import Times, waiting
from intake_bot.monitoring_pages import Monitoring

__all__ = ["desk"]

CANARY = "tamarisk hinge"


async def asked(
    desk: Desk, page: str, *, wrong: list[str] | None = None, after: timedelta = timedelta()
) -> tuple[int, str]:
    times = Times()
    times.accepted.observe(0.02)
    monitoring = Monitoring(
        desk.database,
        times,
        host="127.0.0.1",
        port=0,
        now=lambda: FRIDAY_1640 + after,
        ping=lambda: None,
        working=lambda: wrong or [],
    )
    await monitoring.start()
    try:
        url = f"http://127.0.0.1:{monitoring.port}/{page}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()
    finally:
        await monitoring.stop()


def values(text: str) -> dict[str, float]:
    return {
        "/".join([sample.name.removeprefix("intake_bot_"), *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_metrics_are_counts_and_ages_without_content(desk: Desk) -> None:
    desk.opened(body_text=f"A worry about {CANARY}.", subject=CANARY, sender="tamarisk@school.example")
    status, text = await asked(desk, "metrics", after=timedelta(minutes=2))
    found = values(text)
    assert status == 200
    assert (found["outbox_waiting/mail"], found["outbox_waiting/desk"], found["spool_waiting"]) == (1, 1, 0)
    assert found["outbox_lag_seconds/mail"] == 120
    assert (found["cases_open"], found["cases_unclaimed"], found["targets_at_risk"]) == (1, 1, 0)
    assert found["accept_seconds_count"] == 1
    assert "tamarisk" not in text
    assert "LADO-" not in text
    assert "school" not in text


async def test_targets_at_risk_and_missed(desk: Desk) -> None:
    desk.opened()
    monday = timedelta(days=3)
    assert values((await asked(desk, "metrics", after=monday - timedelta(hours=3)))[1])["targets_at_risk"] == 1
    desk.tick(FRIDAY_1640 + monday + timedelta(minutes=1))
    found = values((await asked(desk, "metrics", after=monday + timedelta(minutes=1)))[1])
    assert (found["targets_missed_open"], found["first_responses_missed_open"], found["targets_at_risk"]) == (1, 1, 0)


async def test_a_target_of_what_was_set_aside_is_missed_by_nobody(desk: Desk) -> None:
    case_id = desk.opened().case_id or ""
    later = timedelta(days=4)
    desk.tick(FRIDAY_1640 + later)
    assert values((await asked(desk, "metrics", after=later))[1])["first_responses_missed_open"] == 1
    desk.perform(NotAConsultation(case_id, AMINA, SetAside.UNSOLICITED), now=FRIDAY_1640 + later)
    assert values((await asked(desk, "metrics", after=later))[1])["first_responses_missed_open"] == 0


async def test_health_is_the_process_and_ready_is_what_it_stands_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.opened()
    assert (await asked(desk, "healthz"))[0] == 200
    assert (await asked(desk, "readyz"))[0] == 200
    status, text = await asked(desk, "healthz", wrong=["intake has ended"])
    assert (status, "intake has ended" in text) == (503, True)
    status, text = await asked(desk, "readyz", after=timedelta(minutes=16))
    assert (status, "mail is stuck" in text, "desk is stuck" in text) == (503, True, True)
    desk.database.dispose()
    monkeypatch.setattr(type(desk.database), "read", _away)
    status, text = await asked(desk, "readyz")
    assert (status, "the database does not answer" in text) == (503, True)
    assert (await asked(desk, "metrics"))[0] == 503
    assert (await asked(desk, "healthz"))[0] == 200


def _away(*_: object) -> None:
    from sqlalchemy.exc import OperationalError

    raise OperationalError("select", {}, Exception(CANARY))


def test_what_waits_too_long_is_stuck(desk: Desk) -> None:
    desk.incoming()
    with desk.database.read() as session:
        assert waiting(session, now=FRIDAY_1640 + timedelta(minutes=14)).stuck() == []
        assert waiting(session, now=FRIDAY_1640 + timedelta(minutes=16)).stuck() == ["mail in"]
