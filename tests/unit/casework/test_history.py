"""A case's history reads as sentences: no act of the record is without words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from intake_bot.casework.history import _ACTS, sentence

SOURCES = Path(__file__).parents[3] / "intake_bot"
ON_THE_SERVICE_S_OWN_CHAIN = {
    "message_unfiled", "parked", "parked_seen",
    "replayed", "refused", "keys_rotated", "recovery_key_given", "searched", "backed_up",
    "restored", "purge_reviewed", "unfiled_purged", "senders_imported", "report_made", "tracker_imported",
    "figures_exported", "figures_seen", "rota_changed",
}  # fmt: skip


def test_every_act_on_a_case_has_words() -> None:
    acts = {
        act
        for path in SOURCES.rglob("*.py")
        for act in re.findall(r'act="([a-z_]+)"', path.read_text(encoding="utf-8"))
    }
    assert len(acts) > 15
    assert acts - ON_THE_SERVICE_S_OWN_CHAIN <= set(_ACTS)


@pytest.mark.parametrize(
    ("act", "code", "detail", "said"),
    [
        ("claimed", None, {}, "Monday: T1/U1 took the case."),
        (
            "decided",
            "no_further_action",
            {"note": "N1"},
            "Monday: T1/U1 decided: no further action. The reasons are on the record.",
        ),
        ("an_act_of_a_later_version", None, {}, "Monday: T1/U1 an act of a later version."),
    ],
)
def test_a_sentence(act: str, code: str | None, detail: dict[str, str], said: str) -> None:
    assert sentence("slack:T1/U1", act, code, detail, "Monday") == said


def test_the_service_acts_under_its_own_name() -> None:
    assert (
        sentence("system:intake-bot", "acknowledged", None, {}, "Monday")
        == "Monday: intake-bot sent the acknowledgement."
    )
