"""The words of letters, from templates that an authority may replace. They are given what they may say and nothing else.

An acknowledgement repeats nothing of what it answers: no quotation, no name, no subject. Every template is read and tried at
the start, and never read again: what a letter will say is known before the first one is sent (docs/letters.md).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import DictLoader, StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes, select_autoescape
from jinja2.sandbox import ImmutableSandboxedEnvironment

from intake_bot.casework import survey
from triage.vocabulary import NAMING_DATA, MissingDatum

COLUMNS = 76
"""Plain text is folded here, so that it reads well where nothing else folds it (RFC 5322 section 2.1.1: 78)."""
MAX_SUBJECT = 200
MAX_LETTER = 256 * 1024
"""Characters of one rendered text beside the words that it was given."""
MAX_TEMPLATE = 64 * 1024
"""Bytes of one template's file."""


class LetterProblem(Exception):
    """A template cannot be used. The text names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What an authority's letters say about itself. An empty number or address is left out, never invented."""

    service: str
    authority: str
    duty_phone: str
    front_door_name: str
    front_door_phone: str
    emergency_duty_phone: str
    secure_form_url: str
    privacy_notice_url: str
    zone: ZoneInfo
    marking: str = ""
    """The protective marking of what holds content, as OFFICIAL-SENSITIVE."""
    subject_tag: str = ""
    """What in a subject tells the authority's own gateway to encrypt."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter in words: a subject line of our own, plain text and HTML."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Owed:
    """What a reminder says of something owed: never what it is."""

    reference: str
    asked_at: datetime
    due_at: datetime
    overdue: bool
    reply_to: str


class Letters:
    """Renders letters from the package's templates, each of which a file of its name in ``folder`` replaces.

    Raises LetterProblem where a file cannot be read, is too large, or replaces nothing.
    """

    def __init__(self, head: Letterhead, folder: Path | None = None) -> None:
        self._head = head
        own = _own_templates()
        replaced = _replacements(folder, own) if folder is not None else {}
        self._sources = own | replaced
        self._where = {name: str(folder / name) if folder and name in replaced else name for name in own}
        self._environment = ImmutableSandboxedEnvironment(
            # Read once, so that a file that is being edited under a running service changes no letter.
            loader=DictLoader(self._sources),
            auto_reload=False,
            undefined=StrictUndefined,
            # Whatever ends in .html.j2 is HTML, and everything put into it is escaped.
            autoescape=select_autoescape(enabled_extensions=("html.j2",)),
            keep_trailing_newline=True,
        )
        # Letters have no use for range, lipsum and the like; what is left is what they are given.
        self._environment.globals.clear()

    @property
    def acknowledgement_templates(self) -> tuple[str, ...]:
        """By these the letter is known when somebody fills it in and sends it back."""
        return tuple(self._sources[f"{ACKNOWLEDGEMENT}.{form}.j2"] for form in ("txt", "html"))

    def acknowledgement(
        self,
        *,
        reference: str,
        received_at: datetime,
        answer_by: datetime,
        missing: Iterable[MissingDatum] | None,
        no_names: bool,
        unreadable: bool,
    ) -> Letter:
        """The automatic answer to a consultation.

        ``missing`` is what triage found missing, or None where triage has nothing to say: then all the minimum data are
        asked for. In a no-names consultation nobody's name is asked for.
        """
        asked = list(MissingDatum) if missing is None else list(missing)
        if no_names:
            asked = [datum for datum in asked if datum not in NAMING_DATA]
        facts = {
            "reference": reference,
            "received": say_time(received_at, self._head.zone),
            "answer_by": say_time(answer_by, self._head.zone),
            "missing": [datum.label for datum in asked],
            "unreadable": unreadable,
        }
        return self._letter(ACKNOWLEDGEMENT, facts, {})

    def acknowledgement_in_slack(
        self,
        *,
        reference: str,
        received_at: datetime,
        answer_by: datetime,
        missing: Iterable[MissingDatum] | None,
        no_names: bool,
    ) -> str:
        """The same facts where somebody asked in Slack. Nothing of what they wrote is in it but which data seem missing."""
        head = self._head
        asked = [
            datum.label
            for datum in (list(MissingDatum) if missing is None else missing)
            if not (no_names and datum in NAMING_DATA)
        ]
        front = f" ({head.front_door_phone})" if head.front_door_phone else ""
        lines = [
            f"Your consultation has arrived: {reference}, {say_time(received_at, head.zone)}. An officer answers by "
            f"{say_time(answer_by, head.zone)}. This was sent by a machine: it is no advice and no decision.",
            f"If a child is in immediate danger, ring 999. If a child is hurt or at risk today, ring the "
            f"{head.front_door_name}{front} now: do not wait for us.",
            "Until an officer has answered: do not question the child, the adult or anybody who saw it; do not tell the "
            "adult; keep what may be evidence; write down who said what, in their words.",
        ]
        if head.duty_phone:
            lines.append(f"The duty officer's telephone is {head.duty_phone}.")
        if asked:
            lines.append("If you have not already told us, please write here: " + "; ".join(asked) + ".")
        lines.append("Whatever you write in this conversation is added to the consultation.")
        return "\n".join(lines)

    def advice(self, *, reference: str, words: str, original: datetime | None) -> Letter:
        """What an officer writes. ``original`` is when the message came that goes along with it, or None."""
        facts = {
            "reference": reference,
            "original": say_time(original, self._head.zone) if original is not None else "",
        }
        paragraphs = [part.strip("\n").split("\n") for part in words.split("\n\n") if part.strip()]
        return self._letter(ADVICE, facts, {"advice": words, "paragraphs": paragraphs})

    def chaser(self, owed: Sequence[Owed]) -> Letter:
        """A reminder to one person of all that they owe, which may be on several cases."""
        zone = self._head.zone
        facts = {
            "reference": owed[0].reference,
            "several": len(owed) > 1,
            "overdue": any(one.overdue for one in owed),
            "owed": [
                {
                    "reference": one.reference,
                    "asked": say_time(one.asked_at, zone),
                    "due": say_time(one.due_at, zone),
                    "overdue": one.overdue,
                    "reply_to": one.reply_to,
                }
                for one in owed
            ],
        }
        return self._letter(CHASER, facts, {})

    def feedback(self, *, reference: str) -> Letter:
        """The survey about a concluded consultation: its reference, and our questions as they are read in the reply."""
        return self._letter(FEEDBACK, {"reference": reference, "lines": survey.LINES, "remark": survey.REMARK}, {})

    def check(self) -> None:
        """Try every template with everything that it will meet, so that a faulty one stops the start and not a sending.

        A name that we do not give is found wherever it stands, in a branch not taken too. Then each is rendered with all
        that can change from letter to letter. Raises LetterProblem.
        """
        for name in self._sources:
            self._check_names(name)
        moment = datetime(2026, 9, 30, 23, 59, tzinfo=UTC)
        data = list(MissingDatum)
        for count in range(len(data) + 1):
            for unreadable in (False, True):
                self.acknowledgement(
                    reference=_SAMPLE_REFERENCE,
                    received_at=moment,
                    answer_by=moment,
                    missing=data[:count],
                    no_names=False,
                    unreadable=unreadable,
                )
        for words in (_SAMPLE_WORDS, f"{_SAMPLE_WORDS} <&>\nOnce more.\n\n{_SAMPLE_WORDS}"):
            for original in (None, moment):
                self._check_advice(self.advice(reference=_SAMPLE_REFERENCE, words=words, original=original))

        for count in (1, 2, 40):
            for overdue in (False, True):
                owed = [
                    Owed(f"{_SAMPLE_REFERENCE}{number}", moment, moment, overdue, f"sample+{number}@checked.example")
                    for number in range(count)
                ]
                self._check_chaser(self.chaser(owed), owed)

        self._check_feedback(self.feedback(reference=_SAMPLE_REFERENCE))

    def _check_feedback(self, letter: Letter) -> None:
        """What a replaced template must not leave out: the questions as they stand, by which an answer is found."""
        for form, text in (("txt", letter.text), ("html", letter.html)):
            if any(line not in text for line in (_SAMPLE_REFERENCE, *survey.LINES, survey.REMARK)):
                where = self._where[f"{FEEDBACK}.{form}.j2"]
                raise LetterProblem(
                    f"{where}: it leaves out the reference, a line of the form, or the line for a remark"
                )

    def _check_chaser(self, letter: Letter, owed: Sequence[Owed]) -> None:
        """What a replaced template must not leave out: which case, and where each answer goes where there are several."""
        for form, text in (("txt", letter.text), ("html", letter.html)):
            wanted = [one.reference for one in owed] + [one.reply_to for one in owed if len(owed) > 1]
            if any(word not in text for word in wanted):
                what = "a reference, or the address for its answer"
                raise LetterProblem(f"{self._where[f'{CHASER}.{form}.j2']}: it leaves out {what}")

    def _check_names(self, name: str) -> None:
        try:
            tree = self._environment.parse(self._sources[name])
            names = meta.find_undeclared_variables(tree)
        except TemplateSyntaxError as fault:
            raise LetterProblem(f"{self._where[name]}, line {fault.lineno}: {fault.message}") from None
        unknown = {f"variable {one}" for one in names - _VARIABLES[name]}
        # In a branch not taken, Jinja itself would find these at the sending.
        unknown |= {f"filter {one.name}" for one in tree.find_all(nodes.Filter)} - _known(
            self._environment.filters, "filter"
        )
        unknown |= {f"test {one.name}" for one in tree.find_all(nodes.Test)} - _known(self._environment.tests, "test")
        unknown |= {f"template {one}" for one in meta.find_referenced_templates(tree)} - _known(
            self._sources, "template"
        )
        if unknown:
            there_are = ", ".join(sorted(_VARIABLES[name]))
            raise LetterProblem(
                f"{self._where[name]}: there is no {', no '.join(sorted(unknown))}. The variables are {there_are}"
            )

    def _check_advice(self, letter: Letter) -> None:
        """What a replaced template must not leave out: the words themselves, the marking, the gateway's tag."""
        marking, tag = self._head.marking, self._head.subject_tag
        body = letter.html.rpartition("</title>")[2]
        lines = letter.text.rstrip().split("\n")
        wanting = (
            ("subject", "the marking", marking not in letter.subject),
            ("subject", "the tag", tag not in letter.subject),
            ("txt", "the marking, first line and last", bool(marking) and (lines[0], lines[-1]) != (marking, marking)),
            ("txt", "the advice", _SAMPLE_WORDS not in letter.text),
            ("html", "the marking, at both ends", bool(marking) and body.count(marking) < 2),
            ("html", "the advice", _SAMPLE_WORDS not in letter.html),
        )
        for form, what, is_wanting in wanting:
            if is_wanting:
                raise LetterProblem(f"{self._where[f'{ADVICE}.{form}.j2']}: it leaves out {what}")

    def _letter(self, kind: str, facts: dict[str, Any], words: dict[str, Any]) -> Letter:
        given = {name: getattr(self._head, name) for name in _HEAD_WORDS} | facts
        # A subject is seen by everybody on the way: what holds content is not given to it.
        subject = self._one_line(f"{kind}.subject.j2", given)
        given |= {"subject": subject} | words
        room = MAX_LETTER + 8 * len(words.get("advice", ""))
        return Letter(
            subject=subject,
            text=folded(self._rendered(f"{kind}.txt.j2", given, room).strip("\n")) + "\n",
            html=self._rendered(f"{kind}.html.j2", given, room),
        )

    def _one_line(self, name: str, facts: Mapping[str, Any]) -> str:
        line = self._rendered(name, facts, MAX_LETTER).strip()
        if not line or len(line) > MAX_SUBJECT or not line.isprintable():
            raise LetterProblem(f"{self._where[name]}: a subject is one line of at most {MAX_SUBJECT} characters")
        return line

    def _rendered(self, name: str, facts: Mapping[str, Any], room: int) -> str:
        pieces: list[str] = []
        length = 0
        try:
            for piece in self._environment.get_template(name).generate(facts):
                length += len(piece)
                if length > room:
                    raise LetterProblem(f"{self._where[name]}: the letter grows too long")
                pieces.append(piece)
        except TemplateError as fault:
            raise LetterProblem(f"{self._where[name]}: {fault.message}") from None
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as fault:
            raise LetterProblem(f"{self._where[name]}: it cannot be rendered ({type(fault).__name__})") from None
        return "".join(pieces)


