"""How this authority works, as casework needs to know it: made once from the settings, handed to every function."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta

from intake_bot.casework.calendar import WorkingCalendar
from intake_bot.casework.clocks import Clock, Start
from intake_bot.casework.directory import DirectoryRules
from intake_bot.casework.duty import Routing, SeniorManagers, Week
from intake_bot.casework.letters import Letters
from intake_bot.casework.vocabulary import CaseOutcome
from storage.vault import Vault

TRIAGE = "triage"
ONE_MONTH = "one_month"
ADVICE = "advice"
"""Met by advice that is written, where the settings have such a clock."""
FIRST_MEETING = "first_meeting"
SIGN_OFF = "sign_off"
"""A second officer's word on a decision below the threshold."""
ENDED_BY_ACTS = frozenset({TRIAGE, SIGN_OFF})
"""Clocks that deciding and signing off alone end, never a word by hand."""

_BOUNCE = "b-"
# No case's reply tag holds a hyphen.

ACKNOWLEDGEMENT_WINDOW = timedelta(hours=24)
FOLDING_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """How many calendar years after its conclusion a case comes up for review, and what is destroyed without one."""

    substantiated: int = 100
    unsubstantiated: int = 100
    unfounded: int = 10
    false: int = 10
    malicious: int = 10
    below_threshold: int = 6
    """For what was decided otherwise than referral."""
    unfiled: int = 1
    """For mail that belongs to no case, from its receipt."""
    strip_below_threshold: bool = False
    """What closes below the threshold loses its content at once, as no-names consultations always do."""
    unattended_purge: bool = False
    """What is due for review is purged without a manager's word."""

    def years(self, outcome: CaseOutcome | None) -> int:
        """``outcome`` is None for what was no referral."""
        match outcome:
            case None:
                return self.below_threshold
            case CaseOutcome.SUBSTANTIATED:
                return self.substantiated
            case CaseOutcome.UNSUBSTANTIATED:
                return self.unsubstantiated
            case CaseOutcome.UNFOUNDED:
                return self.unfounded
            case CaseOutcome.FALSE:
                return self.false
            case CaseOutcome.MALICIOUS:
                return self.malicious


@dataclass(frozen=True, slots=True)
class AdviceRules:
    """How advice leaves. ``way_is_safe``: over verified TLS, or nowhere that others listen, or the authority says so."""

    way_is_safe: bool = False
    can_write_to: Callable[[str], bool] = lambda _address: False
    """Whether an address is one that mail can be sent to."""
    secure_field: tuple[str, str] | None = None
    """Name and value of the header field by which the authority's gateway encrypts."""


@dataclass(frozen=True, slots=True)
class ChaserRules:
    """When whoever owes something is reminded, in working days around the day that it is due."""

    before_days: int = 1
    """0: not before."""
    after_days: int = 2
    telephone_days: int = 4
    """After the day: then letters have done what they can, and the officer is asked to telephone. 0: never."""


@dataclass(frozen=True, slots=True)
class FeedbackRules:
    """Who is asked at conclusion what they think of the service, beside whoever consulted us."""

    employer: bool = True
    """The employer's contact too, where a case has one."""
    days_between: int = 30
    """One address has no more than one such letter in so many days."""


@dataclass(frozen=True, slots=True)
class DigestRules:
    daily: bool = True
    weekly: bool = True
    at: time | None = None
    """Local time; None: when the office opens."""


