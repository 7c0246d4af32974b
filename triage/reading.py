"""What of a text is read, and as which words: bounded windows, tokens that know their place, sentences.

Everything here keeps positions: a token's place is an offset into the text as it was given, so that evidence can be
shown in it. Reading is linear in the part read and never raises, whatever the characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab

MAX_WORDS = 3000
"""A text of more words is read in its first two thirds and last third of so many words; its middle is not read."""

MAX_CHARACTERS = 60_000
"""The same for a text of fewer but monstrous words: 3,000 words of English are about 18,000 characters."""

MAX_WORD_CHARACTERS = 40
MAX_TOKENS = 6000

# Each replacement is one character for one, so that offsets stay true. A lone surrogate cannot be encoded as UTF-8,
# which spaCy's string store does.
_PLAIN = str.maketrans(
    {"\x00": " ", "\u00a0": " ", "\u2007": " ", "\u202f": " ", "\u2018": "'", "\u2019": "'", "\u02bc": "'"}
    | {"\u201c": '"', "\u201d": '"', "\u2010": "-", "\u2011": "-", "\u00ad": "-"}
)
_SURROGATE = re.compile("[\ud800-\udfff]")

# A possessive or "is" ('s) is a token of its own; a hyphen inside a compound is none, so that "over-friendly" and
# "over friendly" are the same two words; a title's full stop ends no sentence.
_TOKEN = re.compile(
    r"(?P<break>\n[ \t]*(?:\n\s*|(?=[-*•·>]\s|\d{1,2}[.)]\s|[A-Z][^\n:.?!]{1,40}:\s)))"
    r"|(?P<number>\d+(?:[.:/]\d+)+)"
    r"|(?P<title>\b(?:Mrs?|Ms|Dr|Fr|Rev|St|approx|e\.g|i\.e)\.(?=\s))"
    r"|(?P<word>[^\W_]+(?:'(?!s\b)[^\W_]+)*|'s\b)"
    r"|(?P<mark>[.!?,;:()\[\]\"])",
)
_BREAK = "\n"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the text that is read: ``text[start:end]``."""

    start: int
    end: int


def plain(text: str) -> str:
    """The text with each odd character (quote, space, NUL, lone surrogate) replaced by one plain one; same length."""
    return _SURROGATE.sub("\ufffd", text).translate(_PLAIN)


def windows(text: str) -> tuple[Window, ...]:
    """What is read of a text: all of it, or its first and last part where it is longer than the limits."""
    head_end, tail_start = len(text), len(text)
    if len(text) > MAX_CHARACTERS:
        head_end, tail_start = MAX_CHARACTERS * 2 // 3, len(text) - MAX_CHARACTERS // 3
    words = [match.span() for match in re.finditer(r"\S+", text[:head_end])]
    tail_words = [(tail_start + match.start(), match.end()) for match in re.finditer(r"\S+", text[tail_start:])]
    if len(words) + len(tail_words) > MAX_WORDS:
        first, last = MAX_WORDS * 2 // 3, MAX_WORDS // 3
        starts = [start for start, _ in words] + [start for start, _ in tail_words]
        tail_start = starts[-last]
        head_end = min(head_end, starts[first] if first < len(words) else head_end, tail_start)
    if tail_start >= len(text) and head_end >= len(text):
        return (Window(0, len(text)),)
    return (Window(0, head_end), Window(tail_start, len(text)))


def words_of(text: str) -> list[str]:
    """The words of a phrase, as texts are cut into words, in lower case."""
    return [word.lower() for word, _, _ in _tokens(plain(text), Window(0, len(text)))]


class PlacedTokenizer:
    """Cuts a text into the words of its windows and keeps each one's place in ``doc.user_data``.

    ``doc.user_data["places"][i]`` is (start, end) of token i in the text; ``["windows"]`` what was read.
    spaCy's own tokenizer is not used: it keeps runs of white space as tokens, so that a phrase broken by a mail
    program's line break is not found, and it is quadratic on some junk.
    """

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab

    def __call__(self, text: str) -> Doc:
        even = plain(text)
        read = windows(even)
        found = [token for window in read for token in [*_tokens(even, window), (_BREAK, window.end, window.end)]]
        found = found[:MAX_TOKENS]
        doc = Doc(self.vocab, words=[word for word, _, _ in found])
        doc.user_data["places"] = [(start, end) for _, start, end in found]
        doc.user_data["windows"] = read
        return doc


@Language.component("triage_lines")
def lines(doc: Doc) -> Doc:
    """Starts a sentence after each blank line and before each bullet or form field, which carry no full stop."""
    for token in doc[:-1]:
        if token.text == _BREAK:
            doc[token.i + 1].is_sent_start = True
    return doc


def _tokens(text: str, window: Window) -> Iterator[tuple[str, int, int]]:
    for match in _TOKEN.finditer(text, window.start, window.end):
        start, end = match.span()
        if match.lastgroup == "break":
            yield _BREAK, start, start
        elif match.lastgroup == "title":
            yield match.group()[:-1], start, end
        else:
            # What is longer than any word is no word: it keeps its place, so that nothing is joined across it.
            yield (match.group() if end - start <= MAX_WORD_CHARACTERS else "\ufffc"), start, end
