"""The lexicon is edited by people: what is wrong in it is said, all of it, with the place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from triage import cues, pipeline
from triage.vocabulary import Category


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(cues.LEXICON, tmp_path / "lexicon"))


def test_the_shipped_lexicon_is_sound() -> None:
    assert cues.lint() == ()


def test_each_category_has_cues() -> None:
    labels = {cue.label for cue in cues.load().cues if cue.kind is cues.Kind.CATEGORY}
    assert labels == {category.value for category in Category if category is not Category.NONE}


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ('name = "x"\nlabel = "category:rude"\nphrases = ["oaf"]', "unknown label"),
        ('name = "x"\nlabel = "category:physical"\nlevel = "harm"\nphrases = ["thwack"]', "names no criterion"),
        ('name = "x"\nlabel = "flag:injury"\nweight = 9\nphrases = ["thwack"]', "weight"),
        ('name = "x"\nlabel = "flag:injury"\nphrases = ["<nobody> fell"]', "<nobody>"),
        ('name = "x"\nlabel = "flag:injury"\nphrases = []', "no phrases"),
        ('name = "struck"\nlabel = "flag:injury"\nphrases = ["thwack"]', "name of another cue"),
        ('name = "x"\nlabel = "flag:injury"\ncolour = "red"\nphrases = ["thwack"]', 'unknown key "colour"'),
    ],
)
def test_a_faulty_entry_is_named(entry: str, problem: str, folder: Path) -> None:
    (folder / "zz-local.toml").write_text(f"[[cue]]\n{entry}\n")
    (fault,) = cues.lint(folder)
    assert fault.file == "zz-local.toml"
    assert problem in fault.problem
    with pytest.raises(cues.LexiconFaulty):
        pipeline.load(folder)


def test_every_fault_is_named_at_once(folder: Path) -> None:
    (folder / "zz-1.toml").write_text("not toml at all")
    (folder / "zz-2.toml").write_text('[[cue]]\nlabel = "flag:injury"\nphrases = ["thwack"]\n')
    assert [fault.file for fault in cues.lint(folder)] == ["zz-1.toml", "zz-2.toml"]


def test_an_added_phrase_counts_and_changes_the_version(folder: Path) -> None:
    text = "The caretaker flumped a pupil."
    before = pipeline.load()
    (folder / "zz-local.toml").write_text(
        '[[cue]]\nname = "flumped"\nlabel = "category:physical"\nlevel = "harm"\nweight = 3\ncriteria = [1]\n'
        'phrases = ["flumped .. <child>"]\n'
    )
    after = pipeline.load(folder)
    assert before.suggest(text).category is Category.NONE
    assert after.suggest(text).category is Category.PHYSICAL
    assert before.version != after.version


def test_a_gap_ends_with_the_sentence(folder: Path) -> None:
    (folder / "zz-local.toml").write_text(
        '[[cue]]\nname = "flumped"\nlabel = "category:physical"\nlevel = "harm"\nweight = 3\ncriteria = [1]\n'
        'phrases = ["flumped .. <child>"]\n'
    )
    assert pipeline.load(folder).suggest("The caretaker flumped. A pupil laughed.").category is Category.NONE
