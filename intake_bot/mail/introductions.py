"""How mail programs introduce the history that they put under an answer: attributions, header blocks, rules and requests.

Three things are told apart from what people write by what only programs write: a date with a time or an address
beside a word for "wrote" ("On … wrote:"), three or more header fields one under another, and lines such as
"-----Original Message-----" in the words of some forty languages. The words are data; each finder looks at a few
lines of bounded length.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

MAX_LINE = 400
_MAX_ATTRIBUTION = 360
_ATTRIBUTION_LINES = 5
_BLOCK_LINES = 16
_CONTINUATION_WORDS = 8


@cache
def phrases() -> dict[str, Any]:
    """The words of mail programs in their many languages: ``phrases.toml``."""
    return tomllib.loads(resources.files("intake_bot.mail").joinpath("phrases.toml").read_text(encoding="utf-8"))


# Marks of direction, joiners and the like, which programs put round names and addresses; and spaces that are none of ours.
_INVISIBLE = dict.fromkeys([0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0xFEFF,
                            0x2066, 0x2067, 0x2068, 0x2069]) | {0xA0: " ", 0x202F: " ", 0x3000: " "}  # fmt: skip
_DECORATION = " \t-_=*#~>|:：.·‐‑‒–—―"

ADDRESS = re.compile(r"[^\s<>@\"()]{1,64}@[^\s<>@\"()]{1,255}\.[^\s<>@\"()]{2,}|\[mailto:|<mailto:")
_CLOCK = re.compile(r"(?<![\d.:])\d{1,2}[:.h]\s?\d{2}(?!\d)")
_DATE = re.compile(
    r"(?<!\d)(?:19|20)\d\d(?!\d)|(?<!\d)\d{1,2}[./-]\s?\d{1,2}[./-]\s?\d{2,4}(?!\d)|\d\s?月|"
    r"\d{1,2}\s?[^\W\d_]{3,9}\.? \d\d\b"
)
# How only programs write a time: short weekday and comma, seconds, a zone, AM or PM.
_PROGRAM_TIME = re.compile(
    r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? \d|\b[A-Z][a-z]{2,8}, [A-Z][a-z]{2} \d|\d:\d\d:\d\d|[+-]\d{4}\b|\b(?:GMT|"
    r"UTC|[AP]M)\b"
)

_HUMAN_TIME = re.compile(r"(?i)\bat \d{1,2}[:.]\d{2}(?![:.\d])")

_FORWARD_LINES = frozenset(phrases()["forward_lines"])
_ORIGINAL_LINES = frozenset(phrases()["original_lines"])
# "Please type your reply above this line": helpdesks ask for it, and all that follows is theirs.
_REPLY_ABOVE = re.compile(
    r"(?i)\b(?:repl(?:y|ies)|respond|response|answer|write|type|antwort\w*|répon\w+|respuesta|responda|risposta|"
    r"rispond\w+|antwoord\w*|resposta|svar\w*|odpowied\w+|ответ\w*|ateb\w*)\b.{0,60}\b(?:above|over|oberhalb|über|"
    r"au-dessus|encima|arriba|sopra|al di sopra|boven|acima|ovanför|ovenfor|over|powyżej|nad|выше|"
    r"uwchben)\b.{0,30}\b(?:line|zeile|linie|ligne|línea|linea|riga|lijn|regel|linha|rad\w*|linje\w*|lini\w+|черты|"
    r"линии|llinell)\b"
)


# "Do", "To", "At", "A" mean other fields, or none, in other languages: a role is taken from the company a field keeps.
_FIELDS = {name.casefold(): role for role, names in phrases()["fields"].items() for name in names}
_FIELD = re.compile(
    r"^[>|\s]{0,10}\*{0,2}\s{0,3}(?P<name>[^:：<>@\n]{1,30}?)\s{0,3}\*{0,2}\s{0,3}[:：]\s?\*{0,2}(?P<value>.*)$"
)
_INNER_FIELD = re.compile(r"(?:^|(?<=[\s;]))\*?(?P<name>[^\W\d_][^\W\d_.-]{1,20}(?: [^\W\d_]{1,10}){0,1})\*?\s?[:：]")
_BARE_LABELS = {
    "to": "to",
    "cc": "cc",
    "subject": "subject",
    "an": "to",
    "kopie": "cc",
    "thema": "subject",
    "betreff": "subject",
}

_VERBS = "|".join(phrases()["wrote"])
_VERB = re.compile(rf"(?i)(?<![^\W\d_])(?:{_VERBS})(?![^\W\d_])|写道|寫道|のメール|님이 작성|書きました")
_MIDLINE = re.compile(rf"(?i)(?:{_VERBS})\s?[:：]\s")
_GMAIL_OF_OLD = re.compile(r"^\d{4}[/-]\d{1,2}[/-]\d{1,2}\s[^<>]{0,100}<[^<>\s]+@[^<>\s]+>$")
_ENGLISH = re.compile(r"(?i)\b(?:wrote|writes)\b")
_OPENING = re.compile(
    r"(?i)^(?:on|at|am|le|el|il(?: giorno)?|op|em|no dia|den|dnia|w dniu|dne|ar|în|in|στις|vào|kuupäev|missatge|"
    r"message|quoting|zitat|citando|в|на|em|v|u|a|في|ב\S+|在|từ|le|lø|---+ on)\b"
)
# Words in lower case that an English attribution by a program holds; any other is a person's.
_PROGRAM_WORDS = frozenset(
    "on at wrote writes via from of you and am pm st nd rd th in a message dated standard time daylight de "
    "la van der von "
    "den el al bin ben gmt utc mailto".split()
)
# Words by which a person tells of a letter, whatever else stands there; and those that also begin names in address books.
_TELLING = frozenset(
    "he she they we i it then again also her his him their them to this that which after later".split()
)
_TITLES = frozenset("mr mrs ms miss dr coach mum mother dad father sir madam".split())
_LETTERS = re.compile(r"[^\W\d_][^\W\d_'’.-]*")


@dataclass(frozen=True, slots=True)
class Introduction:
    """Where an introduction to the history stands: lines ``start`` up to, not including, ``end``.

    ``certain``: only a program writes this, so what follows is history though nothing marks it as quoted. ``author``
    is what names the writer of the old message, ``readers`` what names those whom it went to, where that is shown. A
    *request* is a helpdesk's "reply above this line".
    """

    start: int
    end: int
    kind: Literal["attribution", "block", "forward", "request"]
    certain: bool = True
    author: str = ""
    readers: str = ""


def tidy(line: str) -> str:
    """The line without invisible marks, bold asterisks at its ends, and space of its own kind."""
    return line.translate(_INVISIBLE).strip()


def is_rule(line: str) -> bool:
    """Whether the line is a drawn rule of at least five characters."""
    bare = line.strip(" \t>|")
    return len(bare) >= 5 and not bare.strip("_-=*— ")


def is_worth_a_look(line: str) -> bool:
    """Whether an introduction may begin or end with this line. Cheap, and true of few."""
    if not line or len(line) > MAX_LINE:
        return False
    bare = tidy(line)
    if bare.endswith((":", "：", "-", "_", ">", "写道", "寫道", "#", "=", "‐", "—", "作成")) or "\u200f" in line:
        return bool(bare)
    folded = bare.strip(_DECORATION).casefold()
    if folded in _ORIGINAL_LINES or folded in _FORWARD_LINES or "@" in bare:
        return True
    head, colon, _ = bare.replace("：", ":").partition(":")
    return (bool(colon) and head.strip(" *>|").casefold() in _FIELDS) or folded in _BARE_LABELS or "##" in bare


def at(lines: Sequence[str], number: int) -> Introduction | None:
    """The introduction that begins, or in the case of an attribution ends, with line ``number``."""
    return (
        _forward(lines, number)
        or _request(lines, number)
        or _original(lines, number)
        or _block(lines, number)
        or _labels(lines, number)
        or _attribution(lines, number)
    )


def hinted(lines: Sequence[str], number: int, is_quoted: Collection[int]) -> Introduction | None:
    """The introduction at a place where HTML says that one begins: looser, for any language will do.

    ``is_quoted`` are the numbers of the lines marked as quoted.
    """
    shown = [n for n in range(number, min(len(lines), number + 2 * _BLOCK_LINES)) if lines[n].strip()][:8]
    for n in shown[:3]:
        found = None if n in is_quoted else at(lines, n)
        if found is not None and found.kind != "attribution":
            return Introduction(number, found.end, found.kind, author=found.author, readers=found.readers)
    for place, n in enumerate(shown):
        if n in is_quoted:
            introduced = 0 < place <= 5
            author = " ".join(lines[m] for m in shown[:place])[:MAX_LINE]
            return Introduction(number, n, "attribution", author=author) if introduced else None
        if (found := at(lines, n)) is not None and found.kind == "attribution" and place <= 4:
            return Introduction(number, found.end, "attribution", author=found.author)
    fields = [n for n in shown[:8] if _FIELD.match(tidy(lines[n])[:MAX_LINE])]
    text = " ".join(lines[n][:MAX_LINE] for n in fields)
    if len(fields) >= 3 and _dated_or_addressed(text):
        return Introduction(number, fields[-1] + 1, "block")
    return None


def _forward(lines: Sequence[str], number: int) -> Introduction | None:
    bare = tidy(lines[number])
    folded = bare.strip(_DECORATION).casefold()
    decorated = bare[:2] in {"--", "==", "__", "**"} or bare.endswith((":", "："))
    if folded in _FORWARD_LINES and decorated:
        return Introduction(number, number + 1, "forward")
    if folded.startswith(("forwarded message from ", "forwarded by ")) and decorated:
        return Introduction(number, number + 1, "forward")
    return None


def _request(lines: Sequence[str], number: int) -> Introduction | None:
    bare = tidy(lines[number])
    if not bare or bare[0] not in "#-=_*~([" or len(bare.split()) > 20 or not _REPLY_ABOVE.search(bare[:200]):
        return None
    return Introduction(number, number + 1, "request")


def _original(lines: Sequence[str], number: int) -> Introduction | None:
    """ "-----Original Message-----"; with one hyphen or none, only right above a header field or an attribution."""
    bare = tidy(lines[number])
    if bare.strip(_DECORATION).casefold() not in _ORIGINAL_LINES:
        return None
    below = [n for n in range(number + 1, min(len(lines), number + 6)) if lines[n].strip()][:3]
    author = " ".join(lines[n][:MAX_LINE] for n in below[:3] if _role(lines[n])[0] == "from")
    readers = " ".join(lines[n][:MAX_LINE] for n in below if _role(lines[n])[0] in {"to", "cc"})
    drawn = len(bare) - len(bare.lstrip("-_=*‐–— "))
    followed = any(_role(lines[n])[0] for n in below) or any(_attribution(lines, n) for n in below)
    if drawn >= 4 or followed:
        return Introduction(number, number + 1, "block", author=author, readers=readers)
    return None


def _role(line: str) -> tuple[str, str]:
    """The role of a header field and its value, or two empty texts."""
    field = _FIELD.match(tidy(line)[:MAX_LINE])
    if not field:
        return "", ""
    role = _FIELDS.get(" ".join(field["name"].split()).strip(" *").casefold(), "")
    return (role, field["value"]) if role else ("", "")


def _block(lines: Sequence[str], number: int) -> Introduction | None:
    """Outlook's block: at least three of From, Sent, To, Subject …, From among them, with an address.

    Without one it must be whole, From first and dated as programs do: people label forms and text messages so too.
    """
    role, value = _role(lines[number])
    if not role or role == "other":
        return None
    roles: dict[str, str] = {}
    end = number
    for offset, line in enumerate(lines[number : number + _BLOCK_LINES]):
        role, value = _role(line)
        if role == "from" and "from" in roles and end > number:
            break  # another block, or the first was none
        if role:
            # Some names mean two fields ("Da:" is From in Italian): the first of a role stands.
            roles.setdefault(role, "")
            roles[role] += f" {value}"
            end = number + offset + 1
        elif line.strip() and (end < number + offset - 1 or len(line.split()) > _CONTINUATION_WORDS):
            break  # more than one line that is neither a field nor its continuation, or a sentence
        elif line.strip() and ADDRESS.search(line[:MAX_LINE]) and len(line.split()) < 6 and roles:
            roles[next(reversed(roles))] += f" {line[:MAX_LINE]}"
    if len(roles) < 3:
        return _one_line_block(lines, number)
    if "from" not in roles:
        return None
    if not any(ADDRESS.search(roles.get(role, "")) for role in ("from", "to", "cc")):
        below = lines[end] if end < len(lines) else ""
        if not _is_whole_block(roles) or _FIELD.match(tidy(below)[:MAX_LINE]):
            return None
    readers = f"{roles.get('to', '')} {roles.get('cc', '')}"
    return Introduction(number, end, "block", author=roles["from"], readers=readers)


def _is_whole_block(roles: Mapping[str, str]) -> bool:
    """Whether all four fields are there, From first, and the date is a program's: it writes no "at" before a time, or adds
    seconds.
    """
    sent = roles.get("sent", "")
    dated = bool(_CLOCK.search(sent) and _DATE.search(sent)) and not _HUMAN_TIME.search(sent)
    return next(iter(roles)) == "from" and {"sent", "to", "subject"} <= set(roles) and dated


def _one_line_block(lines: Sequence[str], number: int) -> Introduction | None:
    text = tidy(lines[number])[:MAX_LINE]
    named = [(_FIELDS.get(field["name"].casefold(), ""), field) for field in _INNER_FIELD.finditer(text)]
    roles = {role for role, _ in named if role}
    if "from" not in roles or len(roles) < 3 or not {"sent", "subject"} & roles or not _dated_or_addressed(text):
        return None
    return Introduction(number, number + 1, "block", author=text)


def _labels(lines: Sequence[str], number: int) -> Introduction | None:
    """The table of older Lotus Notes: name, date, then "To", "cc" and "Subject" each alone on a line."""
    if tidy(lines[number]).casefold() not in _BARE_LABELS:
        return None
    window = [tidy(line).casefold() for line in lines[number : number + _BLOCK_LINES]]
    labels = {_BARE_LABELS[line]: offset for offset, line in enumerate(window) if line in _BARE_LABELS}
    start = number
    while start > 0 and number - start < 4 and (lines[start - 1].strip() or start == number):
        start -= 1
    above = " ".join(line[:MAX_LINE] for line in lines[start:number])
    if not {"to", "subject"} <= set(labels) or not (_CLOCK.search(above) and _DATE.search(above)):
        return None
    dated = next(n for n in range(number - 1, start - 1, -1) if _DATE.search(lines[n][:MAX_LINE]))
    begins = dated - 1 if dated > start and lines[dated - 1].strip() and len(lines[dated - 1].split()) < 6 else dated
    return Introduction(begins, number + max(labels.values()) + 2, "block", author=above)


def _attribution(lines: Sequence[str], number: int) -> Introduction | None:
    """ "On … wrote:", on up to five lines that end here."""
    line = tidy(lines[number])
    if len(line) > MAX_LINE:
        return None
    if not _ends_as_attribution(line):
        return _attribution_before_text(line, number)
    start, joined = number, line
    best: tuple[int, str] | None = (start, joined) if _is_dated(joined) else None
    while best is None and start > 0 and number - start < _ATTRIBUTION_LINES - 1:
        above = tidy(lines[start - 1])
        if not above and start > 1 and joined.startswith("<") and _OPENING.match(tidy(lines[start - 2])):
            start -= 1  # some programs put the address in a paragraph of its own
            above = tidy(lines[start - 1])
        if not above or len(above) + len(joined) > _MAX_ATTRIBUTION:
            break
        start, joined = start - 1, f"{above} {joined}"
        if _is_dated(joined):
            best = (start, joined)
    if best is None:
        return _undated(line, number)
    start, joined = best
    if start > 0 and not _OPENING.match(joined.lstrip("> -")):
        above = tidy(lines[start - 1])
        if _OPENING.match(above) and len(above.split()) <= 8 and not above.endswith((".", "!", "?")):
            start, joined = start - 1, f"{above} {joined}"
    if not _by_program(joined):
        return None
    has_address = bool(ADDRESS.search(joined))
    certain = has_address or (bool(_CLOCK.search(joined)) and bool(_PROGRAM_TIME.search(joined)))
    return Introduction(start, number + 1, "attribution", certain=certain, author=joined)


def _attribution_before_text(line: str, number: int) -> Introduction | None:
    """An attribution with the old text behind it on one line, as some telephones write."""
    if not _OPENING.match(line):
        return None
    verb = _MIDLINE.search(line)
    if verb is None or not ADDRESS.search(line[: verb.start()]) or not _DATE.search(line[: verb.start()]):
        return None
    return Introduction(number, number + 1, "attribution", author=line[: verb.end()])


def _undated(line: str, number: int) -> Introduction | None:
    """ "Ann Pryce wrote:", "Quoting a@b.example:": an introduction only where what follows is marked."""
    verb = _VERB.search(line)
    names = _LETTERS.findall(ADDRESS.sub("", line[: verb.start()] if verb else line))
    if not _by_program(line) or len(line.split()) > 12:
        return None
    two_names = len(names) >= 2 and all(name[:1].isupper() or name in _PROGRAM_WORDS for name in names)
    if not ADDRESS.search(line) and not (verb and two_names):
        return None
    return Introduction(number, number + 1, "attribution", certain=False, author=line)


def _ends_as_attribution(line: str) -> bool:
    if line.endswith((":", "：")):
        return True
    bare = line.rstrip("- ")
    if bare != line and bare.casefold().endswith("wrote"):
        return True
    if _GMAIL_OF_OLD.match(line):
        return True
    return (line.startswith(">>>") and line.endswith(">>>")) or line.endswith(("写道", "寫道"))


def _is_dated(joined: str) -> bool:
    """A date, beside a time or an address, and a word for "wrote" or an address at the end."""
    if len(joined) > _MAX_ATTRIBUTION or not _DATE.search(joined):
        return False
    verb = _VERB.search(joined)
    address = ADDRESS.search(joined)
    return bool(verb or address) and bool(address or _CLOCK.search(joined) or _OPENING.match(joined))


def _by_program(joined: str) -> bool:
    """Whether no word in it is one that only a person writes there. Judged for English alone.

    With an address, or a time as only programs write it, names may be in lower case and have titles.
    """
    bare = ADDRESS.sub(" ", joined)
    verb = _ENGLISH.search(bare)
    if verb is None and (not bare.isascii() or _VERB.search(bare)):
        return True
    has_address = ADDRESS.search(joined) is not None
    surely = has_address or bool(_PROGRAM_TIME.search(joined))
    for word in _LETTERS.findall(bare):
        folded = word.casefold().rstrip(".")
        if folded in _TELLING or (folded in _TITLES and not has_address):
            return False
        if word.islower() and folded not in _PROGRAM_WORDS and verb is not None and not surely:
            return False
    return verb is not None or has_address


def _dated_or_addressed(text: str) -> bool:
    return bool(ADDRESS.search(text)) or bool(_CLOCK.search(text) and _DATE.search(text))
