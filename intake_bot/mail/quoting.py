"""New words and old: what the writer wrote this time, apart from the history that a mail program put under it.

Losing words of an account is the dangerous fault, keeping a stray quotation the lesser one. So two libraries and a few
patterns of our own only *propose* where history begins; a proposal counts when guards agree that it looks like what a
program writes, not like what a person writes. Only the header patterns of mail-parser-reply are used: its signature
rules cut at the first line that begins with "Thanks," or with a hyphen, and the account often follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from intake_bot.mail.text import words

# A reply's subject in the languages that mail programs speak; counters such as "Re[2]:" included.
_REPLY_SUBJECT = re.compile(
    r"(?i)\s*(?:\[[^\]]{1,40}\]\s*)?(?:re|aw|sv|vs|antw|antwort|rif|res|odp|ynt|atb|ad|vá|hv|回复|答复|回覆)\s*(?:\[\d+\]|\(\d+\))?\s*[:：]"
)
_FORWARD_SUBJECT = re.compile(
    r"(?i)\s*(?:\[[^\]]{1,40}\]\s*)?(?:fwd?|wg|tr|rv|enc|doorst|i|pd|vl|vb|videresendt|ymlaen|转发|轉寄)\s*(?:\[\d+\]|\(\d+\))?\s*[:：]"
)

_FORWARD_LINE = re.compile(
    r"(?i)^[>\s]*(?:-{2,}\s*)?(?:begin forwarded message|forwarded message(?: from [^\n]{1,100})?|"
    r"anfang der weitergeleiteten (?:e-mail|nachricht)|weitergeleitete nachricht|début du message réexpédié|"
    r"message transféré|message réexpédié|mensaje reenviado|inicio del mensaje reenviado|messaggio inoltrato|"
    r"doorgestuurd bericht|begin doorgestuurd bericht|vidarebefordrat meddelande|mensagem encaminhada|"
    r"neges a anfonwyd ymlaen)\s*(?::|-{2,})\s*:?\s*$"
)
_ORIGINAL_LINE = re.compile(
    r"(?i)^[>\s]*-{2,}\s*(?:original (?:message|appointment)|ursprüngliche nachricht|message d'origine|"
    r"mensaje original|messaggio originale|oorspronkelijk bericht|mensagem original|"
    r"neges wreiddiol|reply message)\s*-{2,}\s*$"
)
_SEPARATOR = re.compile(r"^[\s>]*(?:[_*=-]\s?){5,}$")
_FROM = r"from|von|de|da|van|od|från|fra|oddi wrth|发件人|보낸 사람"
_BLOCK_FIELD = re.compile(
    rf"(?i)^[>\s*]*(?P<name>{_FROM}|sent|date|to|subject|cc|gesendet|datum|an|betreff|envoyé|à|objet|enviado(?: el)?|para|"
    r"asunto|fecha|inviato|a|oggetto|data|verzonden|aan|onderwerp|wysłano|do|temat|skickat|till|ämne|sendt|til|emne|"
    r"anfonwyd|at|pwnc|reply-to|importance|organization|发送时间|收件人|主题)\s?\*?\s?[:：]\*?\s*(?P<value>.*)$"
)
_FROM_FIELD = re.compile(rf"(?i)^[>\s*]*(?:{_FROM})\s?\*?\s?[:：]")
_ATTRIBUTION_END = re.compile(
    r"(?i)(?:\bwrote|\bschrieb\b.{0,120}|\ba écrit|\bescribió|\bha scritto|\bschreef\b.{0,120}|\bescreveu|\bskrev\b.{0,120}|"
    r"\bnapisał(?:\(a\)|a)?|\bnapsal\(a\)|\bysgrifennodd\b.{0,120}|写道|написал(?:\(а\)|а)?)\s*[:：]\s*$"
)
_ATTRIBUTION = re.compile(
    r"(?is)^[>\s]*(?:on|am|le|el|il|op|em|den|dnia|w dniu|dne|ar|at|\d{1,4}[./年-]|[^\s:]{1,60})\b.{5,280}$"
)
_ADDRESS = re.compile(r"[^\s<>@\"]{1,64}@[^\s<>@\"]{1,255}\.[^\s<>@\"]+|\[mailto:")
_CLOCK = re.compile(r"\b\d{1,2}[:.h]\d{2}\b")
_DATE = re.compile(r"\b(?:19|20)\d\d\b|\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b")
_PRONOUN_WROTE = re.compile(
    r"(?i)\b(?:i|he|she|they|we|you|who|then|also|and|has|had|have|allegedly|later|again)\s+wrote\s*:\s*$"
)
_QUOTED = re.compile(r"^\s{0,2}[>|](?!From )")
_POINTS_BELOW = re.compile(
    r"(?i)\b(?:below|beneath|underneath|forward(?:ing|ed)?|fyi|f\.y\.i|in (?:red|blue|green|capitals|bold)|inline|in-line)\b"
)

_SIGNATURE_DELIMITER = re.compile(r"^--\s?$")
_NOT_PROSE_LINE_WORDS = 10
_MAX_SIGNATURE_LINES = 12
_DISCLAIMER = re.compile(
    r"(?i)confidential|intended (?:solely|only|recipient)|addressee|virus|disclaimer|think before you print|"
    r"registered (?:office|in england|charity)|unauthori[sz]ed|legally privileged"
)
_DEVICE_LINE = re.compile(
    r"(?i)^\s*(?:sent (?:from|via|with) (?:my |the )?(?:i(?:phone|pad|pod)|android|samsung|galaxy|huawei|blackberry|"
    r"nokia|mobile|phone|tablet|device|outlook|yahoo|mail for windows|aol|gmail|proton ?mail|windows)[^\n.!?]{0,60}|"
    r"get outlook for (?:ios|android)[^\n]{0,80}|von meinem \w+ gesendet|gesendet von [^\n]{1,40}|"
    r"envoyé (?:de|depuis) [^\n]{1,40}|enviado desde [^\n]{1,40}|inviato da [^\n]{1,40}|verzonden vanaf [^\n]{1,40}|"
    r"anfonwyd o fy [^\n]{1,40})\s*$"
)

# Nobody writes a longer text, and if somebody did, nothing is taken off it.
_MAX_TEXT = 500_000
_MAX_LINE = 400
_MAX_TRIGGERS = 60


@dataclass(frozen=True, slots=True)
class _History:
    """Where a mail program's introduction to the history stands: lines ``start`` up to, not including, ``end``."""

    start: int
    end: int
    kind: Literal["attribution", "block", "forward"]


