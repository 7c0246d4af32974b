"""What somebody wrote into our own letter before sending it back: "- when it happened: on Friday", or a line under it.

Our acknowledgement asks for a list, and people fill it in where it stands: under Outlook's block of headers, on the lines
that Gmail put behind ``>``. Compared with the letter's template, what is ours is known, and what is not ours was written.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

from intake_bot.mail.introductions import MAX_LINE, is_rule
from intake_bot.mail.text import words
from triage.vocabulary import MissingDatum

ACKNOWLEDGEMENT = ("acknowledgement.txt.j2", "acknowledgement.html.j2")
_RUN = 3
"""So many words in a row are recognised as ours, however the lines were folded on the way."""
_FEWEST_OURS = 20
_LEAST_SHARE = 4
"""Below so many words of ours, or below one in so many of all, it is another letter."""
_MAX_VALUE_WORDS = 8
_MAX_LINES = 400
_HEAD_LINES = 3

_TAG = re.compile(r"(?s)\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}")
_SAID = re.compile(r"(?s)\{\{-?\s*\"([^\"]*)\"\s*-?\}\}")
_ELEMENT = re.compile(r"(?is)<(?:title|style)\b.*?</(?:title|style)>|</?(?:strong|b|em|i|a|span)\b[^<>]*>")
_BLOCK = re.compile(r"<[^<>]*>")
_WORD = re.compile(r"\w+")
_GAP = "\x00"
_MARKS = re.compile(r"^\s{0,3}[>＞|][\s>＞|]{0,40}")
# What stands at the end of a line of ours and differs from letter to letter: a telephone number, an address of the web, a
# reference, a time.
_VALUE = re.compile(
    r"[\s:*_|]*(?:(?:<?https?://\S{1,500}>?\s*)+|[\d\s()+.–-]+|[A-Z]{1,20}-\d\d-[A-Z0-9]{1,12}|"
    r"(?:by )?\w{3,12},? \d{1,2} \w{3,12} \d{4}(?: at)? \d{1,2}:\d\d)?[\s.*_|]*"
)
_LABELS = tuple(tuple(words(datum.label)) for datum in MissingDatum)


@dataclass(frozen=True, slots=True)
class _Ours:
    """Runs of words of our letter with the lines of the template that hold each; beginnings too short for a run; what, too
    short for one, follows a run and then something filled in; the pairs of runs with something filled in between; and the
    words after which a line ends in something filled in.
    """

    runs: dict[tuple[str, ...], frozenset[int]]
    openings: frozenset[tuple[str, ...]]
    anchors: dict[tuple[str, ...], frozenset[tuple[str, ...]]]
    gaps: frozenset[tuple[tuple[str, ...], tuple[str, ...]]]
    open_ended: frozenset[tuple[str, ...]]


@cache
def own_templates() -> tuple[str, ...]:
    """The acknowledgement's templates as this package has them."""
    folder = resources.files("intake_bot") / "templates"
    return tuple((folder / name).read_text(encoding="utf-8") for name in ACKNOWLEDGEMENT)


@cache
def _advice_alone() -> frozenset[str]:
    """Whole lines that stand in advice and in no acknowledgement."""
    advice = (resources.files("intake_bot") / "templates" / "advice.txt.j2").read_text(encoding="utf-8")
    acknowledged = "\n".join(own_templates())
    return frozenset(
        line.strip()
        for line in advice.splitlines()
        if len(line.split()) > 4 and "{" not in line and line.strip() not in acknowledged
    )


