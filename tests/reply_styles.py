"""Replies in the styles of many mail programs, each with the words that its writer wrote: made from ``corpus/styles``.

Introductions and frames are each put round texts taken in turn, so that a style is seen with short and with long ones; whole
messages come as they stand. All of them go through as messages with headers, as the mail edge reads them.
"""

from __future__ import annotations

import html
import itertools
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from intake_bot.mail.text import words

STYLES = Path(__file__).parent / "corpus" / "styles"
ADDRESS = "lado@council.example"


@dataclass(frozen=True, slots=True)
class Sample:
    """One message. ``text`` is its body as sent; ``new`` what the writer wrote this time."""

    name: str
    text: str
    new: str
    is_html: bool = False
    answers: bool = True
    subject: str = "Re: Your enquiry"
    held_out: bool = False
    must: bool = False

    def raw(self) -> bytes:
        """The message as it comes over SMTP."""
        message = EmailMessage(policy=SMTP.clone(max_line_length=990))
        message["From"] = "Jane Archer <head@oakfield.example>"
        message["To"] = ADDRESS
        message["Subject"] = self.subject if self.answers else self.subject.removeprefix("Re: ")
        message["Message-ID"] = "<sample@oakfield.example>"
        if self.answers:
            message["In-Reply-To"] = "<ack1@council.example>"
        message.set_content(self.text + "\n", subtype="html" if self.is_html else "plain", cte="8bit")
        return message.as_bytes()


@dataclass(frozen=True, slots=True)
class Score:
    """How a text taken for the new words compares with them, as shares of words."""

    exact: bool
    lost: float
    kept: float

    @property
    def told_apart(self) -> bool:
        """At most a tenth of the new words lost and at most a tenth of the old kept."""
        return self.lost <= 0.1 and self.kept <= 0.1


def score(found: str, new: str, everything: str) -> Score:
    """``found`` against ``new``; the old words are those of ``everything`` that are not new."""
    ours, theirs = Counter(words(found)), Counter(words(new))
    old = Counter(words(everything)) - theirs
    return Score(
        exact=" ".join(found.split()) == " ".join(new.split()),
        lost=(theirs - ours).total() / max(1, theirs.total()),
        kept=((ours - theirs) & old).total() / max(1, old.total()),
    )


def samples() -> list[Sample]:
    """All of them, the same each time."""
    return [*_introduced(), *_framed(), *_whole()]


def _introduced() -> Iterator[Sample]:
    turn = _texts()
    styles = _load("introductions")
    for kind, is_block in (("attribution", False), ("block", True)):
        for style in styles[kind]:
            follows = str(style.get("follows", "marked" if style.get("marked") else "bare"))
            lines = style["lines"].replace("{a}", ADDRESS)
            for mode in ("marked", "bare", "html") if follows == "both" else (follows,):
                new, old = next(turn)
                name = f"{style['program']}, {style['language']}, {mode}"
                if mode == "html":
                    quotation = f'<blockquote type="cite">{_html(old)}</blockquote>'
                    text = f"<div>{_html(new)}</div><br><div>{_html(lines)}</div>{quotation}"
                else:
                    gap = "\n" if mode == "marked" and not is_block else "\n\n"
                    gap = "\n" if lines.endswith("\n>") else gap
                    text = f"{new}\n\n{lines}{gap}{_marked(old) if mode == 'marked' else old}"
                yield Sample(name, text, new, is_html=mode == "html", held_out=style.get("held_out", False))


def _framed() -> Iterator[Sample]:
    turn = _texts()
    for style, length in itertools.product(_load("frames")["frame"], (0, 1)):
        new, old = next(turn)
        fields = {
            "{new}": new,
            "{old}": old,
            "{quoted}": _marked(old),
            "{piped}": _marked(old, "| "),
            "{new_html}": _html(new),
            "{old_html}": _html(old),
            "{a}": ADDRESS,
        }
        text = style["frame"].strip("\n")
        for field, value in fields.items():
            text = text.replace(field, value)
        closing = style.get("closing")
        yield Sample(
            f"{style['program']}, {'html' if style.get('html') else 'text'}, {length + 1}",
            text,
            f"{new}\n\n{closing}" if closing else new,
            is_html=style.get("html", False),
            held_out=style.get("held_out", False),
        )


def _whole() -> Iterator[Sample]:
    for message in _load("messages")["message"]:
        text = message["text"].strip("\n")
        yield Sample(
            message["name"],
            text,
            message.get("new", text).strip("\n"),
            answers=message.get("answers", True),
            subject=message.get("subject", "Re: Your enquiry"),
            must=message.get("must", False),
        )


def _texts() -> Iterator[tuple[str, str]]:
    """Pairs of new and old, in turn: the two lists have no common divisor, so that each new text meets each old one."""
    texts = _load("texts")
    new, old = ([text.strip("\n") for text in texts[name].values()] for name in ("new", "old"))
    return zip(itertools.cycle(new), itertools.cycle(old), strict=False)


def _load(name: str) -> dict:
    return tomllib.loads((STYLES / f"{name}.toml").read_text(encoding="utf-8"))


def _marked(text: str, mark: str = "> ") -> str:
    return "\n".join(f"{mark}{line}".rstrip() for line in text.split("\n"))


def _html(text: str) -> str:
    return html.escape(text, quote=False).replace("\n", "<br>\n")
