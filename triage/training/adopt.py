"""Whether a new model takes the present one's place: only where it beats it on the test split, which stays the same.

Missing harm is the fault that matters most, so nothing is bought with it beyond what is promised: where a new model catches
less than the present one *and* less than that, no gain elsewhere makes up for it. (Without the promise, a model that calls
everything unclear could never be beaten: it misses nothing and says nothing.)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from triage.learned.model import MANIFEST

Scores = Mapping[str, float | None]

PROMISED = {"sensitivity": 1.0, "caught": 0.98, "missed_among_below": 0.02}
"""What a new model must be at least as good at, or else as good as the present one, whatever else it gains."""
LOWER_IS_BETTER = frozenset({"missed_among_below", "calibration_error"})


class NotAdopted(Exception):
    """The new model does not beat the present one; the text says at what, and where the new one lies."""


def faults(new: Scores, present: Scores) -> list[str]:
    """Why the new scores do not beat the present ones, a phrase each; empty where they do.

    They do where nothing of :data:`PROMISED` is worse than both, and more measures are better than are worse.
    """
    gains = {name: _gain(name, new.get(name), value) for name, value in present.items()}
    found = [
        f"{name.replace('_', ' ')} is {_said(new.get(name))}, and the present model's {_said(present.get(name))}"
        for name, promised in PROMISED.items()
        if gains.get(name, 0) < 0 and _gain(name, new.get(name), promised) < 0
    ]
    better, worse = (sum(gain * sign > 0 for gain in gains.values()) for sign in (1, -1))
    if better <= worse:
        found.append(f"{better} measures are better and {worse} are worse")
    return found


def adopt(candidate: Path, to: Path, score: Callable[[Path | None], Mapping[str, Any]]) -> dict[str, Any]:
    """Move the model in the folder ``candidate`` to ``to``, with both scores in its papers, where it beats the present one.

    ``score`` gives the report on the test split of the model in a folder; of None, the present one's. Returns the manifest.
    Raises NotAdopted; then the model stays where it is.
    """
    new, present = score(candidate), score(None)
    wrong = faults(new["scores"], present["scores"])
    if wrong:
        raise NotAdopted(
            f"the new model does not beat the present one ({present['version']}) on the {present['examples']} texts of the "
            f"test split: {'; '.join(wrong)}. It is left in {candidate}, for intake-bot model evaluate --model"
        )
    manifest: dict[str, Any] = json.loads((candidate / MANIFEST).read_text(encoding="utf-8"))
    manifest["adopted"] = {
        "over": present["version"],
        "test_texts": present["examples"],
        "scores": dict(new["scores"]),
        "scores_of_the_one_before": dict(present["scores"]),
    }
    (candidate / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    # The manifest last: a folder without it is no model, and one with it is whole.
    for file in sorted(candidate.iterdir(), key=lambda one: one.name == MANIFEST):
        file.replace(to / file.name)
    candidate.rmdir()
    return manifest


def _gain(name: str, new: float | None, present: float | None) -> float:
    """Above zero where the new one is better. What it does not answer any more, it is worse at."""
    if present is None or new is None:
        return 0.0 if present is None else -1.0
    return present - new if name in LOWER_IS_BETTER else new - present


def _said(figure: float | None) -> str:
    return "not measured" if figure is None else f"{figure:.3f}"
