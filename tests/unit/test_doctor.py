"""What ``doctor`` says of the settings alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from intake_bot.cli import app
from intake_bot.doctor import Finding, called_upon
from intake_bot.settings import load

SLACK = {
    "INTAKE_BOT_SLACK_BOT_TOKEN": "xoxb-x",
    "INTAKE_BOT_SLACK_APP_TOKEN": "xapp-x",
    "INTAKE_BOT_SLACK_CHANNEL": "C0DUTY",
    "INTAKE_BOT_SLACK_OFFICERS": "U0ALEX1,T0TEAM/U0SAM12",
    "INTAKE_BOT_SLACK_MANAGERS": "U0BOSS1",
    "INTAKE_BOT_SLACK_SUPPORT": "U0KIM01",
}


def says(**changed: str) -> list[tuple[str, str]]:
    environment = SLACK | {f"INTAKE_BOT_{name.upper()}": value for name, value in changed.items()}
    return [(finding.level, finding.says) for finding in called_upon(load(None, environment))]


def test_those_who_may_act_are_well_named_however_they_are() -> None:
    assert says() == []
    ((level, said),) = says(
        rota_monday="U0ALEX1,Kim Holt",
        rota_sunday="U0SAM12",
        routing_rules="Education: T0TEAM/U0ALEX1; U0BOSS1",
        routing_share_among="slack:T0TEAM/U0SAM12",
    )
    assert (level, "may act" in said) == ("ok", True)


@pytest.mark.parametrize(
    "settings",
    [{"rota_friday": "U0KIM01"}, {"routing_rules": "any urgent: U0KIM01"}, {"routing_share_among": "U0GONE1"}],
)
def test_who_may_not_claim_is_called_upon_in_vain(settings: dict[str, str]) -> None:
    ((level, said),) = says(**settings)
    assert level == "bad"
    assert "add them to slack.officers" in said
    assert next(iter(settings)).replace("_", ".", 1) in said


def test_each_is_named_once_with_all_the_places() -> None:
    ((_, said),) = says(rota_monday="U0KIM01", rota_tuesday="U0KIM01", routing_rules="A: U0KIM01,B: U0KIM01")
    assert "U0KIM01 (rota.monday, rota.tuesday, routing.rules)" in said


def test_who_is_in_a_user_group_is_not_known_here() -> None:
    ((level, said),) = says(rota_monday="U0KIM01", slack_officers="S0OFFICERS")
    assert level == "ok"
    assert "who is in S0OFFICERS is not looked up" in said


@pytest.mark.parametrize(
    "typed", ["u0alex1", "@alex", "<@U0ALEX1>", "S0OFFICERS1", "alex@council.example", "t0team/u0alex1"]
)
def test_what_was_meant_for_slack_is_asked_about(typed: str) -> None:
    ((level, said),) = says(rota_monday=typed)
    assert level == "note"
    assert "as a name at the terminal" in said


@pytest.mark.parametrize("name", ["Kim Holt", "kim", "Ursula2 Holt", "usmith01", "Sam"])
def test_a_name_is_a_name(name: str) -> None:
    assert [level for level, _ in says(rota_monday=name)] == ["ok"]


def test_without_a_desk_in_slack_nobody_there_is_called() -> None:
    found = called_upon(load(None, {"INTAKE_BOT_ROTA_MONDAY": "U0ALEX1"}))
    assert [(finding.level, "no desk in Slack" in finding.says) for finding in found] == [("note", True)]


def test_what_it_says_of_a_section_is_printed_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def examine(_: object) -> list[Finding]:
        return [Finding("slack", "note", "check [slack] bot_token")]

    monkeypatch.setattr("intake_bot.doctor.examine", examine)
    done = CliRunner().invoke(app, ["doctor", "--data", str(tmp_path / "data")], env={"XDG_CONFIG_HOME": str(tmp_path)})
    assert "check [slack] bot_token" in done.stdout
