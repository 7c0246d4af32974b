"""Casework's own closed lists: what state a case, a deadline or a reminder is in, and what an officer can decide.

What triage shares with everyone is in :mod:`triage.vocabulary`; this adds the words that only casework needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Status(StrEnum):
    """Where a case stands. No case is closed by a clock."""

    NEW = "new"
    CLAIMED = "claimed"
    DECIDED = "decided"
    IN_PROGRESS = "in_progress"
    PAUSED = "paused"
    CONCLUDED = "concluded"
    NOT_A_CONSULTATION = "not_a_consultation"


UNDECIDED = frozenset({Status.NEW, Status.CLAIMED})
CLOSED = frozenset({Status.CONCLUDED, Status.NOT_A_CONSULTATION})
"""Nothing runs on such a case, and its content is kept until its review."""
OPEN = tuple(status for status in Status if status not in CLOSED)
"""All others: named, so that a list of them is found by an index among a million closed ones."""


class DecisionKind(StrEnum):
    """An officer's threshold decision."""

    REFERRAL = "referral"
    CONSULTATION = "consultation"
    TRANSFERRED = "transferred"
    NO_FURTHER_ACTION = "no_further_action"

    @property
    def label(self) -> str:
        return {
            DecisionKind.REFERRAL: "Referral: the harm threshold is met",
            DecisionKind.CONSULTATION: "Consultation: advice given",
            DecisionKind.TRANSFERRED: "Transferred to another authority's officer",
            DecisionKind.NO_FURTHER_ACTION: "No further action",
        }[self]


class CaseOutcome(StrEnum):
    """What a referral came to in the end (Keeping children safe in education, Part four). "Ongoing" is none of them."""

    SUBSTANTIATED = "substantiated"
    MALICIOUS = "malicious"
    FALSE = "false"
    UNSUBSTANTIATED = "unsubstantiated"
    UNFOUNDED = "unfounded"

    @property
    def label(self) -> str:
        return {
            CaseOutcome.SUBSTANTIATED: "Substantiated: there is sufficient evidence to prove the allegation",
            CaseOutcome.MALICIOUS: (
                "Malicious: there is sufficient evidence to disprove the allegation, and a deliberate act to deceive"
            ),
            CaseOutcome.FALSE: "False: there is sufficient evidence to disprove the allegation",
            CaseOutcome.UNSUBSTANTIATED: (
                "Unsubstantiated: there is insufficient evidence to prove or disprove the allegation; "
                "it implies neither guilt nor innocence"
            ),
            CaseOutcome.UNFOUNDED: (
                "Unfounded: there is no evidence or proper basis; what was seen was misinterpreted or mistaken"
            ),
        }[self]


class EmployerAction(StrEnum):
    """What the employer did in the end, as the annual reports count it."""

    DISMISSAL = "dismissal"
    RESIGNATION = "resignation"
    CESSATION_OF_USE = "cessation_of_use"
    WARNING = "warning"
    TRAINING = "training"
    MANAGEMENT_ADVICE = "management_advice"
    NO_FURTHER_ACTION = "no_further_action"
    OTHER = "other"


class MeetingKind(StrEnum):
    """A meeting about the allegation: the first one, or the same people again; or another body's meeting."""

    INITIAL = "initial"
    RECONVENED = "reconvened"
    STRATEGY = "strategy"
    OTHER = "other"


class Owner(StrEnum):
    """Who owes an action."""

    REFERRER = "referrer"
    EMPLOYER = "employer"
    POLICE = "police"
    SOCIAL_CARE = "social_care"
    REGULATOR = "regulator"
    OFFICER = "officer"
    OTHER = "other"


class ActionState(StrEnum):
    OPEN = "open"
    DONE = "done"
    CANCELLED = "cancelled"


class StrandKind(StrEnum):
    """The inquiries that run beside ours."""

    POLICE = "police"
    SOCIAL_CARE = "social_care"
    EMPLOYER = "employer"


class PauseReason(StrEnum):
    """What a case waits for whose clocks stand still."""

    POLICE = "police"
    CPS = "cps"
    COURT = "court"
    SOCIAL_CARE = "social_care"
    OTHER = "other"


class ClockEnd(StrEnum):
    """What an officer says of one clock."""

    MET = "met"
    NO_CLOCK = "no_clock"
    """It does not fit the case."""
    RESTART = "restart"
    """It was ended wrongly, and runs again."""


class RegulatorBody(StrEnum):
    """Who is told that somebody may be unsuitable."""

    DBS = "dbs"
    TRA = "tra"
    OFSTED = "ofsted"
    SPORT = "sport"
    PROFESSIONAL = "professional"
    CHARITY_COMMISSION = "charity_commission"
    OTHER = "other"


class Escalation(StrEnum):
    """Why a senior manager is told."""

    COMPLEX = "complex"
    MEDIA = "media"
    SENIOR_PERSON = "senior_person"
    OTHER = "other"


class SetAside(StrEnum):
    """Why something is no consultation. ``MERGED``: it is one, and is dealt with under another reference."""

    MISDIRECTED = "misdirected"
    UNSOLICITED = "unsolicited"
    INFORMATION_ONLY = "information_only"
    TEST = "test"
    DUPLICATE = "duplicate"
    MERGED = "merged"
    OTHER = "other"