@dataclass(frozen=True, slots=True)
class Practice:
    """Rules, calendar, wording, retention and the vault."""

    vault: Vault
    calendar: WorkingCalendar
    clocks: Mapping[str, Clock]
    """Every clock that is kept, by name; ``triage`` is always among them."""
    letters: Letters
    reference_prefix: str
    address: str
    """The service's own mail address; a case's reply address is its +tag form."""
    acknowledgements_per_address: int
    acknowledgements_same_words: int
    recipients: tuple[str, ...] = ()
    """The addresses that mail is taken for, where they are named: ours too."""
    retention: RetentionRules = RetentionRules()
    sender_cards_per_hour: int = 20
    """New cases of one sender beyond which cards are folded into one line."""
    directory: DirectoryRules = field(default_factory=DirectoryRules)
    advice: AdviceRules = field(default_factory=AdviceRules)
    sign_off_below_threshold: bool = False
    """A decision below the threshold stands only once a second officer has agreed to it."""

    unclaimed_after: timedelta | None = None
    """Office time after which the manager hears of a case that nobody has taken; None: never."""
    nudges_in_office_hours: bool = True
    """Reminders come when somebody is there, save what is urgent."""
    chasers: ChaserRules | None = ChaserRules()
    """None: nobody is chased."""
    digests: DigestRules = DigestRules()
    answers_in_slack: bool = True
    """False where Slack may hold no content: whoever asked there is answered by telephone or email."""
    largest_file_sent: int | None = None
    """In bytes, of the files of a case that go to officers in Slack; None: none does."""
    feedback: FeedbackRules | None = None
    """None: nobody is asked."""
    week: Week = field(default_factory=Week)
    """Who is on duty; a week without anybody is no rota."""
    routing: Routing = field(default_factory=Routing)
    seniors: SeniorManagers = field(default_factory=SeniorManagers)

    def started_by(self, start: Start) -> tuple[str, ...]:
        """The clocks that something starts."""
        return tuple(name for name, clock in self.clocks.items() if clock.start is start)

    @property
    def own_addresses(self) -> tuple[str, ...]:
        return (self.address, *self.recipients)

    def is_ours(self, address: str) -> bool:
        """Whether mail to it comes here, as its +tag forms do: nobody to answer."""
        return _without_tag(address) in {_without_tag(own) for own in self.own_addresses}

    def reply_address(self, reply_tag: str) -> str:
        local, _, domain = self.address.rpartition("@")
        return f"{local}+{reply_tag}@{domain}"

    def reply_tag_of(self, recipient: str) -> str | None:
        """The tag in one of our reply addresses, or None for any other address."""
        local, _, domain = recipient.rpartition("@")
        ours, _, our_domain = self.address.rpartition("@")
        if domain.lower() != our_domain.lower():
            return None
        base, plus, tag = local.partition("+")
        return tag.lower() if plus and base.lower() == ours.lower() and tag else None

    def bounce_address(self, bounce_tag: str) -> str:
        """Where whoever cannot deliver a letter says so: the envelope sender of that letter alone."""
        return self.reply_address(f"{_BOUNCE}{bounce_tag}")

    def bounce_tag_of(self, recipient: str) -> str | None:
        """The letter's tag in one of our bounce addresses, or None for any other address."""
        tag = self.reply_tag_of(recipient)
        return tag.removeprefix(_BOUNCE) if tag is not None and tag.startswith(_BOUNCE) else None

    def mail_id(self, message_id: str) -> str:
        """The Message-ID of a letter of ours, from its message's id: nobody else can guess it."""
        domain = self.address.rpartition("@")[2]
        return f"<{message_id}.{self.vault.tag('message-id', message_id)}@{domain}>"

    def address_key(self, address: str) -> str:
        """Matches an address without keeping it readable. Case is ignored: schools type it either way."""
        return self.vault.blind("address", address.strip().lower())

    def mail_key(self, message_id: str) -> str:
        """Matches a Message-ID, punctuation and all."""
        return self.vault.blind("message-id", message_id)


def _without_tag(address: str) -> str:
    local, _, domain = address.strip().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}".lower()


def takes_no_answers(address: str) -> bool:
    """Whether an address says of itself that nobody reads what comes to it, as ``no-reply@`` does."""
    return bool(_NO_REPLY.search(address.rpartition("@")[0]))


_NO_REPLY = re.compile(
    r"(?i)(?:^|[-_.+\d])(?:no|do[-_.]?not|don[-_.]?t)[-_.]?(?:repl(?:y|ies)|respon(?:d|se))(?:$|[-_.+=\d])"
)
