"""New words and old: what the writer wrote this time, apart from the history that a mail program put under it.

Losing words of an account is the dangerous fault, keeping a stray quotation the lesser one. So introductions to history
(:mod:`~intake_bot.mail.introductions`) and marks of quotation only *propose* where history begins; guards decide. The
guards, and what they cost, are in ``docs/new-words.md``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from intake_bot.mail import introductions
from intake_bot.mail.introductions import Introduction, is_rule, tidy
from intake_bot.mail.signatures import is_only_signature, split_signature, without_banner
from intake_bot.mail.text import HISTORY_BEGINS, SIGNATURE_BEGINS, SIGNATURE_ENDS, words

# A reply's subject in the languages that mail programs speak; counters such as "Re[2]:" included, and what gateways
# put before.
_TAGS = r"(?i)\s*(?:\[[^\]]{1,40}\]\s*|\(?external\)?\s*[:\s]\s*|\*{2,3}[^*]{1,30}\*{2,3}\s*)?"
_COUNTER = r"\s*(?:\[\d+\]|\(\d+\)|\^\d+)?\s*[:：]"
_REPLY_SUBJECT = re.compile(
    rf"{_TAGS}(?:re|aw|sv|vs|antw|antwort|rif|res|resp|r|odp|ynt|yan|atb|ad|vá|hv|bls|σχετ|απ|отв|на|תשובה|השב|"
    rf"رد|回复|答复|回覆|返信|회신|trả lời){_COUNTER}"
)
_FORWARD_SUBJECT = re.compile(
    rf"{_TAGS}(?:fwd?|wg|tr|rv|enc|doorst|i|pd|vl|vb|vs:? fw|videresendt|ymlaen|fs|továbbítás|ilt|i̇lt|пересл|πρθ|"
    rf"הועבר|إعادة توجيه|转发|轉寄|転送|전달|inoltra|trs|fyi){_COUNTER}"
)
_QUOTED = re.compile(r"^\s{0,2}(?:[>＞](?!From )|\|(?!.*\|\s*$))")
_QUOTE_MARKS = re.compile(r"^[\s>＞|]{1,40}")
# "see my answers below", "in red": what was written stands in what would be taken off.
_POINTS_BELOW = re.compile(
    r"(?i)\b(?:see|answers?|repl(?:y|ies)|respon(?:se|ses|ded)|comments?|notes?|e-?mails?|messages?|mail|thread|"
    r"chain|trail|correspondence|questions?|added|set out|listed|details?|attached|find|mentioned|shown|copied|"
    r"pasted|written|as|from)\W{1,3}(?:\w+\W{1,3}){0,4}?(?:below|beneath|underneath)\b|\bbelow[:.]?\s*$|"
    r"^\s*(?:as )?below\b|(?<!look )(?<!looking )(?<!looks )\bforward(?:ing|ed)?\b(?! to (?:hear|see|meet|speak|your|"
    r"receiv|working|the))|\bfyi\b|\bf\.y\.i|\bin (?:red|blue|green|purple|capitals|bold|colou?r)\b|\bin-?line\b|"
    r"\bsee (?:my|our|the) (?:answers|replies|responses|comments)\b|\b(?:with)?in (?:the text|your e-?mail|"
    r"your message)\b|\b(?:beside|next to|under|after|against) each\b|"
    r"\bsiehe unten|\bci-dessous|\bmás abajo|\bzie (?:hieronder|onder)|\bqui sotto|\bse nedan|\bse nedenfor|\bisod\b",
    re.MULTILINE,
)

# Nobody writes a longer text, and if somebody did, nothing is taken off it.
_MAX_TEXT = 500_000
_MAX_TRIGGERS = 400
_MAX_LINES_LOOKED_AT = 20_000
_POINTER_WORDS = 80
_HINTS = {HISTORY_BEGINS, SIGNATURE_BEGINS, SIGNATURE_ENDS}


@dataclass(frozen=True, slots=True)
class NewWords:
    """``text`` is what the writer wrote this time, ``signature`` what was taken off its end as no words of this message.

    ``whole``: nothing was taken off at all.
    """

    text: str
    signature: str
    whole: bool


@dataclass(frozen=True, slots=True)
class _Body:
    """Lines without hints, and what the hints said: where history is introduced, which lines are a signature."""

    lines: list[str]
    introduced: frozenset[int]
    signature: frozenset[int]
    quoted: frozenset[int]


def is_reply_subject(subject: str) -> bool:
    """Whether the subject begins as replies do ("Re:", "AW:", "SV:" …)."""
    return bool(_REPLY_SUBJECT.match(subject))


def is_forward_subject(subject: str) -> bool:
    """Whether the subject begins as forwards do ("Fw:", "WG:", "TR:" …)."""
    return bool(_FORWARD_SUBJECT.match(subject))


def new_words(
    text: str, *, answers: bool, forwards: bool, written_to: Collection[str] = (), writer: str = ""
) -> NewWords:
    """What the writer wrote this time. ``text`` has ``\\n`` line ends and its quoted lines behind ``>``; where it was HTML,
    the hints of :mod:`~intake_bot.mail.text` stand on lines of their own.

    ``answers``: the message is a reply by its headers or subject; ``forwards``: by its subject it is a forward, which
    keeps what it forwards. ``written_to`` are the addresses that the message went to: history written by one of them
    makes it an answer, whatever its headers say. History without quotation marks is taken off only from an answer.
    Answers between quoted lines keep the lines that they answer. Where taking off would leave nothing, or only a
    pointer to what lies below, nothing is taken off.
    """
    if len(text) > _MAX_TEXT:
        return NewWords("\n".join(line for line in text.split("\n") if line not in _HINTS), "", whole=True)
    body = _body(text)
    everything = "\n".join(body.lines)
    if forwards:
        return NewWords(everything, "", whole=True)
    history = _history(body, answers=answers, written_to=written_to)
    if history is not None and history.kind == "forward":
        return NewWords(everything, "", whole=True)
    answers = answers or (history is not None and _is_by(history, written_to))
    kept = without_banner(_unquoted(body, history, answers=answers))
    marked = _still_there(body, kept)
    kept, taken = split_signature(kept, marked=marked, contact_blocks=answers, writer=writer)
    shorter = "\n".join(kept).strip("\n")
    if not words(shorter) or shorter == everything.strip("\n"):
        return NewWords(everything, "", whole=True)
    left = len(words(shorter))
    took_history = left + len(words("\n".join(taken))) < len(words(everything))
    if took_history and ((not answers and left < 6) or (left < _POINTER_WORDS and _POINTS_BELOW.search(shorter))):
        return NewWords(everything, "", whole=True)
    return NewWords(shorter, "\n".join(taken), whole=False)


def _body(text: str) -> _Body:
    lines: list[str] = []
    introduced: set[int] = set()
    signature: set[int] = set()
    inside = 0
    for line in text.split("\n"):
        if line in _HINTS:
            if line == HISTORY_BEGINS:
                introduced.add(len(lines))
            inside = max(0, inside + (line == SIGNATURE_BEGINS) - (line == SIGNATURE_ENDS))
            continue
        if inside:
            signature.add(len(lines))
        lines.append(line)
    quoted = frozenset(
        number
        for number, line in enumerate(lines)
        if _QUOTED.match(line[:200]) and not (line.startswith(">>>") and line.rstrip().endswith(">>>"))
    )
    return _Body(lines, frozenset(introduced), frozenset(signature), quoted)


def _still_there(body: _Body, kept: list[str]) -> set[int]:
    """The numbers of signature lines among those kept: all that was taken off before stood at either end."""
    if not body.signature or not kept:
        return set()
    start = 0
    while start < len(body.lines) and body.lines[start] != kept[0]:
        start += 1
    return {number - start for number in body.signature if 0 <= number - start < len(kept)}


def _history(body: _Body, *, answers: bool, written_to: Collection[str]) -> Introduction | None:
    """The first introduction to history that passes the guards."""
    lines = body.lines
    for number in _worth_a_look(body):
        found = None
        if number in body.introduced:
            found = introductions.hinted(lines, number, body.quoted)
        if found is None and number not in body.quoted:
            found = introductions.at(lines, number)
        if found is None or found.kind in {"forward", "request"}:
            if found is not None:
                return found
            continue
        by_us = _is_by(found, written_to)
        if not by_us and _is_introduced(lines, found.start):
            continue  # "A parent sent us this:"
        is_answer = answers or by_us
        if found.kind == "block":
            # Headers of another message in a message that answers none: it is forwarded, or pasted as evidence.
            return found if is_answer else Introduction(found.start, found.end, "forward")
        marked_below = next((n in body.quoted for n in range(found.end, len(lines)) if lines[n].strip()), None)
        if marked_below and (found.certain or is_answer):
            return found
        # An attribution with nothing under it at all is one too: some programs cut the old message off.
        if found.certain and is_answer:
            return found
        if found.certain and number in body.introduced:
            return found
    return None


def _worth_a_look(body: _Body) -> Iterator[int]:
    """The few lines that are worth a closer look: patterns with wildcards are never run over a whole message."""
    seen = 0
    for number, line in enumerate(body.lines[:_MAX_LINES_LOOKED_AT]):
        if number not in body.introduced and (number in body.quoted or not introductions.is_worth_a_look(line)):
            continue
        seen += 1
        if seen > _MAX_TRIGGERS:
            return
        yield number


def _is_introduced(lines: list[str], number: int) -> bool:
    """Whether the writer's last line above ends with a colon, as what introduces evidence does."""
    above = next(
        (line for line in reversed(lines[max(0, number - 6) : number]) if tidy(line) and not is_rule(line)), ""
    )
    return tidy(above).endswith((":", "：")) and len(above.split()) >= 3


