"""The survey that goes out when a case is concluded: its questions, and what a reply to it answers. Words alone."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Who is asked."""

    REFERRER = "referrer"
    EMPLOYER = "employer"

    @property
    def label(self) -> str:
        return {Role.REFERRER: "The referrer", Role.EMPLOYER: "The employer"}[self]


class Scale(StrEnum):
    """How a question is answered: ``MARK`` from 1 (poor) to 5 (good), ``WORD`` by yes, partly or no."""

    MARK = "mark"
    WORD = "word"


@dataclass(frozen=True, slots=True)
class Question:
    """``words`` stand in the letter as they are, so that an answer beside them is found in whatever comes back."""

    code: str
    words: str
    scale: Scale

    def line(self, number: int) -> str:
        return f"{number}. {self.words}:"

    def is_good(self, answer: str) -> bool:
        return answer in ({"4", "5"} if self.scale is Scale.MARK else {"yes"})


QUESTIONS = (
    Question("reached", "Was it easy to reach us? 1 (hard) to 5 (easy)", Scale.MARK),
    Question("clear", "Was our advice clear? 1 (unclear) to 5 (clear)", Scale.MARK),
    Question("in_time", "Did you hear from us in good time? yes, partly or no", Scale.WORD),
    Question("surer", "Are you surer of what to do next time? yes, partly or no", Scale.WORD),
)
REMARK = "Anything else that you would like to say:"
LINES = tuple(question.line(number) for number, question in enumerate(QUESTIONS, 1))
"""The form, as it stands in the letter."""


MAX_READ = 100_000
"""Characters of a reply that is looked through; a longer one is a message like any other."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a reply says: an answer for each question that has one, and what else was written."""

    answers: Mapping[str, str]
    remark: str


def read(
    full_text: str, letter: Sequence[str], *, body_text: str = "", signature_text: str = "", known: Sequence[str] = ()
) -> Read:
    """The answers in a reply to a survey, wherever they were written: beside the questions, below, or above the letter.

    ``letter`` is its texts, HTML among them. ``full_text`` is all of the reply, with what it quotes; ``body_text`` what its
    reader holds for new in it, which is never taken for a header. What cannot be told for an answer is part of the remark:
    nothing that was written is lost. ``known`` are lines that the writer has signed with before, and their name; of
    ``signature_text``, which is a guess of the reader's, they alone are left out.
    """
    lines = [_MARKS.sub("", line).strip() for line in full_text.splitlines()]
    lines += [line.strip() for line in signature_text.splitlines() if line.strip() not in lines]
    text = "\n".join(lines)
    answers: dict[str, str] = {}
    beside: list[str] = []
    for question, pattern in zip(QUESTIONS, _ASKED, strict=True):
        while (match := pattern.search(text)) is not None:
            said, end = match["said"], match.end()
            answer = _answer(said, question.scale)
            if answer is None and not said.strip(_EMPTY):
                below = _BELOW.match(text, match.end())
                answer = _answer(below["said"], question.scale) if below else None
                end = below.end() if below and answer else end
            elif answer is None and any(other.search(said) for other in _ASKED):
                # All in one line: what follows is the next question, and is looked at in its turn.
                end = match.start("said")
            elif answer is None:
                beside.append(said.strip())
            if answer is not None:
                answers.setdefault(question.code, answer)
            text = text[: match.start()] + "\n" + text[end:]
    text = _REMARK.sub("\n", text)
    signed = {line.strip() for line in known}
    beside += _unknown(text, letter, answers, f"{body_text}\n{signature_text}", signed)
    return Read(answers, "\n".join(beside).strip())


def is_subject_of(letter: str, reply: str) -> bool:
    """Whether a reply's subject is the letter's, with no more before it than replying and forwarding put there."""
    before, there, after = " ".join(reply.split()).rpartition(" ".join(letter.split()))
    return bool(there) and not after and _ANSWERED.fullmatch(before) is not None


_ANSWERED = re.compile(r"(?i)(?:(?:re|aw|sv|vs|antw|antwort|fwd?|wg|tr|rv)(?:\[\d{1,3}\])? ?: ?){0,20}")


