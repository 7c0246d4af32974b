"""The best suggester there is: the learned layer over the rules, and the rules alone where its model is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from triage import pipeline
from triage.suggestion import Suggestion


class Suggester(Protocol):
    version: str

    def suggest(self, text: str, *, subject: str = "", sender: str | None = None) -> Suggestion: ...

    def suggest_by_rules(self, text: str, *, subject: str = "", sender: str | None = None) -> Suggestion:
        """What the rules alone say, for when many texts wait; ``engine`` is RULES_ALONE where there is more to ask."""
        ...


def load(folder: Path | None = None) -> Suggester:
    """Rules and model; the rules alone, which say so in the suggestion's ``engine``, where there is no model.

    Raises ModelFaulty where a model's file is not the one that its manifest names: a changed file is no model of ours.
    """
    rules = pipeline.load()
    from triage.learned.model import MODEL, ModelMissing

    try:
        from triage.learned.suggester import LearnedSuggester

        return LearnedSuggester(rules, folder or MODEL)
    except ModelMissing:
        return rules
