"""The documents say what the code does: what they name is there, and what is there they name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from intake_bot import settings
from intake_bot.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|#)([^)#]+)")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", ["promises.md", "threat-model.md"])
def test_every_promise_names_tests_that_exist(document: str) -> None:
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    named = TEST.findall(text)
    assert len(named) > 20
    for file, name in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert not name or re.search(rf"^\s*(?:async )?def {name}\(", source, re.MULTILINE), f"{file}::{name}"


def test_the_readme_and_the_changelog_name_only_commands_that_exist() -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"(?:bin/|`)intake-bot ([a-z]+)\b", readme)
    assert len(named) > 3
    assert set(named) <= commands
    listed = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    missing = [name for name in commands if f"`{name}" not in listed]
    assert missing == []


def test_every_setting_of_the_sample_has_its_paragraph_and_the_sample_is_the_defaults(tmp_path: Path) -> None:
    sample = tmp_path / "sample.toml"
    sample.write_text(settings.example(), encoding="utf-8")
    assert settings.load(sample, {}) == settings.load(None, {})
    for names in settings.environment_names().values():
        assert re.search(rf"^(# )?{names[-1]} = ", sample.read_text(encoding="utf-8"), re.MULTILINE), names


def test_the_readme_names_only_settings_that_exist() -> None:
    known = {".".join(path[:-1]): set() for path in settings.environment_names().values()}
    for path in settings.environment_names().values():
        known[".".join(path[:-1])].add(path[-1])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for section, names in re.findall(r"`\[([a-z.]+)\](?: ([a-z_, ]+))?`", readme):
        assert section in known, section
        for name in filter(None, names.replace(",", " ").split()):
            assert name in known[section], f"[{section}] {name}"