def _unknown(
    text: str, letter: Sequence[str], answers: dict[str, str], new_text: str, signed: Collection[str]
) -> Iterator[str]:
    """The lines that are neither answers nor ours. Answers that stand by their number alone are taken on the way."""
    ours = [_stream(text) for text in letter]
    new = {line.strip() for line in new_text.splitlines()}
    for line in text.splitlines():
        words = _WORD.findall(line.lower())
        if not words:
            continue
        numbered = _NUMBERED.fullmatch(line)
        if numbered is not None:
            question = QUESTIONS[int(numbered["number"]) - 1]
            answer = _answer(numbered["said"], question.scale)
            if answer is not None:
                answers.setdefault(question.code, answer)
                continue
        is_new = line in new
        if line in signed or _FAREWELL.fullmatch(line):
            continue
        if not is_new and _HISTORY.fullmatch(line):
            continue
        run = " " + " ".join(words) + " "
        # Few words of somebody's own may stand in our letter too; many in the same order do not.
        if any(run in one for one in ours) and (not is_new or len(words) >= _RUN):
            continue
        yield line


def _answer(said: str, scale: Scale) -> str | None:
    """What an answer means, or None: what says two things, or something else besides, is not guessed at."""
    words = _WORD.findall(said.lower().replace("/5", " ").replace("out of 5", " "))
    known = _MEANT[scale]
    if words and words[0] in known and all(word in _BESIDES for word in words[1:]):
        return known[words[0]]
    return None


_MEANT: Mapping[Scale, Mapping[str, str]] = {
    Scale.MARK: {str(mark): str(mark) for mark in range(1, 6)}
    | {"one": "1", "two": "2", "three": "3", "four": "4", "five": "5"},
    Scale.WORD: {"yes": "yes", "y": "yes", "yep": "yes", "no": "no", "n": "no", "nope": "no"}
    | {"partly": "partly", "partially": "partly", "p": "partly", "somewhat": "partly"},
}
_BESIDES = frozenset({"thanks", "thank", "you", "please", "very", "much"})
_EMPTY = " \t.:_-*[]()…"
_RUN = 4
_WORD = re.compile(r"\w+")
_MARKS = re.compile(r"^\s{0,3}(?:[>＞|]\s?){0,20}")
_TAGS = re.compile(r"(?s)<[^>]*>")
_NUMBERED = re.compile(r"\s*\(?[Qq]?(?P<number>[1-4])\s{0,3}[.):=\s-]\s{0,3}(?P<said>\S.{0,60})")
_BELOW = re.compile(r"(?:[ \t]*\n){1,3}(?P<said>[^\n]{1,40})(?=\n|$)")
_FAREWELL = re.compile(
    r"(?i)(?:(?:many |with )?(?:thanks|thank you|(?:kind(?:est)? |best |warm )?(?:regards|wishes))|yours sincerely)"
    r"[,.!]?|sent from my \w+(?: \w+)?\.?"
)
_HISTORY = re.compile(
    r"(?i)\*?(?:from|sent|date|to|cc|subject|reply-to|importance)\*?:.{0,400}|on .{1,200}\bwrote:|"
    r".{0,120}>\s*wrote:|-{2,}.{0,40}-{2,}"
)


def _pattern(number: int, question: Question) -> re.Pattern[str]:
    """The question as it stands in a reply, folded as it may be; its number may be lost, as in a list of HTML."""
    words = r"\W{1,8}".join(map(re.escape, _WORD.findall(question.words)))
    return re.compile(rf"(?i)(?:\b{number}\b\W{{0,4}})?\b{words}\b[ \t.:)*_]*(?P<said>[^\n]*)")


_ASKED = tuple(_pattern(number, question) for number, question in enumerate(QUESTIONS, 1))
_REMARK = re.compile(r"(?i)" + r"\W{1,8}".join(map(re.escape, _WORD.findall(REMARK))) + r"[ \t:*_]*")


def _stream(text: str) -> str:
    return " " + " ".join(_WORD.findall(html.unescape(_TAGS.sub(" ", text)).lower())) + " "


def said(answers: Mapping[str, str]) -> Sequence[str]:
    """Each answer beside its question, for one officer's eyes."""
    return [f"{question.words}: {answers[question.code]}" for question in QUESTIONS if question.code in answers]