def written_into(lines: Sequence[str], templates: Sequence[str] = ()) -> list[int] | None:
    """The numbers of those lines of a returned letter that hold words which are not ours, each with the label over it; None
    where it is not our acknowledgement.

    ``templates`` are those of the letter, where an authority has its own. Quotation marks before a line are passed over.
    """
    bare = without_marks(lines[:_MAX_LINES])
    # Advice shares lines with the acknowledgement, and its other words are an officer's: none of them are filled in.
    if _advice_alone() & {line.strip() for line in bare}:
        return None
    ours = _ours((*own_templates(), *templates))
    stream = [(word, number) for number, line in enumerate(bare) for word in words(line[: 4 * MAX_LINE])]
    covered = _covered([word for word, _ in stream], ours)
    known = sum(bool(where) for where in covered)
    if known < _FEWEST_OURS or known * _LEAST_SHARE < len(stream):
        return None
    first = next(number for (_, number), where in zip(stream, covered, strict=True) if where)
    others = set(_with_others_words(bare, stream, covered, ours))
    others -= _head(bare, first)
    others -= {number for number in others if is_rule(bare[number])}
    others |= set(range(_MAX_LINES, len(lines)))
    return sorted(others | set(_labels_over(bare, others)))


def filled_in(lines: Sequence[str]) -> list[int]:
    """The numbers of the lines that begin with a label of our list and go on, in whatever letter."""
    return [number for number, line in enumerate(without_marks(lines[:_MAX_LINES])) if _is_filled_in(line)]


def without_marks(lines: Sequence[str]) -> list[str]:
    """The lines without quotation marks before them."""
    return [_MARKS.sub("", line) for line in lines]


def _head(bare: list[str], first: int) -> set[int]:
    """The short paragraph over the first line that is the same in every letter: there it says who we are."""
    end = first
    while end and not bare[end - 1].strip():
        end -= 1
    start = end
    while start and bare[start - 1].strip():
        start -= 1
    fits = end - start <= _HEAD_LINES and len(words(" ".join(bare[start:end]))) <= 2 * _MAX_VALUE_WORDS
    return set(range(start, end)) if fits else set()


def _with_others_words(
    bare: list[str], stream: list[tuple[str, int]], covered: list[frozenset[int]], ours: _Ours
) -> Iterator[int]:
    """The lines with words that neither are ours nor fill a gap in a line of ours."""
    left: frozenset[int] = frozenset()
    place = 0
    while place < len(stream):
        if covered[place]:
            left = covered[place]
            place += 1
            continue
        end = place
        while end < len(stream) and not covered[end]:
            end += 1
        right = covered[end] if end < len(stream) else frozenset()
        before = tuple(word for word, _ in stream[max(0, place - _RUN) : place])
        after = tuple(word for word, _ in stream[end : end + _RUN])
        is_value = bool(left & right) and (before, after) in ours.gaps
        if end - place > _MAX_VALUE_WORDS or not is_value:
            yield from _not_values(bare, stream, (place, end), ours)
        place = end


def _not_values(bare: list[str], stream: list[tuple[str, int]], run: tuple[int, int], ours: _Ours) -> Iterator[int]:
    """The lines of a run of other words, but for a value at the end of a line of ours that ends in one."""
    start, end = run
    before = tuple(word for word, _ in stream[max(0, start - _RUN) : start])
    numbers = sorted({number for _, number in stream[start:end]})
    ends_open = any(before[-len(ending) :] == ending for ending in ours.open_ended)
    may_be_value = {numbers[0]} if ends_open else set()
    for number in numbers:
        known = sum(place < start and stream[place][1] == number for place in range(max(0, start - 100), start))
        opening = _opening(bare[number], ours)
        above = next((line for line in reversed(bare[max(0, number - 2) : number]) if line.strip()), "")
        if opening and not known:
            known, is_value = len(opening), True
        else:
            is_value = number in may_be_value or (not known and tuple(words(above[:MAX_LINE])) in ours.openings)
        if not is_value or not _VALUE.fullmatch(_after_words(bare[number], known)[:MAX_LINE]):
            yield number


def _opening(line: str, ours: _Ours) -> tuple[str, ...]:
    found = tuple(words(line[:MAX_LINE]))
    return next((opening for opening in ours.openings if found[: len(opening)] == opening), ())


def _after_words(line: str, count: int) -> str:
    """The line after its first ``count`` words."""
    ends = [word.end() for word in _WORD.finditer(line[: 4 * MAX_LINE])]
    return line[ends[min(count, len(ends)) - 1] :] if count and ends else line


