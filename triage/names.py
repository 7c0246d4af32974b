"""When two writings of a name may be one person's: typing errors, sound, initials, titles, order, hyphens, pet names.

Pure: what a record does with it, under which keys, is elsewhere. A likeness is a hint to look, and no identification.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

import jellyfish

MAX_NAME = 80
"""Characters of a name that are looked at."""
_TITLE = re.compile(
    r"(?i)^(?:mr|mrs|ms|miss|mx|dr|fr|father|rev(?:erend)?|sister|brother|imam|rabbi|pastor|sir|coach|prof(?:essor)?)\b\.?\s+"
)
_LETTERS = re.compile(r"[a-z]+")
_CLOSE, _FIRST_CLOSE = 0.92, 0.9
"""Jaro-Winkler similarity from which surnames, and first names, may be the same mistyped."""
_LONG_ENOUGH = 5
"""Letters of a surname from which one letter wrong leaves it known."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name in small plain letters. ``first`` may be an initial, or empty."""

    first: str
    last: str

    @property
    def has_initial(self) -> bool:
        return len(self.first) == 1


@dataclass(frozen=True, slots=True)
class Likeness:
    """``sure`` from 0 to 1, and why in words that hold no name."""

    sure: float
    why: str


def parse(text: str) -> Name | None:
    """A name as it is written: ``Mr Tom Hale``, ``HALE, Tom``, ``T. J. O'Hale-Smith``. None where there is no surname."""
    plain = unicodedata.normalize("NFKD", " ".join(text[:MAX_NAME].split())).casefold()
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    last_first = plain.split(",", 1)
    if len(last_first) == 2 and last_first[1].strip():
        plain = f"{last_first[1].strip()} {last_first[0].strip()}"
    plain = re.sub(r"['’`.-]+(?=\w)", "", _TITLE.sub("", plain))
    words = _LETTERS.findall(plain)
    if not words or len(words[-1]) < 2:
        return None
    return Name(words[0] if len(words) > 1 else "", words[-1])


def of_words(words: tuple[str, ...]) -> Name | None:
    """A name as :mod:`triage.facts` finds it: first name and surname, or a surname alone."""
    return parse(" ".join(words))


def keys(name: Name) -> frozenset[str]:
    """What two writings of a name share, for finding them: never enough to say that they are the same."""
    found = {f"sound {jellyfish.metaphone(name.last)}", f"last {name.last}"}
    if len(name.last) >= _LONG_ENOUGH:
        found |= {f"near {one}" for one in _one_letter_less(name.last)}
    if len(name.first) > 1:
        # "Hale Tom", and a form that has them the other way round.
        found |= {f"both {' '.join(sorted((name.first, name.last)))}"}
    return frozenset(found)


def compare(one: Name, other: Name) -> Likeness | None:
    """How sure it is that two writings are of one name, and why; None where they are not alike."""
    if one.first and {one.first, one.last} == {other.first, other.last} and one != other:
        return Likeness(0.85, "the same two names, the other way round")
    surname = _surnames(one.last, other.last)
    first = _firsts(one, other)
    if surname is None or first is None:
        return None
    weight, said = surname
    sure, first_said = first
    return Likeness(round(weight * sure, 2), f"{said}, {first_said}")


def _surnames(one: str, other: str) -> tuple[float, str] | None:
    if one == other:
        return 1.0, "the same surname"
    if min(len(one), len(other)) >= _LONG_ENOUGH and jellyfish.jaro_winkler_similarity(one, other) >= _CLOSE:
        return 0.85, "a surname that is almost the same"
    if jellyfish.metaphone(one) == jellyfish.metaphone(other) and one[0] == other[0]:
        return 0.75, "a surname that sounds the same"
    return None


def _firsts(one: Name, other: Name) -> tuple[float, str] | None:
    """None where the first names speak against it."""
    if not one.first or not other.first:
        return 0.45, "and no first name"
    if one.first == other.first and not one.has_initial:
        return 0.95, "the same first name"
    if one.has_initial or other.has_initial:
        return (0.65, "the same initial") if one.first[0] == other.first[0] else None
    if _is_pet_name(one.first, other.first):
        return 0.85, "a short form of the first name"
    if jellyfish.jaro_winkler_similarity(one.first, other.first) >= _FIRST_CLOSE:
        return 0.8, "a first name that is almost the same"
    return None


def _is_pet_name(one: str, other: str) -> bool:
    return any(one in group and other in group for group in _groups())


@cache
def _groups() -> tuple[frozenset[str], ...]:
    lines = (resources.files("triage") / "lexicon" / "pet-names.txt").read_text(encoding="utf-8").splitlines()
    return tuple(frozenset(line.split()) for line in lines if not line.startswith("#"))


def _one_letter_less(word: str) -> Iterator[str]:
    """The word, and each that one letter less makes of it: two words with one wrong letter share one of these."""
    yield word
    for at in range(len(word)):
        yield word[:at] + word[at + 1 :]
