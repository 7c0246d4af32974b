"""Rich text: where words are shown as they are. No mrkdwn is read in it, so nothing has to be escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from slack_sdk.models.blocks import RichTextBlock, RichTextElementParts, RichTextSectionElement

from intake_bot.slack.escape import clean
from triage.suggestion import Evidence, Polarity

CHUNK = 2800
"""Characters a block; Slack states no limit for rich text, and its other text blocks end at 3000."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words in one style: ``bold``, ``strike``, ``italic`` or plain (empty)."""

    text: str
    style: str = ""


def rich(pieces: Iterable[Piece]) -> RichTextBlock:
    """One block. Pieces without a visible character are left out, since Slack refuses empty texts."""
    parts = [
        RichTextElementParts.Text(text=piece.text, style={piece.style: True} if piece.style else None)
        for piece in (Piece(clean(piece.text), piece.style) for piece in pieces)
        if piece.text
    ]
    return RichTextBlock(elements=[RichTextSectionElement(elements=parts or [RichTextElementParts.Text(text="-")])])


def marked(text: str, evidence: Sequence[Evidence]) -> list[Piece]:
    """The text with its evidence marked, for eyes and for screen readers, which do not tell bold from plain.

    What speaks for the suggestion stands in ``»«`` and bold, what speaks against it in ``»«`` and struck through. Spans that
    overlap become one; a span outside the text is passed over.
    """
    pieces, at = [], 0
    for start, end, polarity in _runs(evidence, len(text)):
        style = "bold" if polarity is Polarity.FOR else "strike"
        pieces += [Piece(text[at:start]), Piece(f"»{text[start:end]}«", style)]
        at = end
    return [*pieces, Piece(text[at:])]


def chunks(pieces: Iterable[Piece], budget: int) -> tuple[list[list[Piece]], int]:
    """The pieces in blocks of :data:`CHUNK` characters, as long as ``budget`` (bytes as sent) lasts.

    Also how many characters are left out at the end. A block ends at a line's or a word's end where there is one near.
    """
    blocks: list[list[Piece]] = []
    block: list[Piece] = []
    room, left_out = CHUNK, 0
    for piece in _short(pieces):
        budget -= _sent_bytes(piece)
        if budget < 0:
            left_out += len(piece.text)
            continue
        if len(piece.text) > room:
            blocks.append(block)
            block, room = [], CHUNK
        block.append(piece)
        room -= len(piece.text)
    return [*blocks, block] if block else blocks, left_out


def cost(pieces: Iterable[Piece]) -> int:
    """How many bytes of a view's 250 kB the pieces take in :func:`chunks`."""
    return sum(_sent_bytes(piece) for piece in _short(pieces))


def _sent_bytes(piece: Piece) -> int:
    return len(json.dumps(piece.text)) + len('{"type": "text", "text": , "style": {"strike": true}}, ')


def _runs(evidence: Sequence[Evidence], length: int) -> Iterator[tuple[int, int, Polarity]]:
    run: tuple[int, int, Polarity] | None = None
    for item in sorted(evidence, key=lambda item: (item.start, item.end)):
        if not 0 <= item.start < item.end <= length:
            continue
        if run is not None and item.start < run[1]:
            polarity = Polarity.FOR if Polarity.FOR in (run[2], item.polarity) else Polarity.AGAINST
            run = (run[0], max(run[1], item.end), polarity)
            continue
        if run is not None:
            yield run
        run = (item.start, item.end, item.polarity)
    if run is not None:
        yield run


_SHORT = 700


def _short(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces, the long ones split after lines or words, so that blocks fill well."""
    for piece in pieces:
        text, at = piece.text, 0
        while len(text) - at > _SHORT:
            window = text[at : at + _SHORT]
            end = max(window.rfind("\n"), window.rfind(" ")) + 1
            end = end if end > _SHORT // 2 else _SHORT
            yield Piece(text[at : at + end], piece.style)
            at += end
        if text[at:]:
            yield Piece(text[at:], piece.style)
