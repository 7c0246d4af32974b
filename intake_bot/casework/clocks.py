"""The field's clocks by name: the rule of each, what starts it and whom it nudges, until settings say else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from intake_bot.casework.plan import ReminderPlan
from intake_bot.casework.targets import Rule


class Start(StrEnum):
    """What starts a clock. All but the last two run from the time of receipt, whenever they start."""

    RECEIPT = "receipt"
    REFERRAL = "referral"
    CONSULTATION = "consultation"
    FOSTER = "foster"
    """A referral about a foster carer."""
    EMPLOYER = "employer"
    """The employer's inquiry opens."""
    SIGN_OFF = "sign_off"
    """A decision that waits for a second officer."""

    @property
    def runs_from_receipt(self) -> bool:
        return self not in (Start.EMPLOYER, Start.SIGN_OFF)


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock as a service keeps it."""

    rule: Rule
    plan: ReminderPlan
    start: Start


def _clock(rule: str, start: Start, *reminders: str) -> Clock:
    return Clock(Rule.parse(rule), ReminderPlan.parse(reminders), start)


FIELD: Mapping[str, Clock] = MappingProxyType(
    {
        "triage": _clock("working_24h", Start.RECEIPT, "-4h", "0", "+1h manager"),
        "sign_off": _clock("working_days 1", Start.SIGN_OFF, "-4h", "0"),
        "advice": _clock("working_days 5", Start.CONSULTATION, "-1d", "0"),
        "first_meeting": _clock("working_days 5", Start.REFERRAL, "-1d", "0"),
        "one_month": _clock("calendar_months 1", Start.REFERRAL, "-7d", "0", "+7d"),
        "three_months": _clock("calendar_months 3", Start.REFERRAL, "-14d", "0"),
        "twelve_months": _clock("calendar_months 12", Start.REFERRAL, "-28d", "0"),
        "foster_investigation": _clock("elapsed_days 21", Start.FOSTER, "-3d", "0"),
        "employer_report": _clock("working_days 10", Start.EMPLOYER, "-1d", "0"),
    }
)
"""The clocks that the field names (docs/targets.md says where each comes from)."""

LOCAL_PLAN = ReminderPlan.parse(("-1d", "0"))
_LOCAL = re.compile(r"([a-z][a-z0-9_]{1,31}): *(.+?) +from +([a-z_]+)")


def local_clocks(texts: Iterable[str], plan: ReminderPlan = LOCAL_PLAN) -> dict[str, Clock]:
    """An authority's own clocks, from settings such as ``panel: working_days 15 from referral``.

    Raises ValueError for a text that is none, a name that is taken, or a start that there is not.
    """
    found: dict[str, Clock] = {}
    for text in texts:
        match = _LOCAL.fullmatch(" ".join(text.split()))
        starts = [start.value for start in Start if start is not Start.SIGN_OFF]
        if match is None or match[3] not in starts:
            raise ValueError(f"is no clock such as 'panel: working_days 15 from referral'; from {', '.join(starts)}")
        if match[1] in FIELD or match[1] in found:
            raise ValueError(f"names {match[1]} twice")
        found[match[1]] = Clock(Rule.parse(match[2]), plan, Start(match[3]))
    return found