def folded(text: str) -> str:
    """Plain text with no line longer than :data:`COLUMNS`, but for a word that is; a list's lines stay indented."""
    lines: list[str] = []
    for line in text.split("\n"):
        if len(line) <= COLUMNS:
            lines.append(line.rstrip())
            continue
        indent = line[: len(line) - len(line.lstrip(" >"))]
        hanging = indent + ("  " if line.startswith(("- ", "* "), len(indent)) else "")
        lines += textwrap.wrap(line, COLUMNS, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)


def say_time(moment: datetime, zone: ZoneInfo) -> str:
    """A weekday and a time in local time: ``Monday 30 November 2026 at 16:40``."""
    local = moment.astimezone(zone)
    return f"{local:%A} {local.day} {local:%B %Y} at {local:%H:%M}"


def _known(names: Iterable[str], kind: str) -> set[str]:
    return {f"{kind} {name}" for name in names}


def _own_templates() -> dict[str, str]:
    folder = resources.files("intake_bot") / "templates"
    return {name: (folder / name).read_text(encoding="utf-8") for name in sorted(_VARIABLES)}


def _replacements(folder: Path, own: Mapping[str, str]) -> dict[str, str]:
    """The authority's own templates. A name that replaces nothing is a mistake and is said; hidden files are passed over."""
    found = {}
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        for path in paths:
            if path.name not in own:
                raise LetterProblem(f"{path}: no letter has this template; there are {', '.join(own)}")
            with path.open("rb") as file:
                raw = file.read(MAX_TEMPLATE + 1)
            if len(raw) > MAX_TEMPLATE:
                raise LetterProblem(f"{path}: a template has at most {MAX_TEMPLATE // 1024} KiB")
            found[path.name] = raw.decode("utf-8-sig")
    except OSError as fault:
        raise LetterProblem(f"{fault.filename or folder}: cannot be read ({fault.strerror})") from None
    except UnicodeDecodeError:
        raise LetterProblem(f"{path}: is not UTF-8") from None
    return found


ACKNOWLEDGEMENT, ADVICE, CHASER, FEEDBACK = "acknowledgement", "advice", "chaser", "feedback"

_HEAD_WORDS = (
    "service",
    "authority",
    "duty_phone",
    "front_door_name",
    "front_door_phone",
    "emergency_duty_phone",
    "secure_form_url",
    "privacy_notice_url",
    "marking",
    "subject_tag",
)
_FACTS = {
    ACKNOWLEDGEMENT: {"reference", "received", "answer_by", "missing", "unreadable"},
    ADVICE: {"reference", "original"},
    CHASER: {"reference", "several", "overdue", "owed"},
    FEEDBACK: {"reference", "lines", "remark"},
}
_WORDS: Mapping[str, set[str]] = {ADVICE: {"advice", "paragraphs"}}
_VARIABLES = {
    f"{kind}.{form}.j2": {*_HEAD_WORDS, *facts, *(() if form == "subject" else {"subject", *_WORDS.get(kind, set())})}
    for kind, facts in _FACTS.items()
    for form in ("subject", "txt", "html")
}
"""Each template and what it may name."""
_SAMPLE_REFERENCE = "LADO-00-CHECKED"
_SAMPLE_WORDS = "Words of a sample."
