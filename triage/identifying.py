"""What in a redacted text still tells who is meant: a net under an officer's redaction, not in its place.

It finds words of the original's header, of the names that the rules and the learned layer's list find in the original, and
whatever has the shape of an address, a number or a full name. A nickname, or a name typed small that stands nowhere else,
it cannot know.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from enum import StrEnum

from triage import facts, neutral


class Kind(StrEnum):
    """Each value completes "it still holds ..."."""

    NAME = "a name of a person or a place"
    EMAIL = "an email address"
    TELEPHONE = "a telephone number"
    WEB = "a web address"
    ACCOUNT = "an account's name"
    ADDRESS = "a postal address"
    DATE_OF_BIRTH = "a date of birth"
    NUMBER = "a National Insurance or similar number"


_SHAPES = {
    Kind.EMAIL: re.compile(r"[^\s@<>]{1,64}@[^\s@<>]{1,120}\.\w"),
    Kind.TELEPHONE: re.compile(
        r"(?<![\w/])(?!\d{4}-\d\d-\d\d\b)\+?\(?\d(?:[\s()-]{0,2}\d){6,14}(?!\w)"
        r"|(?<![\w/.])0\d(?:[\s().-]{0,2}\d){7,12}\b|(?i:\bext(?:n|ension)?\b\.?\s{0,2}\d{3,5}\b)"
    ),
    Kind.WEB: re.compile(r"(?i)\bhttps?://\S|\bwww\.\w"),
    Kind.ACCOUNT: re.compile(r"(?<![\w.])@\w{3,40}"),
    Kind.ADDRESS: re.compile(
        r"(?i:\b[a-z]{1,2}\d[a-z\d]?\s{0,2}\d[a-z]{2}\b)"
        r"|\b\d{1,4}[A-Za-z]?,?[ \t]+(?:[A-Z][\w']{1,24}[ \t]+){1,3}(?:Road|Street|Lane|Avenue|Close|Drive|Way|Crescent"
        r"|Court|Place|Gardens?|Terrace|Hill|Grove|Square|Mews|Rd|St|Ave)\b"
    ),
    Kind.DATE_OF_BIRTH: re.compile(
        r"(?i)\b(?:d\.?o\.?b\.?|date of birth|born)\b[^\n]{0,20}?\b\d{1,2}\D{1,5}(?:\d{1,2}|[a-z]{3,9})\D{1,5}\d{2,4}\b"
    ),
    Kind.NUMBER: re.compile(r"(?i)\b[a-z]{2}\s?(?:\d\d\s?){3}[a-d]\b|\b\d{3}\s\d{3}\s\d{4}\b|\b[A-Z]\d{9,12}\b"),
}
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_STARTS = re.compile(r"(?:^|[.!?:\n•*-]|[\"“(\[])\s*$")
_DOMAIN_ENDINGS = frozenset("com org net uk co sch ac gov nhs example info eu mail email".split())
MIN_LETTERS = 3
"""A shorter word of a header or a name is no more than an initial."""


def kinds_left(
    redacted: str, *, original: str, known_of: Iterable[str] = (), known_words: Collection[str] | None = None
) -> tuple[Kind, ...]:
    """What is left in a redacted text, each kind once; empty where nothing is found. Never the words themselves.

    ``known_of`` is what else is known of whoever wrote: names, addresses, an organisation. ``known_words`` are words that
    are no names, however they are written (by default those that the shipped model goes by).
    """
    words = frozenset(_model_words(original) if known_words is None else known_words)
    found = {kind for kind, shape in _SHAPES.items() if shape.search(redacted)}
    suspects = _suspects(original, known_of, words)
    if any(_is_left(match, redacted, suspects, words) for match in _WORD.finditer(redacted)) or _names_somebody(
        redacted, words
    ):
        found.add(Kind.NAME)
    return tuple(kind for kind in Kind if kind in found)


def _suspects(original: str, known_of: Iterable[str], words: frozenset[str]) -> frozenset[str]:
    """Every word by which somebody or some place is named, small."""
    using = neutral.neutral(words)
    found = set(facts.words_of_names(original))
    for word in neutral.read(original, using):
        stands = original[word.start : word.end]
        if word.read.startswith(neutral.NAME) and stands[:1].isupper():
            found.update(_small(part) for part in _WORD.findall(stands))
        if word.read == neutral.ADDRESS:
            found.update(_of_address(stands))
    for given in known_of:
        found.update(_of_address(given) if "@" in given else (_small(part) for part in _WORD.findall(given)))
    found |= {part for word in found for part in re.split(r"['-]", word)}
    return frozenset(
        word
        for word in found
        if len(word) >= MIN_LETTERS and not facts.is_no_name(word) and word not in using.origins | using.instead.keys()
    )


def _of_address(address: str) -> Iterator[str]:
    """The words of an address that may name a person or an organisation."""
    yield from (_small(word) for word in re.findall(r"[^\W\d_]+", address) if word.lower() not in _DOMAIN_ENDINGS)


def _is_left(match: re.Match[str], text: str, suspects: frozenset[str], words: frozenset[str]) -> bool:
    small = _small(match[0])
    if not {small, *re.split(r"['-]", small)} & suspects:
        return False
    # "Mark" and "Rose" are words as well: small, or at the beginning of a sentence, they need be no names.
    return small not in words or (
        match[0][0].isupper() and not _STARTS.search(text, max(0, match.start() - 20), match.start())
    )


def _names_somebody(text: str, words: frozenset[str]) -> bool:
    """Whether a full name, or a title with a surname, stands there by its shape. "Child One", of plain words, is none."""
    return any(word not in words for word in facts.words_of_names(text))


def _small(word: str) -> str:
    plain = unicodedata.normalize("NFKC", word).replace("’", "'").casefold()
    return plain.removesuffix("'s")


def _model_words(original: str) -> Iterable[str]:
    """Where the model's list is missing, the words that the original itself writes small."""
    from triage.learned.model import MODEL, WORDS

    try:
        return (MODEL / WORDS).read_text(encoding="utf-8").split()
    except OSError:
        return neutral.small_words([original])
