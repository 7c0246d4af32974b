"""New words and old: what the writer wrote this time, apart from the history that a mail program put under it.

Losing words of an account is the dangerous fault, keeping a stray quotation the lesser one. So introductions to history
(:mod:`~intake_bot.mail.introductions`) and marks of quotation only *propose* where history begins; guards decide. The
guards, and what they cost, are in ``docs/new-words.md``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from intake_bot.mail import introductions
from intake_bot.mail.addresses import without_tag
from intake_bot.mail.introductions import ADDRESS, MAX_LINE, Introduction, is_rule, tidy
from intake_bot.mail.own_letters import filled_in, without_marks, written_into
from intake_bot.mail.signatures import is_only_signature, split_signature, without_banner
from intake_bot.mail.text import COLOURED, HISTORY_BEGINS, SIGNATURE_BEGINS, SIGNATURE_ENDS, words

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

# "Copying in the designated officer": what lies below by somebody else is sent along on purpose.
_BRINGS_IN = re.compile(
    r"(?i)\b(?:copy|copying|copied|loop|looping|looped) (?:\w+ ){0,5}?in\b|\bcc['’]?(?:ing|d|ed)\b|"
    r"\badding (?:in )?(?:the|our|you|lado)\b|\b(?:trail|thread|exchange) (?:for|so that)\b|\bfor advice\b"
)
_WRITER_MARK = re.compile(r"\[([^\[\]\n]{2,60})\]")

# Nobody writes a longer text, and if somebody did, nothing is taken off it.
_MAX_TEXT = 500_000
_MAX_TRIGGERS = 400
_MAX_LINES_LOOKED_AT = 20_000
_POINTER_WORDS = 80
_HINTS = {HISTORY_BEGINS, SIGNATURE_BEGINS, SIGNATURE_ENDS, COLOURED}


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
    """Lines without hints, and what the hints said: where history is introduced, which lines are signature, or coloured."""

    lines: list[str]
    introduced: frozenset[int]
    signature: frozenset[int]
    quoted: frozenset[int]
    coloured: frozenset[int]


def is_reply_subject(subject: str) -> bool:
    """Whether the subject begins as replies do ("Re:", "AW:", "SV:" …)."""
    return bool(_REPLY_SUBJECT.match(subject))


def is_forward_subject(subject: str) -> bool:
    """Whether the subject begins as forwards do ("Fw:", "WG:", "TR:" …)."""
    return bool(_FORWARD_SUBJECT.match(subject))


@dataclass(frozen=True, slots=True)
class Correspondents:
    """Who writes to whom: the addresses that the message went to, those that are ``ours``, and the message's writer.

    ``letters`` are the templates of our own letters, where an authority has replaced them.
    """

    written_to: Collection[str] = ()
    ours: Collection[str] = ()
    writer: str = ""
    writer_address: str = ""
    letters: Sequence[str] = ()


_NOBODY = Correspondents()


def new_words(text: str, *, answers: bool, forwards: bool, people: Correspondents = _NOBODY) -> NewWords:
    """What the writer wrote this time. ``text`` has ``\\n`` line ends and its quoted lines behind ``>``; where it was HTML,
    the hints of :mod:`~intake_bot.mail.text` stand on lines of their own.

    ``answers``: the message is a reply by its headers or subject; ``forwards``: by its subject it is a forward, which
    keeps what it forwards. History written by one of ``people`` whom the message went to makes it an answer, whatever
    its headers say. History without quotation marks is taken off only from an answer. Answers between quoted lines keep
    the lines that they answer; what was filled into our own letter is put after the other words. Where taking off would
    leave nothing, or only a pointer to what lies below, nothing is taken off.
    """
    if len(text) > _MAX_TEXT:
        return NewWords("\n".join(line for line in text.split("\n") if line not in _HINTS), "", whole=True)
    body = _body(text)
    everything = "\n".join(body.lines)
    if forwards:
        return NewWords(everything, "", whole=True)
    history = _history(body, answers=answers, people=people)
    if history is not None and history.kind == "forward":
        return NewWords(everything, "", whole=True)
    answers = answers or (history is not None and _is_by(history, people))
    within = _within(body, history, people)
    unquoted = body.lines[: within.through] if within.through else _unquoted(body, history, answers=answers)
    if within.complete and within.lines and history is not None and _keeps_quotations(body, unquoted):
        unquoted = _trimmed(body.lines[: history.start])
    kept = without_banner(unquoted)
    marked = _still_there(body, kept)
    kept, taken = split_signature(kept, marked=marked, contact_blocks=answers, writer=people.writer)
    known = set(without_marks(kept))
    added = [line for line in within.lines if not line or line not in known]
    shorter = "\n\n".join(filter(None, ("\n".join(kept).strip("\n"), "\n".join(added).strip("\n"))))
    if not words(shorter) or shorter == everything.strip("\n"):
        return NewWords(everything, "", whole=True)
    left = len(words(shorter))
    took_history = left + len(words("\n".join(taken))) < len(words(everything))
    points_below = left < _POINTER_WORDS and _points_below(shorter, history, people)
    if took_history and ((not answers and left < 6) or (points_below and not (within.complete and any(added)))):
        return NewWords(everything, "", whole=True)
    return NewWords(shorter, "\n".join(taken), whole=False)


def _keeps_quotations(body: _Body, kept: list[str]) -> bool:
    quoted = {body.lines[number] for number in body.quoted if words(body.lines[number])}
    return not quoted.isdisjoint(kept)


def _points_below(shorter: str, history: Introduction | None, people: Correspondents) -> bool:
    if _POINTS_BELOW.search(shorter):
        return True
    return history is not None and _is_by_others(history, people) and bool(_BRINGS_IN.search(shorter))


@dataclass(frozen=True, slots=True)
class _Within:
    """What was written into the first letter of the history: ``lines`` to put after the other words, or all ``through`` a
    line. ``complete``: the letter is ours word for word, and nothing lies under it, so nothing else was written there.
    """

    lines: tuple[str, ...] = ()
    through: int = 0
    complete: bool = False


def _within(body: _Body, history: Introduction | None, people: Correspondents) -> _Within:
    lines = body.lines
    if history is None and not body.quoted:
        return _Within()
    bare = without_marks(lines)
    if history is None:
        # Apple Mail puts "On … wrote:" inside the quotation.
        first = min(body.quoted)
        inside = (introductions.at(bare, number) for number in range(first, min(len(lines), first + 6)))
        history = next(filter(None, inside), None)
    start = history.end if history is not None else min(body.quoted)
    end = next((n for n in _worth_a_look(body) if n > start and _is_older(lines, n)), len(lines))
    letter = bare[start:end]
    letter = letter[len(letter) - len(without_banner(letter)) :]
    start = end - len(letter)
    found = written_into(letter, people.letters)
    if found is not None:
        # Gateways put their disclaimers under letters of ours too.
        written = split_signature(["x", "", *_with_gaps(letter, found)])[0][2:]
        return _Within(tuple(written), complete=end == len(lines))
    through = _marked_through(body, history, (start, end), people) if history is not None else 0
    if through or history is None or not _is_by_us(history, people):
        return _Within(through=through)
    return _Within(tuple(letter[number] for number in filled_in(letter)))


def _with_gaps(lines: list[str], chosen: list[int]) -> list[str]:
    """The chosen lines, with a blank one between two where the text has no others but such between them."""
    shown: list[str] = []
    for place, number in enumerate(chosen):
        between = lines[chosen[place - 1] + 1 : number] if place else []
        shown += [""] if between and not any(line.strip() for line in between) else []
        shown.append(lines[number])
    return shown


def _is_older(lines: list[str], number: int) -> bool:
    found = introductions.at(lines, number)
    return found is not None and found.certain


def _marked_through(body: _Body, history: Introduction, letter: tuple[int, int], people: Correspondents) -> int:
    """Up to where all stays because answers in the old letter bear the writer's name, as "[Jane Archer] On Friday",
    or a letter of ours has words in colour: we write none.
    """
    name = set(words(people.writer))
    by_us = _is_by_us(history, people)
    last = 0
    for number in range(*letter):
        marks = (set(words(mark)) for mark in _WRITER_MARK.findall(body.lines[number][:MAX_LINE]))
        if (by_us and number in body.coloured) or any(mark and mark <= name for mark in marks):
            last = number + 1
    while last and last < letter[1] and body.lines[last].strip():
        last += 1
    return last


def _body(text: str) -> _Body:
    lines: list[str] = []
    introduced: set[int] = set()
    signature: set[int] = set()
    coloured: set[int] = set()
    inside = 0
    for line in text.split("\n"):
        if line in _HINTS:
            if line == HISTORY_BEGINS:
                introduced.add(len(lines))
            elif line == COLOURED:
                coloured.add(len(lines))
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
    return _Body(lines, frozenset(introduced), frozenset(signature), quoted, frozenset(coloured))


def _still_there(body: _Body, kept: list[str]) -> set[int]:
    """The numbers of signature lines among those kept: all that was taken off before stood at either end."""
    if not body.signature or not kept:
        return set()
    start = 0
    while start < len(body.lines) and body.lines[start] != kept[0]:
        start += 1
    return {number - start for number in body.signature if 0 <= number - start < len(kept)}


def _history(body: _Body, *, answers: bool, people: Correspondents) -> Introduction | None:
    """The first introduction to history that passes the guards."""
    lines = body.lines
    passed_on: Introduction | None = None
    passed_over = 0
    for number in _worth_a_look(body):
        if number < passed_over:
            continue
        found = None
        if number in body.introduced:
            found = introductions.hinted(lines, number, body.quoted)
        if found is None and number not in body.quoted:
            found = introductions.at(lines, number)
        if found is None or found.kind in {"forward", "request"}:
            if found is not None:
                return found
            continue
        by_us = _is_by(found, people)
        is_answer = answers or by_us
        # Under what is passed on, only a letter of ours is history: the rest we have not had.
        is_evidence = (passed_on is not None and not _is_by_us(found, people)) or (
            found.kind == "block" and number not in body.introduced and _is_a_form(found, people)
        )
        if is_evidence or (not by_us and _is_introduced(lines, found.start)):
            # "A parent sent us this:"; its later fields might look like the beginning of another block.
            passed_over = found.end
            continue
        if found.kind == "block" and is_answer and _is_passed_on(found, people):
            passed_on, passed_over = passed_on or found, found.end
            continue
        if found.kind == "block":
            # Headers of another message in a message that answers none: it is forwarded, or pasted as evidence.
            return found if is_answer else Introduction(found.start, found.end, "forward")
        if _begins_history(body, found, number, is_answer=is_answer):
            return found
    return Introduction(passed_on.start, passed_on.end, "forward") if passed_on is not None else None


def _begins_history(body: _Body, found: Introduction, number: int, *, is_answer: bool) -> bool:
    """Whether an attribution does. With nothing under it at all it does too: some programs cut the old message off."""
    marked_below = next((n in body.quoted for n in range(found.end, len(body.lines)) if body.lines[n].strip()), False)
    if found.certain:
        return is_answer or number in body.introduced or marked_below
    return is_answer and marked_below


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


def _is_by(found: Introduction, people: Correspondents) -> bool:
    """Whether the old letter is by somebody whom this one goes to."""
    author = found.author.casefold()
    return _is_by_us(found, people) or any(address and address.casefold() in author for address in people.written_to)


def _is_by_us(found: Introduction, people: Correspondents) -> bool:
    return any(_is_ours(address, people) for address in ADDRESS.findall(found.author))


def _is_by_others(found: Introduction, people: Correspondents) -> bool:
    return bool(ADDRESS.search(found.author)) and not _is_by(found, people)


def _is_ours(address: str, people: Correspondents) -> bool:
    return without_tag(_bare(address)) in {without_tag(own) for own in people.ours}


def _bare(address: str) -> str:
    return address.removeprefix("mailto:").strip("<>[](),;:'\"").casefold()


def _is_a_form(found: Introduction, people: Correspondents) -> bool:
    """Whether fields without any address name the writer as From: no program shows somebody's own letter so."""
    name = set(words(people.writer))
    return bool(name) and not ADDRESS.search(f"{found.author} {found.readers}") and name <= set(words(found.author))


def _is_passed_on(found: Introduction, people: Correspondents) -> bool:
    """Whether the old letter is by somebody else to the writer, and neither to nor from us: then we have not had it."""
    if not _is_by_others(found, people) or not people.ours:
        return False
    authors = [_bare(address) for address in ADDRESS.findall(found.author)]
    readers = [_bare(address) for address in ADDRESS.findall(found.readers)]
    if people.writer_address.casefold() in authors or any(_is_ours(reader, people) for reader in readers):
        return False
    domain = people.writer_address.casefold().rpartition("@")[2]
    name = set(words(people.writer))
    named = len(name) > 1 and name <= set(words(found.readers))
    return named or (bool(domain) and any(reader.endswith(f"@{domain}") for reader in readers))


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