def is_reply_subject(subject: str) -> bool:
    """Whether the subject begins as replies do ("Re:", "AW:", "SV:" …)."""
    return bool(_REPLY_SUBJECT.match(subject))


def is_forward_subject(subject: str) -> bool:
    """Whether the subject begins as forwards do ("Fw:", "WG:", "TR:" …)."""
    return bool(_FORWARD_SUBJECT.match(subject))


def new_words(text: str, *, answers: bool, forwards: bool) -> str:
    """What the writer wrote this time. ``text`` has ``\\n`` line ends and its quoted lines behind ``>``.

    ``answers``: the message is a reply by its headers or subject; ``forwards``: by its subject it is a forward, which
    keeps what it forwards. History without quotation marks is taken off only from an answer. Answers between quoted
    lines keep the lines that they answer. Where taking off would leave nothing, or only a pointer to what lies below,
    nothing is taken off.
    """
    if len(text) > _MAX_TEXT:
        return text
    lines = text.split("\n")
    history = None if forwards else _history(lines, answers=answers)
    if forwards or (history is not None and history.kind == "forward"):
        return text
    kept = _unquoted(lines, history, answers=answers)
    shorter = without_signature("\n".join(kept).strip("\n"))
    if kept == lines or shorter == text:
        return shorter or text
    left = len(words(shorter))
    nearly_nothing = left < (3 if answers else 6)
    if nearly_nothing or (left < 80 and _POINTS_BELOW.search(shorter)):
        return text
    return shorter