def _is_by(found: Introduction, written_to: Collection[str]) -> bool:
    author = found.author.casefold()
    return any(address and address.casefold() in author for address in written_to)


def _unquoted(body: _Body, history: Introduction | None, *, answers: bool) -> list[str]:
    """The lines left when history is taken off, those of its introduction included."""
    lines = body.lines
    if history is not None and history.kind in {"block", "request"}:
        return _trimmed(lines[: history.start])
    start = history.end if history else 0
    runs = _quoted_runs(body, start)
    if history is not None and (not runs or any(line.strip() for line in lines[start : runs[0][0]])):
        # Nothing is marked as quoted right under the introduction: everything under it is the old message.
        hinted = history.start in body.introduced
        return _trimmed(lines[: history.start]) if answers or hinted else lines
    if not runs or (history is None and not answers):
        return lines
    if history is None and _is_evidence(lines, runs):
        return lines
    return _without_runs(lines, runs, history)


def _is_evidence(lines: list[str], runs: list[tuple[int, int]]) -> bool:
    """Whether the writer introduces what is quoted, and no program does inside the quotation."""
    above = next((line for line in reversed(lines[: runs[0][0]]) if line.strip()), "")
    if not above.rstrip().endswith((":", "：")):
        return False
    inside = [_QUOTE_MARKS.sub("", line) for line in lines[runs[0][0] : runs[0][1]]][:20]
    return not any(introductions.at(inside, number) for number in range(min(6, len(inside))))


