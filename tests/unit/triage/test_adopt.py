"""A new model takes the present one's place only where it beats it on the test split."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from intake_bot.cli import app
from triage import evaluate
from triage.learned.model import ENCODER, MANIFEST
from triage.training import make, texts
from triage.training.adopt import NotAdopted, adopt, faults

PRESENT = {
    "sensitivity": 0.93,
    "caught": 1.0,
    "missed_among_below": 0.01,
    "specificity": 0.80,
    "category_top1": 0.72,
    "calibration_error": 0.07,
}
BETTER = PRESENT | {"specificity": 0.85, "category_top1": 0.75}


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (BETTER, []),
        (PRESENT | {"calibration_error": 0.05, "missed_among_below": 0.0}, []),
        (BETTER | {"calibration_error": 0.09}, []),
        (PRESENT, ["0 measures are better and 0 are worse"]),
        (PRESENT | {"calibration_error": 0.09}, ["0 measures are better and 1 are worse"]),
        (BETTER | {"sensitivity": 0.92}, ["sensitivity is 0.920, and the present model's 0.930"]),
        (BETTER | {"caught": 0.98, "calibration_error": 0.06}, []),  # within the promise
        (BETTER | {"caught": 0.97}, ["caught is 0.970, and the present model's 1.000"]),
        (BETTER | {"missed_among_below": 0.03}, ["missed among below is 0.030, and the present model's 0.010"]),
        (BETTER | {"sensitivity": None}, ["sensitivity is not measured, and the present model's 0.930"]),
    ],
)
def test_what_beats_the_present_model(scores: dict[str, float | None], said: list[str]) -> None:
    assert faults(scores, PRESENT) == said


def candidate(folder: Path) -> Path:
    made = folder / make.CANDIDATE
    made.mkdir(parents=True)
    (made / ENCODER).write_bytes(b"weights")
    (made / MANIFEST).write_text(json.dumps({"version": "new"}), encoding="utf-8")
    return made


def scoring(new: dict[str, float]) -> Any:
    def score(model: Path | None) -> dict[str, Any]:
        return {
            "version": "present" if model is None else "new",
            "examples": 300,
            "scores": PRESENT if model is None else new,
        }

    return score


def test_a_better_model_is_taken_and_its_papers_say_over_which(tmp_path: Path) -> None:
    made = candidate(tmp_path)
    manifest = adopt(made, tmp_path, scoring(BETTER))
    assert json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8")) == manifest
    assert (manifest["adopted"]["over"], manifest["adopted"]["scores"]) == ("present", BETTER)
    assert (tmp_path / ENCODER).read_bytes() == b"weights"
    assert not made.exists()


def test_a_worse_model_is_no_model_where_it_was_asked_for(tmp_path: Path) -> None:
    made = candidate(tmp_path)
    with pytest.raises(NotAdopted, match="does not beat the present one"):
        adopt(made, tmp_path, scoring(BETTER | {"caught": 0.9}))
    assert not (tmp_path / MANIFEST).exists()
    assert (made / MANIFEST).exists()


def test_the_command_learns_scores_and_says_why_it_keeps_the_present_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "model.safetensors"
    base.write_bytes(b"base")
    learner = SimpleNamespace(options=lambda given: given, learn_all=lambda given: None, CHOSEN="student.pt")
    monkeypatch.setitem(sys.modules, "triage.training.learn", learner)
    monkeypatch.setattr("triage.training.learn", learner, raising=False)
    monkeypatch.setattr(make, "BASE_SHA256", make._hash(base))
    monkeypatch.setattr(make, "prepared", lambda corpus, to, learned: [])
    monkeypatch.setattr(make, "finish", lambda *given, **more: candidate(tmp_path / "new"))
    scores = iter([BETTER | {"sensitivity": 0.5}, PRESENT, BETTER, PRESENT])
    monkeypatch.setattr(
        evaluate, "report", lambda file, model: {"version": "present", "examples": 300, "scores": next(scores)}
    )
    given = ["model", "train", "--base", str(base), "--out", str(tmp_path / "new")]
    refused = CliRunner().invoke(app, given)
    assert refused.exit_code == 1
    assert "sensitivity is 0.500" in refused.output
    assert not (tmp_path / "new" / MANIFEST).exists()

    (tmp_path / "new" / make.CANDIDATE).rename(tmp_path / "aside")
    taken = CliRunner().invoke(app, given)
    assert taken.exit_code == 0
    assert json.loads(taken.output)["adopted"]["over"] == "present"


def test_no_text_of_the_test_split_is_learned_from() -> None:
    shipped = texts.read()
    make.refuse_test_texts(shipped)
    apart = next(text for text in shipped if text.is_test)
    learned_from = next(text.group for text in shipped if not text.is_test)
    with pytest.raises(texts.CorpusFaulty, match="test split"):
        make.refuse_test_texts([replace(apart, group=learned_from)])