def without_signature(text: str) -> str:
    """The text without a delimited signature (RFC 3676 § 4.3) and without the advertisement of a mail program.

    Both only at the end. What follows the delimiter goes only where it is short lines or a disclaimer: people also
    type two hyphens to set one part of an account off from the next. A closing ("Kind regards, …") stays: it holds
    the referrer's name, role and telephone number, which are among the minimum information.
    """
    lines = _without_device_lines(text.split("\n"))
    delimiter = next((n for n in range(len(lines) - 1, -1, -1) if _SIGNATURE_DELIMITER.match(lines[n])), None)
    if delimiter is not None and any(line.strip() for line in lines[:delimiter]):
        block = [line for line in lines[delimiter + 1 :] if line.strip()]
        if len(block) <= _MAX_SIGNATURE_LINES and all(_in_signature(line) for line in block):
            lines = lines[:delimiter]
    result = "\n".join(_without_device_lines(lines)).strip("\n")
    return result if result.strip() else text


def _in_signature(line: str) -> bool:
    if _DISCLAIMER.search(line):
        return True
    return len(line.split()) <= _NOT_PROSE_LINE_WORDS and not line.rstrip().endswith(("!", "?"))


def _without_device_lines(lines: list[str]) -> list[str]:
    lines = list(lines)
    while lines and (not lines[-1].strip() or _DEVICE_LINE.match(lines[-1])):
        lines.pop()
    return lines


def _unquoted(lines: list[str], history: _History | None, *, answers: bool) -> list[str]:
    """The lines left when history is taken off, those of its introduction included."""
    if history is not None and history.kind == "block":
        return _trimmed(lines[: history.start])
    start = history.end if history else 0
    runs = _quoted_runs(lines, start)
    if history is not None and (not runs or any(line.strip() for line in lines[start : runs[0][0]])):
        # Nothing is marked as quoted right under the introduction: everything under it is the old message.
        return _trimmed(lines[: history.start]) if answers else lines
    if not runs or (history is None and not answers):
        return lines
    above = next((line for line in reversed(lines[: runs[0][0]]) if line.strip()), "")
    if history is None and above.rstrip().endswith((":", "：")):
        return lines  # the writer introduces what is quoted: it is evidence
    return _without_runs(lines, runs, history)


def _without_runs(lines: list[str], runs: list[tuple[int, int]], history: _History | None) -> list[str]:
    """The lines without those marked as quoted, as far as nothing was written between them."""
    first = history.start if history else runs[0][0]
    after = [line for line in lines[runs[0][1] :] if not _QUOTED.match(line)]
    if not any(line.strip() for line in _without_tail(after)):
        return _trimmed(lines[:first])
    if len(runs) == 1 and (history is not None or not any(line.strip() for line in lines[:first])):
        # One block on top and the answer under it, the oldest way of all.
        return lines[:first] + lines[runs[0][1] :]
    # Answers between quoted lines: all stays up to the last answer, for an answer means little without its question.
    last_start, last_end = runs[-1]
    return lines[:last_start] if not "".join(_without_tail(lines[last_end:])).strip() else lines


def _without_tail(lines: list[str]) -> list[str]:
    """Without what programs put at the very end: device lines, separators, a delimited signature."""
    kept = _without_device_lines(without_signature("\n".join(lines)).split("\n"))
    if any(_SIGNATURE_DELIMITER.match(line) for line in kept[:2]):
        block = [line for line in kept if line.strip()][1:]
        if len(block) <= _MAX_SIGNATURE_LINES and all(_in_signature(line) for line in block):
            return []
    return [line for line in kept if not _SEPARATOR.match(line) and not _DEVICE_LINE.match(line)]


def _trimmed(lines: list[str]) -> list[str]:
    """Without the rule and the blank lines that programs draw above history."""
    lines = list(lines)
    while lines and (not lines[-1].strip() or _SEPARATOR.match(lines[-1])):
        lines.pop()
    return lines


def _quoted_runs(lines: list[str], start: int) -> list[tuple[int, int]]:
    """The stretches of quoted lines, blank lines between two quoted ones included, as half-open ranges."""
    runs: list[tuple[int, int]] = []
    for number in range(start, len(lines)):
        if not _QUOTED.match(lines[number]):
            continue
        if runs and not any(line.strip() for line in lines[runs[-1][1] : number]):
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs


