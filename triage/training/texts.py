"""The training corpus: scenarios with their labels, and the texts written from them (``docs/annotation-guide.md``).

Evidence is marked in the texts themselves; reading takes the marks off and keeps their places.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from triage.suggestion import Polarity
from triage.vocabulary import Category, Criterion, Flag, MissingDatum, Threshold

CORPUS = Path(__file__).parent.parent / "corpus"

TEST_SHARE = 20
"""Per cent of the groups of scenarios that are never learned from: chosen by a hash of the group, so that it stays."""

_MARKS = {"«": Polarity.FOR, "»": None, "‹": Polarity.AGAINST, "›": None}
_BLOCK = re.compile(r"(?m)^=== ")
_TEXT = re.compile(r"(?m)^--- ")


class CorpusFaulty(Exception):
    """A scenario that cannot be read; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Marked words: ``body[start:end]`` speaks for or against concern about the adult."""

    start: int
    end: int
    polarity: Polarity


@dataclass(frozen=True, slots=True)
class Text:
    """One email written from a scenario, with the labels that its reader would give it."""

    id: str
    scenario: str
    group: str
    """Scenarios that are twins of each other, which never straddle learning and test."""
    subject: str
    sender: str
    body: str
    marks: tuple[Mark, ...]
    category: Category
    secondary: frozenset[Category]
    threshold: Threshold
    criteria: frozenset[Criterion]
    flags: frozenset[Flag]
    missing: frozenset[MissingDatum]

    @property
    def is_test(self) -> bool:
        return int(sha256(self.group.encode()).hexdigest()[:8], 16) % 100 < TEST_SHARE

    @property
    def fingerprint(self) -> str:
        """Tells this text from others, whatever it is called."""
        return sha256(self.body.encode()).hexdigest()[:12]


def read(folder: Path = CORPUS) -> list[Text]:
    """Every text of the corpus. Raises CorpusFaulty where a label, a field or a mark is not as the guide says."""
    blocks = [block for file in sorted(folder.glob("*.txt")) for block in _blocks(file)]
    groups = _groups(blocks)
    texts = [text for block in blocks for text in _texts(block, groups)]
    twice = [name for name, count in Counter(_name(block) for block in blocks).items() if count > 1]
    if twice:
        raise CorpusFaulty(f"scenarios written twice: {', '.join(sorted(twice))}")
    return texts


def statistics(texts: Sequence[Text]) -> dict[str, float | int]:
    """How varied the texts are: openings of five words that are their own, distinct word triples, near-duplicates.

    Near-duplicates share more than half of their word triples with another text of the corpus.
    """
    triples = [_triples(text.body) for text in texts]
    all_triples = Counter(triple for found in triples for triple in found)
    where: dict[tuple[str, ...], list[int]] = {}
    for number, found in enumerate(triples):
        for triple in found:
            where.setdefault(triple, []).append(number)
    near = sum(_is_near(number, found, triples, where) for number, found in enumerate(triples))
    words = sum(len(text.body.split()) for text in texts)
    openings = Counter(" ".join(text.body.lower().split()[:5]) for text in texts)
    return {
        "scenarios": len({text.scenario for text in texts}),
        "texts": len(texts),
        "words_each": round(words / max(1, len(texts))),
        "distinct_openings": round(sum(1 for n in openings.values() if n == 1) / max(1, len(texts)), 3),
        "distinct_triples": round(len(all_triples) / max(1, sum(all_triples.values())), 3),
        "near_duplicates": round(near / max(1, len(texts)), 4),
    }


def _blocks(file: Path) -> list[str]:
    return _BLOCK.split(file.read_text(encoding="utf-8"))[1:]


def _name(block: str) -> str:
    return block.split("\n", 1)[0].split("|", 1)[0].strip()


def _groups(blocks: Sequence[str]) -> dict[str, str]:
    """The first scenario of each chain of twins stands for all of them."""
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while above.get(name, name) != name:
            name = above[name]
        return name

    for block in blocks:
        twin = _fields(block.split("\n", 1)[0]).get("twin", "-")
        for other in _list(twin):
            one, two = sorted((top(_name(block)), top(other)))
            above[two] = one
    return {_name(block): top(_name(block)) for block in blocks}


def _texts(block: str, groups: dict[str, str]) -> Iterator[Text]:
    name = _name(block)
    head, *parts = _TEXT.split(block)
    lines = head.split("\n")
    labels = _fields(lines[1])
    if len(lines) < 3 or not lines[2].startswith("why:"):
        raise CorpusFaulty(f"{name}: the third line says why")
    try:
        category, threshold = Category(labels["category"]), Threshold(labels["threshold"])
        criteria = frozenset(Criterion(int(value)) for value in _list(labels.get("criteria", "-")))
        for number, part in enumerate(parts, 1):
            first, rest = part.split("\n", 1)
            said = _fields(first)
            match = re.match(r"subject:(?P<subject>[^\n]*)\nfrom:(?P<sender>[^\n]*)\n\n(?P<body>.*)", rest, re.DOTALL)
            if match is None:
                raise CorpusFaulty(f"{name}: text {number} has no subject, from and empty line")
            body, marks = _unmarked(f"{name}: text {number}", match["body"].strip())
            yield Text(
                id=f"{name}.{number}",
                scenario=name,
                group=groups[name],
                subject=match["subject"].strip(),
                sender=match["sender"].strip(),
                body=body,
                marks=marks,
                category=category,
                secondary=frozenset(Category(value) for value in _list(labels.get("also", "-"))),
                threshold=threshold,
                criteria=criteria,
                flags=frozenset(Flag(value) for value in _list(said.get("flags", labels.get("flags", "-")))),
                missing=frozenset(MissingDatum(value) for value in _list(said.get("missing", "-"))),
            )
    except (KeyError, ValueError) as fault:
        raise CorpusFaulty(f"{name}: {fault}") from fault
    if bool(criteria) and threshold in (Threshold.LOW_LEVEL, Threshold.NOT_LADO):
        raise CorpusFaulty(f"{name}: criteria belong to what meets the threshold or is unclear")


def _fields(line: str) -> dict[str, str]:
    pairs = (part.split(":", 1) for part in line.split("|") if ":" in part)
    return {key.strip(): value.strip() for key, value in pairs}


def _list(value: str) -> list[str]:
    return [] if value.strip() in ("", "-") else [item.strip() for item in value.split(",")]


def _unmarked(where: str, marked: str) -> tuple[str, tuple[Mark, ...]]:
    body: list[str] = []
    marks: list[Mark] = []
    length, opened = 0, None
    for piece in re.split(r"([«»‹›])", marked):
        if piece not in _MARKS:
            body.append(piece)
            length += len(piece)
        elif (polarity := _MARKS[piece]) is not None:
            if opened is not None:
                raise CorpusFaulty(f"{where}: a mark within a mark")
            opened = (length, polarity)
        else:
            if opened is None:
                raise CorpusFaulty(f"{where}: a mark that ends and never began")
            marks.append(Mark(opened[0], length, opened[1]))
            opened = None
    if opened is not None:
        raise CorpusFaulty(f"{where}: a mark that never ends")
    return "".join(body), tuple(marks)


def _triples(body: str) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"\w+", body.lower())
    return frozenset(zip(words, words[1:], words[2:], strict=False))


def _is_near(
    number: int,
    found: frozenset[tuple[str, ...]],
    triples: Sequence[frozenset[tuple[str, ...]]],
    where: dict[tuple[str, ...], list[int]],
) -> bool:
    shared = Counter(other for triple in found for other in where[triple] if other != number)
    return any(count > 0.5 * min(len(found), len(triples[other])) for other, count in shared.most_common(1))