def _covered(stream: list[str], ours: _Ours) -> list[frozenset[int]]:
    """For each word the lines of the template that it may come from; none where it is not ours."""
    covered: list[frozenset[int]] = [frozenset()] * len(stream)
    for place in range(len(stream) - _RUN + 1):
        for number in ours.runs.get(tuple(stream[place : place + _RUN]), ()):
            for word in range(place, place + _RUN):
                covered[word] |= {number}
    for place in range(len(stream) - _RUN + 1):
        for anchor in ours.anchors.get(tuple(stream[place : place + _RUN]), ()):
            start = place + _RUN
            for end in range(start, min(len(stream), start + _MAX_VALUE_WORDS)):
                if tuple(stream[end : end + len(anchor)]) == anchor:
                    covered[start : end + len(anchor)] = [covered[place]] * (end + len(anchor) - start)
                    break
    return covered


def _is_filled_in(line: str) -> bool:
    """Whether the line begins with a label of our list and goes on."""
    found = tuple(words(line[: 4 * MAX_LINE]))
    return any(len(found) > len(label) and found[: len(label)] == label for label in _LABELS)


def _labels_over(bare: list[str], found: set[int]) -> Iterator[int]:
    """The lines with a label right above lines that were found: an answer means little without its question."""
    for number in found:
        if number >= len(bare) or _is_filled_in(bare[number]):
            continue
        above = number - 1
        while above >= 0 and not bare[above].strip() and number - above < 3:
            above -= 1
        if 0 <= above not in found and tuple(words(bare[above][:MAX_LINE])) in _LABELS:
            yield above


@lru_cache(maxsize=4)
def _ours(templates: tuple[str, ...]) -> _Ours:
    lines = [line for template in templates for line in _template_lines(template)]
    lines += [[label] for label in _LABELS]
    runs: dict[tuple[str, ...], frozenset[int]] = {}
    for number, pieces in enumerate(lines):
        for piece in pieces:
            for place in range(len(piece) - _RUN + 1):
                run = piece[place : place + _RUN]
                runs[run] = runs.get(run, frozenset()) | {number}
    openings = frozenset(pieces[0] for pieces in lines if len(pieces) > 1 and 0 < len(pieces[0]) < _RUN)
    anchors: dict[tuple[str, ...], frozenset[tuple[str, ...]]] = {}
    for pieces in lines:
        for piece, after in itertools.pairwise(pieces):
            if len(piece) >= _RUN and 0 < len(after) < _RUN:
                anchors[piece[-_RUN:]] = anchors.get(piece[-_RUN:], frozenset()) | {after}
    gaps = frozenset(
        (piece[-_RUN:], after[:_RUN])
        for pieces in lines
        for piece, after in itertools.pairwise(pieces)
        if min(len(piece), len(after)) >= _RUN
    )
    open_ended = frozenset(
        piece[-_RUN:]
        for pieces in lines
        for place, (piece, after) in enumerate(itertools.pairwise(pieces))
        if piece and not after and (place or len(piece) >= _RUN)
    )
    return _Ours(runs, openings, anchors, gaps, open_ended)


def _template_lines(template: str) -> list[list[tuple[str, ...]]]:
    """The words of each paragraph of a template, in pieces between what is filled in."""
    text = _SAID.sub(r"\1", template)
    if "<html" in template:
        text = _BLOCK.sub("\n\n", _ELEMENT.sub("", text))
    text = _TAG.sub(_GAP, text)
    paragraphs: list[list[tuple[str, ...]]] = []
    joined = ""
    for line in [*text.split("\n"), ""]:
        starts_anew = not line.strip() or line.startswith("- ") or line[:1].isupper() or line.startswith(_GAP)
        if starts_anew and joined:
            paragraphs.append([tuple(words(piece)) for piece in joined.split(_GAP)])
            joined = ""
        joined = f"{joined} {line}" if line.strip() else joined
    return paragraphs
