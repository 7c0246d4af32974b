"""The words that the learned layer reads: names, sex, faith and origin taken out, with the places of what stands there.

Whoever is called what, and whether a man or a woman, moves no suggestion: the layer never sees it, neither when it learns
nor when it suggests (``neutral.toml``). It keeps *how many* words a name has, because a first name alone counts as
a missing name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NEUTRAL = Path(__file__).parent / "neutral.toml"

NAME = "name"
INITIALS = "initials"
TELEPHONE = "telephone"
ADDRESS = "email"
MINISTER = "minister"
MAX_WORD = 40
"""Characters of one word that are read; no word of the language is longer."""

_WORD = re.compile(
    r"(?P<telephone>(?<![\w/.])(?:\+44[\s(0)]{0,5}|0)\d(?:[\s()-]{0,2}\d){7,12}\b)"
    r"|(?P<address>[\w.+-]{1,64}@[\w.-]{1,120}|https?://\S{1,300})"
    r"|(?P<dotted>\b(?:[A-Z]\.){2,3})"
    r"|(?P<word>\w+(?:['’-]\w+)*)"
    r"|(?P<mark>[^\w\s])"
)
_CAPITALISED = re.compile(r"[^\W\d_a-z][\w'’-]*[a-zà-öø-ÿ][\w'’-]*")
_INITIALS = re.compile(r"[^\W\d_a-z]{1,3}")
_SETTINGS = frozenset(
    "primary infant infants junior juniors school academy college nursery preschool pre-school high centre club hall house "
    "worship madrasah fc trust federation group council lodge unit".split()
)
_CLERICAL = frozenset({"father", "brother", "sister", "mother"})


@dataclass(frozen=True, slots=True)
class Word:
    """A word as the learned layer reads it, and its place in the text: ``text[start:end]`` is what stands there."""

    read: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Neutral:
    """What stands for what. ``known``: words that are no names, because texts write them small."""

    instead: dict[str, str]
    origins: frozenset[str]
    colours: frozenset[str]
    persons: frozenset[str]
    known: frozenset[str]


@cache
def _lists() -> tuple[dict[str, str], frozenset[str], frozenset[str], frozenset[str], frozenset[str]]:
    data = tomllib.loads(NEUTRAL.read_text(encoding="utf-8"))
    instead = {word: read for read, words in data["words"].items() for word in words.split()}
    origins = data["origins"]
    return (
        instead,
        frozenset(origins["words"].split()),
        frozenset(origins["colours"].split()),
        frozenset(origins["persons"].split()),
        frozenset(data["keep"]["words"].split()),
    )


def neutral(known: Collection[str]) -> Neutral:
    """The shipped list, with the words that a model knows to be no names. Raises OSError where the list is missing."""
    instead, origins, colours, persons, keep = _lists()
    return Neutral(instead, origins, colours, persons, frozenset(known) | keep | frozenset(instead))


def small_words(texts: Iterable[str]) -> list[str]:
    """Every word that the texts write small, sorted: what a capital does not make a name."""
    found = {match["word"] for text in texts for match in _WORD.finditer(text) if match["word"]}
    return sorted(word for word in found if word.islower() and not any(c.isdigit() for c in word))


def read(text: str, using: Neutral) -> list[Word]:
    """The words of a text in order, each with its place. Any string is taken."""
    matches = list(_WORD.finditer(text))
    words: list[Word] = []
    for match, following in zip(matches, [*matches[1:], None][: len(matches)], strict=True):
        word = Word(_read(match, following, using), match.start(), match.end())
        if word.read in _SETTINGS:
            _as_one_name(words)
        words.append(word)
    return words


def _as_one_name(words: list[Word]) -> None:
    """A setting's name counts as one word, however many it has: which setting it is moves nothing."""
    while len(words) > 1 and words[-1].read == words[-2].read == NAME:
        last, before = words.pop(), words.pop()
        words.append(Word(NAME, before.start, last.end))


def _read(match: re.Match[str], following: re.Match[str] | None, using: Neutral) -> str:
    if match["telephone"]:
        return TELEPHONE
    if match["address"]:
        return ADDRESS
    if match["dotted"]:
        return INITIALS
    if match["mark"]:
        return match["mark"]
    word = match["word"][:MAX_WORD].replace("’", "'")
    small = word.lower()
    small, ending = _parted(small, using)
    if small in _CLERICAL and word[0].isupper() and following is not None and _is_name(following[0], using):
        return MINISTER
    if small in using.colours and following is not None and following[0].lower() in using.persons:
        return NAME
    if small in using.origins:
        return NAME
    read = using.instead.get(small)
    if read is None:
        read = NAME if _is_name(word, using) else INITIALS if _are_initials(word, using) else small
    return read + ending


def _parted(small: str, using: Neutral) -> tuple[str, str]:
    """A word and what is drawn on to it: "tom", "'s"; "he", "'d"."""
    word, mark, ending = small.rpartition("'")
    if mark and (ending == "s" or word in using.instead):
        return word, mark + ending
    return small, ""


def _is_name(word: str, using: Neutral) -> bool:
    if not _CAPITALISED.fullmatch(word):
        return False
    small = word.lower().replace("’", "'").removesuffix("'s")
    return small not in using.known and not all(part in using.known for part in re.split(r"['-]", small))


def _are_initials(word: str, using: Neutral) -> bool:
    return word not in {"I", "A"} and bool(_INITIALS.fullmatch(word)) and word.lower() not in using.known
