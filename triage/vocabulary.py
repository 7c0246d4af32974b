"""The words that triage, storage and casework share.

Each enum's value is what machines read (design of the JSON answers); ``label`` is what people read. The four criteria
are quoted from *Keeping children safe in education*, Part four, section one.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class _Labelled(StrEnum):
    """A value for machines with a label for people beside it."""

    label: str

    def __new__(cls, value: str, label: str = "") -> _Labelled:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member


class Category(_Labelled):
    """What kind of harm or conduct is described; the initial nature at the point of contact."""

    PHYSICAL = "physical", "Physical"
    EMOTIONAL = "emotional", "Emotional"
    SEXUAL = "sexual", "Sexual"
    NEGLECT = "neglect", "Neglect"
    CONDUCT = "conduct", "Conduct at work"
    PRIVATE_LIFE = "private_life", "Behaviour in private life (transferable risk)"
    NONE = "none", "None named"


class Threshold(_Labelled):
    """Whether the harm threshold seems met. A suggestion only: an officer decides."""

    MEETS = "meets_harm_threshold", "Seems to meet the harm threshold"
    LOW_LEVEL = "low_level_concern", "Seems a low-level concern"
    NOT_LADO = "not_lado", "Seems not a matter for the designated officer"
    UNCLEAR = "unclear", "Unclear: needs an officer's reading"


class Criterion(IntEnum):
    """The four harm-threshold criteria. The test is harm, not significant harm."""

    HARMED = 1
    CRIMINAL_OFFENCE = 2
    RISK_OF_HARM = 3
    NOT_SUITABLE = 4

    @property
    def wording(self) -> str:
        return _CRITERION_WORDING[self]


_CRITERION_WORDING = {
    Criterion.HARMED: "Behaved in a way that has harmed a child, or may have harmed a child",
    Criterion.CRIMINAL_OFFENCE: "Possibly committed a criminal offence against or related to a child",
    Criterion.RISK_OF_HARM: (
        "Behaved towards a child or children in a way that indicates he or she may pose a risk of harm to children"
    ),
    Criterion.NOT_SUITABLE: (
        "Behaved or may have behaved in a way that indicates they may not be suitable to work with children"
    ),
}


class Flag(_Labelled):
    """Circumstances that change what an officer does first; never a threshold decision."""

    IMMEDIATE_DANGER = "immediate_danger", "Immediate danger"
    INJURY = "injury", "Injury to a child"
    RESTRAINT = "restraint", "Restraint"
    ONLINE = "online", "Online"
    PRIVATE_LIFE = "private_life", "Private life"
    NON_RECENT = "non_recent", "Non-recent"
    OWN_CHILDREN = "own_children", "Own children"
    POLICE_INVOLVED = "police_involved", "Police involved"
    MEDIA_INTEREST = "media_interest", "Media interest"
    SUBJECT_IS_SENIOR = "subject_is_senior", "Senior person"
    DISABLED_CHILD = "disabled_child", "Disabled child"
    MULTIPLE_CHILDREN = "multiple_children", "More than one child"
    OTHER_AUTHORITY = "other_authority", "Another authority"
    CHILD_ON_CHILD = "child_on_child", "Child on child"
    PARENT_COMPLAINT = "parent_complaint", "Parent's complaint"
    FOSTER_CARER = "foster_carer", "Foster carer"


URGENT_FLAGS = frozenset({Flag.IMMEDIATE_DANGER, Flag.INJURY})
"""Flags that a duty officer must see before anything else on a card."""


class MissingDatum(_Labelled):
    """The minimum data of a consultation; the label completes "please tell us ..."."""

    SUBJECT_NAME = "subject_name", "the full name of the adult the concern is about"
    SUBJECT_ROLE = "subject_role", "that adult's role or job title"
    WORKPLACE = "workplace", "where that adult works or volunteers"
    CHILD_NAME_OR_AGE = "child_name_or_age", "the name and age of each child concerned"
    DATE_OF_INCIDENT = "date_of_incident", "when it happened"
    REFERRER_CONTACT = "referrer_contact", "your full name, role and a telephone number"
    WHAT_HAPPENED = "what_happened", "what happened, in the words of whoever saw or heard it"
    ACTIONS_TAKEN = "actions_taken", "what has been done so far"


NAMING_DATA = frozenset({MissingDatum.SUBJECT_NAME, MissingDatum.CHILD_NAME_OR_AGE})
"""Minimum data that identify a person: never asked for in a no-names consultation."""
