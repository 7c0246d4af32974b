"""The alert rules, the dashboard and the manual name metrics that there are, and each of them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from intake_bot.monitoring import Rows, Times
from storage import schema
from storage.engine import Database
from storage.tables import LAST_SLACK_PING, Meta

DOCS = Path(__file__).parents[2] / "docs"
FILES = ("monitoring/alerts.yml", "monitoring/dashboard.json", "operations.md")


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('metrics') / 'test.db'}")
    schema.upgrade(database)
    now = datetime(2026, 11, 30, tzinfo=UTC)
    with database.write() as session:
        session.add(Meta(name=LAST_SLACK_PING, value=now.isoformat()))
    found = {family.name for family in Rows(database, lambda: now, lambda: None).collect()}
    found |= {family.name for family in Times().registry.collect()}
    database.dispose()
    return found


@pytest.mark.parametrize("file", FILES)
def test_every_metric_that_is_named_is_there(file: str, metrics: set[str]) -> None:
    named = set(re.findall(r"intake_bot_[a-z_]+", (DOCS / file).read_text(encoding="utf-8")))
    assert named
    assert {name.removesuffix("_bucket").removesuffix("_total") for name in named} <= metrics


def test_the_manual_names_every_metric(metrics: set[str]) -> None:
    manual = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert {name for name in metrics if name not in manual} == set()


def test_every_runbook_is_a_heading_of_the_manual() -> None:
    rules = (DOCS / "monitoring" / "alerts.yml").read_text(encoding="utf-8")
    manual = (DOCS / "operations.md").read_text(encoding="utf-8")
    anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"^### (.+)$", manual, re.M)}
    assert set(re.findall(r"operations\.md#([a-z-]+)", rules)) <= anchors


def test_the_dashboard_is_json_with_panels() -> None:
    assert len(json.loads((DOCS / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))["panels"]) == 12