def _history(lines: list[str], *, answers: bool) -> _History | None:
    """The first introduction to history that passes the guards."""
    for number in _triggers(lines):
        line = lines[number]
        if _FORWARD_LINE.match(line):
            return _History(number, number + 1, "forward")
        found = _original(lines, number) or _block(lines, number) or _attribution(lines, number, answers=answers)
        if found is None:
            continue
        if found.kind == "block" and not answers:
            # Headers of another message in a message that answers none: it is forwarded, or pasted as evidence.
            return _History(found.start, found.end, "forward")
        return found
    return None


def _triggers(lines: list[str]) -> Iterator[int]:
    """The few lines that are worth a closer look: patterns with wildcards are never run over a whole message."""
    seen = 0
    for number, line in enumerate(lines):
        if len(line) > _MAX_LINE or _QUOTED.match(line):
            continue
        stripped = line.rstrip()
        if stripped.endswith((":", "：", "-")) or _FROM_FIELD.match(line):
            seen += 1
            if seen > _MAX_TRIGGERS:
                return
            yield number


def _original(lines: list[str], number: int) -> _History | None:
    return _History(number, number + 1, "block") if _ORIGINAL_LINE.match(lines[number]) else None


def _block(lines: list[str], number: int) -> _History | None:
    """Outlook's block: From, then at least two more of Sent, To, Subject …, with an address, a clock or a date in it."""
    if not _FROM_FIELD.match(lines[number]):
        return None
    names: set[str] = set()
    values: list[str] = []
    end = number
    for offset, line in enumerate(lines[number : number + 14]):
        field = _BLOCK_FIELD.match(line[:_MAX_LINE])
        if field:
            names.add(field["name"].casefold())
            values.append(field["value"])
            end = number + offset + 1
        elif line.strip() and end < number + offset - 1:
            break  # more than one line that is neither a field nor its continuation
    text = " ".join(values)
    if len(names) < 3 or not (_ADDRESS.search(text) or (_CLOCK.search(text) and _DATE.search(text))):
        return None
    return _History(number, end, "block")


def _attribution(lines: list[str], number: int, *, answers: bool) -> _History | None:
    """ "On … wrote:", on up to three lines that end here."""
    if not _ATTRIBUTION_END.search(lines[number]) and not _library_proposes(lines, number):
        return None
    start = number
    joined = lines[number].strip()
    while start > 0 and number - start < 2 and not _looks_complete(joined):
        above = lines[start - 1].strip()
        if not above or len(above) > _MAX_LINE:
            break
        start, joined = start - 1, f"{above} {joined}"
    if not _ATTRIBUTION.match(joined) or _PRONOUN_WROTE.search(joined):
        return None
    quoted_below = next((bool(_QUOTED.match(line)) for line in lines[number + 1 :] if line.strip()), False)
    by_program = bool(_ADDRESS.search(joined)) or bool(_CLOCK.search(joined) and _DATE.search(joined))
    if quoted_below and (by_program or _DATE.search(joined) or _looks_complete(joined)):
        return _History(start, number + 1, "attribution")
    return _History(start, number + 1, "attribution") if by_program and answers else None


_OPENING = re.compile(r"(?i)^(?:on|am|le|el|il|op|em|den|dnia|w dniu|dne|ar)\s|^\d{4}[-/年]|^\S+ \S*\d{4}")


def _looks_complete(joined: str) -> bool:
    return bool(_OPENING.match(joined.lstrip("> ")))


def _library_proposes(lines: list[str], number: int) -> bool:
    """Whether mail-parser-reply or quotequail, looking at these three lines alone, sees an introduction end here."""
    window = [line[:_MAX_LINE].strip() for line in lines[max(0, number - 2) : number + 1]]
    if not any(any(char.isdigit() for char in line) for line in window):
        return False
    text = "\n".join(window)
    if any(match.end() == len(text) for match in _reply_headers().finditer(text)):
        return True
    from quotequail import quote

    # Two parts mean that it found one; the limit lies beyond the window, for reaching it would count as found.
    return len(quote(text, limit=len(window) + 2)) == 2 and not quote(text, limit=len(window) + 2)[1][1].strip()


@lru_cache(maxsize=1)
def _reply_headers() -> re.Pattern[str]:
    from mailparser_reply.constants import MAIL_LANGUAGES

    patterns = [str(language["wrote_header"]) for language in MAIL_LANGUAGES.values() if "wrote_header" in language]
    return re.compile("|".join(patterns), re.MULTILINE | re.IGNORECASE)
