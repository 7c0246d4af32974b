"""The words of letters, from templates. A letter repeats nothing of what it answers: no quotation, no name, no subject."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from triage.vocabulary import NAMING_DATA, MissingDatum


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


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter in words: a subject line of our own, plain text and HTML."""

    subject: str
    text: str
    html: str


class Letters:
    """Renders letters. A variable that a template names and we do not give is an error, found by :meth:`check`."""

    def __init__(self, head: Letterhead) -> None:
        self._head = head
        self._environment = Environment(
            loader=PackageLoader("intake_bot"),
            undefined=StrictUndefined,
            # Whatever ends in .html.j2 is HTML, and everything put into it is escaped.
            autoescape=select_autoescape(enabled_extensions=("html.j2",)),
            keep_trailing_newline=True,
        )

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
        subject = f"Consultation received: {reference}"
        facts = {
            "subject": subject,
            "reference": reference,
            "received": say_time(received_at, self._head.zone),
            "answer_by": say_time(answer_by, self._head.zone),
            "missing": [datum.label for datum in asked],
            "unreadable": unreadable,
            **{name: getattr(self._head, name) for name in _HEAD_WORDS},
        }
        return Letter(
            subject=subject,
            text=self._environment.get_template("acknowledgement.txt.j2").render(facts),
            html=self._environment.get_template("acknowledgement.html.j2").render(facts),
        )

    def check(self) -> None:
        """Render every letter once with every branch taken, so that a faulty template stops the start, not a sending."""
        moment = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
        for unreadable in (False, True):
            self.acknowledgement(
                reference="LADO-00-CHECKED",
                received_at=moment,
                answer_by=moment,
                missing=None,
                no_names=False,
                unreadable=unreadable,
            )


def say_time(moment: datetime, zone: ZoneInfo) -> str:
    """A weekday and a time in local time: ``Monday 30 November 2026 at 16:40``."""
    local = moment.astimezone(zone)
    return f"{local:%A} {local.day} {local:%B %Y} at {local:%H:%M}"


_HEAD_WORDS = (
    "service",
    "authority",
    "duty_phone",
    "front_door_name",
    "front_door_phone",
    "emergency_duty_phone",
    "secure_form_url",
    "privacy_notice_url",
)
