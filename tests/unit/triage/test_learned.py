"""The shipped model as the service runs it: whole, bounded, fair, and pointing at words."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import often
from triage import engine, pipeline
from triage.learned.model import COUNTS, ENCODER, MANIFEST, MODEL, ModelFaulty
from triage.suggestion import RULES_ALONE, Polarity, Suggestion
from triage.training import make, texts
from triage.vocabulary import Category, Flag, Threshold

LOADED = engine.load()
TESTED = [text for text in texts.read() if text.is_test]

ALLEGATION = (
    "Dear LADO,\n\nOn Tuesday our teaching assistant Mr Tom Hale grabbed Amina Noor, who is in Year 4, by the arm and "
    "threw her against the wall. She has a bruise. Her mum has complained to me. He is suspended and I have told the "
    "police.\n\n"
    "Jane Archer, headteacher, Oakfield Primary School, 01632 960123"
)


def suggest(text: str, subject: str = "") -> Suggestion:
    return LOADED.suggest(text, subject=subject)


def test_the_shipped_model_is_there_and_says_its_version() -> None:
    found = suggest(ALLEGATION)
    assert found.engine == "learned"
    assert found.version == LOADED.version
    manifest = json.loads((MODEL / MANIFEST).read_text(encoding="utf-8"))
    assert found.version.startswith(manifest["version"])


def test_the_version_names_all_that_decides() -> None:
    manifest = json.loads((MODEL / MANIFEST).read_text(encoding="utf-8"))
    hashes, calibration = manifest["sha256"], manifest["calibration"]
    assert manifest["version"] == make.version(make.NUMBER, hashes, calibration)
    others = [
        make.version(make.NUMBER, hashes | {COUNTS: "0" * 64}, calibration),
        make.version(make.NUMBER, hashes, calibration | {"other": 1}),
    ]
    assert len({manifest["version"], *others}) == 3


def test_a_plain_allegation_is_never_called_less() -> None:
    found = suggest(ALLEGATION)
    assert found.category is Category.PHYSICAL
    assert found.threshold in (Threshold.MEETS, Threshold.UNCLEAR)
    assert Flag.INJURY in found.flags
    assert any("grabbed" in one.text or "threw" in one.text for one in found.evidence)


def test_a_model_that_is_not_the_named_one_is_refused_and_a_missing_one_leaves_the_rules(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    changed = tmp_path / "model" / ENCODER
    raw = bytearray(changed.read_bytes())
    raw[len(raw) // 2] ^= 1
    changed.write_bytes(raw)
    with pytest.raises(ModelFaulty, match=ENCODER):
        engine.load(tmp_path / "model")
    changed.unlink()
    rules = engine.load(tmp_path / "model")
    assert rules.suggest(ALLEGATION).engine == "rules"
    # There is nothing more to ask: what is read quickly is read for good.
    assert rules.suggest_by_rules(ALLEGATION) == rules.suggest(ALLEGATION)


def test_the_rules_alone_say_that_they_read_alone_and_what_they_always_say() -> None:
    quick, rules = LOADED.suggest_by_rules(ALLEGATION), pipeline.load().suggest(ALLEGATION)
    assert (quick.engine, quick.version) == (RULES_ALONE, rules.version)
    assert quick.reason.startswith(rules.reason)
    assert "the rules alone read this one" in quick.reason
    assert quick.evidence == rules.evidence


SWAPS = (
    (r"\bMr\b", "Mrs"), (r"\b[Hh]e\b", "she"), (r"\b[Hh]is\b", "her"), (r"\bhim\b", "her"), (r"\bmum\b", "dad"),
    (r"\bboy\b", "girl"), (r"\bboys\b", "girls"), (r"\blad\b", "girl"), (r"\bson\b", "daughter"), (r"\bchurch\b", "mosque"),
    (r"\bimam\b", "vicar"), (r"\bman\b", "woman"), (r"\bfather\b(?= [a-z])", "mother"),
)  # fmt: skip


@pytest.mark.parametrize("every", often([4, 1], always={4}))
def test_who_people_are_does_not_move_the_threshold(every: int) -> None:
    flips = moved = 0
    texts = TESTED[::every]
    for text in texts:
        swapped = text.body
        for pattern, other in SWAPS:
            swapped = re.sub(pattern, other, swapped)
        one, two = suggest(text.body, text.subject), suggest(swapped, text.subject)
        flips += one.threshold is not two.threshold
        moved += abs(one.meets_confidence - two.meets_confidence) > 0.05
    assert flips == 0
    assert moved <= 0.05 * len(texts)


def test_another_name_of_a_person_or_a_setting_changes_nothing() -> None:
    other = (
        ALLEGATION.replace("Tom Hale", "Oluwaseun Adeyemi")
        .replace("Amina Noor", "Charlotte Smith")
        .replace("Jane Archer", "Priya Patel")
        .replace("Oakfield", "Saint Aloysius")
    )
    one, two = suggest(ALLEGATION), suggest(other)
    assert one.threshold is two.threshold
    assert one.meets_confidence == pytest.approx(two.meets_confidence, abs=0.05)


def test_evidence_points_into_the_text_as_given() -> None:
    for text in TESTED[:60]:
        found = suggest(text.body, text.subject)
        assert all(text.body[one.start : one.end] == one.text and one.text for one in found.evidence)
        if found.threshold in (Threshold.MEETS, Threshold.LOW_LEVEL):
            assert any(one.polarity is Polarity.FOR for one in found.evidence), text.id


def test_a_reason_holds_no_word_of_the_text() -> None:
    canary = ALLEGATION.replace("Hale", "Zzyzxcanary")
    assert "anary" not in suggest(canary).reason


def test_a_long_text_is_read_in_bounded_windows_and_says_so() -> None:
    found = suggest(ALLEGATION + "\n\n" + "The weather was fine and the minutes were agreed. " * 20_000)
    assert "first and last part" in found.reason
    assert "first and last part" not in suggest(ALLEGATION).reason


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=400), st.text(max_size=80))
def test_any_text_gets_a_suggestion(text: str, subject: str) -> None:
    found = suggest(text, subject)
    assert Suggestion.from_json(found.to_json()).threshold is found.threshold
    assert 0 <= found.threshold_confidence <= 1


def test_the_same_text_gets_the_same_suggestion() -> None:
    assert suggest(ALLEGATION) == suggest(ALLEGATION)


def test_rules_and_model_read_the_same_measures() -> None:
    verdict, _ = pipeline.load().judge(ALLEGATION, subject="", sender=None)
    manifest = json.loads((MODEL / MANIFEST).read_text(encoding="utf-8"))
    assert len(verdict.measures) == manifest["measures"]
