"""Some weeks of the year that ``make soak`` lives through: what is due is sent once, however often a node dies over it."""

from __future__ import annotations

from pathlib import Path

from soak.node import Place
from soak.year import Shape, run
from storage.engine import Database


def test_what_is_planned_is_sent_once_or_cancelled_for_a_reason(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    shape = Shape(cases=12, days=40, nodes=1 if database.is_sqlite else 2, kills=0.15, outages=4, here=True)
    lived = run(shape, Place(database_url, tmp_path))
    assert lived.faults == []
    there = {"kills", "outbox chaser", "reminders sent", "reminders late", "reminders cancelled: decided"}
    assert there <= lived.counts.keys(), "too little happened to show anything"