class Source(StrEnum):
    """Who brings a consultation, as the figures count it; not where the adult works."""

    EMPLOYER = "employer"
    SOCIAL_CARE = "social_care"
    POLICE = "police"
    HEALTH = "health"
    PARENT_OR_CARER = "parent_or_carer"
    CHILD = "child"
    PUBLIC = "public"
    OFSTED = "ofsted"
    NSPCC = "nspcc"
    ANOTHER_AUTHORITY = "another_authority"
    PROFESSIONAL_BODY = "professional_body"
    OTHER = "other"


class SignOff(StrEnum):
    """Whether a second officer has agreed to a decision below the threshold, where the setting asks for one."""

    PENDING = "pending"
    GIVEN = "given"
    REFUSED = "refused"


TARGET_LABELS: Mapping[str, str] = MappingProxyType(
    {
        "triage": "First response and decision",
        "sign_off": "Second officer's sign-off",
        "advice": "Advice",
        "first_meeting": "First meeting",
        "one_month": "Conclusion within one month",
        "three_months": "Conclusion within three months",
        "twelve_months": "Conclusion within twelve months",
        "foster_investigation": "Investigation of a foster carer",
        "employer_report": "The employer's report",
    }
)
"""The field's targets in words; one that an authority adds reads as its own name."""


class DeadlineState(StrEnum):
    """``MISSED`` stays when the target is met later, with the time it was met beside it."""

    RUNNING = "running"
    MET = "met"
    MISSED = "missed"
    CANCELLED = "cancelled"
    PAUSED = "paused"


class ReminderState(StrEnum):
    """``LATE``: sent more than five minutes after it was due."""

    WAITING = "waiting"
    SENT = "sent"
    LATE = "late"
    CANCELLED = "cancelled"


# Why a document among the attachments could not be turned to text, or not all of it, as the reading's defects name it.
DOCUMENT_FAULTS = frozenset(
    {"DocumentBroken", "DocumentEncrypted", "DocumentTooLarge", "DocumentTooSlow", "DocumentsCut"}
)


class Remark(StrEnum):
    """What a card says beside the facts: circumstances of arrival that an officer must know. Never content."""

    NOT_ACKNOWLEDGED_MACHINE = "not_acknowledged_machine"
    NOT_ACKNOWLEDGED_CAP = "not_acknowledged_cap"
    NOT_ACKNOWLEDGED_NO_ADDRESS = "not_acknowledged_no_address"
    NOT_ACKNOWLEDGED_NO_REPLY = "not_acknowledged_no_reply"
    REPLY_TO_OURS = "reply_to_ours"
    SENDER_TRUST_FAIL = "sender_trust_fail"
    SAME_ID_OTHER_SENDER = "same_id_other_sender"
    PROPOSED_LINK = "proposed_link"
    UNREADABLE = "unreadable"
    DOCUMENT_UNREAD = "document_unread"
    NO_SUGGESTION = "no_suggestion"
    RULES_ALONE = "rules_alone"
    FILED_UNREAD = "filed_unread"
    NOT_DELIVERED = "not_delivered"
    OTHER_AUTHORITY = "other_authority"
    FOLDED = "folded"
    EARLIER_CONTACT = "earlier_contact"
    SETTING_PATTERN = "setting_pattern"
    PURGED = "purged"

    @property
    def label(self) -> str:
        return {
            Remark.NOT_ACKNOWLEDGED_MACHINE: "Sent by a machine: not acknowledged. If a person is behind it, telephone",
            Remark.NOT_ACKNOWLEDGED_CAP: "Not acknowledged: this address has had its fill of automatic answers",
            Remark.NOT_ACKNOWLEDGED_NO_ADDRESS: "Not acknowledged: there is no address to answer",
            Remark.NOT_ACKNOWLEDGED_NO_REPLY: "Not acknowledged: nobody reads mail to its address. Telephone who wrote",
            Remark.REPLY_TO_OURS: "Asked for answers to an address of ours: answers go to its sender instead",
            Remark.SENDER_TRUST_FAIL: "The sender's address failed authentication: check who wrote before you answer",
            Remark.SAME_ID_OTHER_SENDER: "Carries the Message-ID of another sender's message: check both",
            Remark.PROPOSED_LINK: "May belong to another case: see View",
            Remark.UNREADABLE: "Encrypted, locked, or kept by a secure-mail service: not read. Ask for it again",
            Remark.DOCUMENT_UNREAD: "An attached document is locked, broken or too large to read here: open it yourself",
            Remark.NO_SUGGESTION: "No suggestion could be made: read it in full",
            Remark.RULES_ALONE: "Read by the rules alone, as many messages waited; the full reading follows",
            Remark.FILED_UNREAD: "Could not be read and was filed as it is: open the original",
            Remark.NOT_DELIVERED: "A letter of ours did not arrive: telephone",
            Remark.OTHER_AUTHORITY: "By its mail domain the sender is another authority's: check whose case this is",
            Remark.FOLDED: "One of very many from one sender: it has no card of its own until somebody takes it up",
            Remark.EARLIER_CONTACT: "Earlier contacts may concern the same adult: see View",
            Remark.SETTING_PATTERN: "Four or more contacts about this setting in 90 days: see View",
            Remark.PURGED: "Purged: its content was destroyed, as retention asks; the coded facts are kept",
        }[self]