def _without_runs(lines: list[str], runs: list[tuple[int, int]], history: Introduction | None) -> list[str]:
    """The lines without those marked as quoted, as far as nothing was written between them."""
    first = history.start if history else runs[0][0]
    # What was broken off a quoted line is part of its run.
    quoted = {number for start, end in runs for number in range(start, end)}
    after = [lines[number] for number in range(runs[0][1], len(lines)) if number not in quoted]
    if is_only_signature(after):
        return _trimmed(lines[:first]) if any(line.strip() for line in lines[:first]) else lines
    if len(runs) == 1 and (history is not None or not any(line.strip() for line in lines[:first])):
        # One block on top and the answer under it, the oldest way of all.
        return lines[:first] + lines[runs[0][1] :]
    # Answers between quoted lines: all stays up to the last answer, for an answer means little without its question.
    last_start, last_end = runs[-1]
    return lines[:last_start] if is_only_signature(lines[last_end:]) else lines


def _trimmed(lines: list[str]) -> list[str]:
    """Without the rule and the blank lines that programs draw above history."""
    lines = list(lines)
    while lines and (not tidy(lines[-1]) or is_rule(lines[-1])):
        lines.pop()
    return lines


def _quoted_runs(body: _Body, start: int) -> list[tuple[int, int]]:
    """The stretches of quoted lines as half-open ranges: blank lines between two quoted ones included, and what a program
    broke off a long quoted line.
    """
    runs: list[tuple[int, int]] = []
    apart = True
    for number in range(start, len(body.lines)):
        if number not in body.quoted:
            apart = apart or bool(body.lines[number].strip() and not _is_broken_off(body, number))
            continue
        if runs and not apart:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
        apart = False
    return runs


def _is_broken_off(body: _Body, number: int) -> bool:
    """Whether the line is the end of the quoted line above it, which was too long for some program on the way."""
    if number - 1 not in body.quoted or number + 1 not in body.quoted:
        return False
    above, line = body.lines[number - 1].rstrip(), body.lines[number].strip()
    return len(above) >= 66 and above[-1] not in ".?!:" and line[:1].islower() and len(line.split()) <= 5
