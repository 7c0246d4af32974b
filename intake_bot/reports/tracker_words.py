"""How trackers call their columns and what they write in them: data, to be added to as trackers are met."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

from intake_bot.casework.vocabulary import CaseOutcome, DecisionKind, EmployerAction, Source
from triage.vocabulary import Category

# What a mapping may name, and how the heads of trackers call it.
FIELDS: Mapping[str, str] = {
    "reference": r"ref(?:erence)?\b|^(?:case |lado )?(?:id|no|number)\.?$|unique",
    "received": r"(?:date|when).*(?:contact|receiv|referral|referred|consult|notif)|^date$|received",
    "decided": r"(?:date|when).*(?:decision|decided|threshold)",
    "concluded": r"(?:date|when).*(?:clos|conclu|outcome|end)|^(?:closed|concluded)$",
    "meeting": r"(?:date|when).*(?:meeting|asv|amm|strategy|iem)",
    "in_24_hours": r"24 ?h|one working day|1 working day|in time",
    "employer_knew": r"first (?:knew|known|aware)|(?:employer|setting|school).*(?:knew|aware)|date.*(?:aware|disclos)",
    "organisation": r"organi[sz]ation|employer\b(?!.*action)|school|setting|workplace|establishment",
    "sub_sector": r"sub.?sector|phase|type of (?:school|setting)",
    "sector": r"sector|workforce|profession\b|agency\b(?!.*ref)",
    "source": r"source|referr(?:er|ed by|ing)|who (?:contacted|referred)|contact from",
    "category": r"categor|type of (?:abuse|allegation|concern|harm)|nature of|allegation type|abuse type",
    "decision": r"decision|threshold|consultation.*referral|contact outcome|status of contact|^type$",
    "criteria": r"criteri",
    "outcome": r"^(?:final |lado )?outcome|finding",
    "employer_action": r"employer.*action|action.*employer|disciplinary",
    "police": r"police",
    "themes": r"theme|tag",
}
Meanings = tuple[tuple[str, str], ...]
VALUES: Mapping[str, tuple[type[Enum], Meanings]] = {
    "decision": (
        DecisionKind,
        (
            (r"transfer|other (?:la|lado|authority)", DecisionKind.TRANSFERRED),
            (r"no further|^nfa", DecisionKind.NO_FURTHER_ACTION),
            (r"not met|below|advice|consult|guidance|threshold no|^no$|does not", DecisionKind.CONSULTATION),
            (r"met\b|referral|progress|^yes$|amm|asv|allegation", DecisionKind.REFERRAL),
        ),
    ),
    "category": (
        Category,
        (
            (r"physical|restraint", Category.PHYSICAL),
            (r"emotion|verbal", Category.EMOTIONAL),
            (r"sex|cse|indecent", Category.SEXUAL),
            (r"neglect", Category.NEGLECT),
            (r"personal|private|transfer|domestic|home life", Category.PRIVATE_LIFE),
            (r"conduct|boundar|suitab|behaviour|standard", Category.CONDUCT),
            (r"none|other|n/?a|undefined|unknown", Category.NONE),
        ),
    ),
    "outcome": (
        CaseOutcome,
        (
            (r"un-?substantiat", CaseOutcome.UNSUBSTANTIATED),
            (r"un-?founded", CaseOutcome.UNFOUNDED),
            (r"substantiat|founded", CaseOutcome.SUBSTANTIATED),
            (r"malicious", CaseOutcome.MALICIOUS),
            (r"false", CaseOutcome.FALSE),
        ),
    ),
    "source": (
        Source,
        (
            (r"social care|children.?s services|mash|front door|social work|fostering", Source.SOCIAL_CARE),
            (r"police", Source.POLICE),
            (r"health|nhs|hospital|gp\b", Source.HEALTH),
            (r"parent|carer", Source.PARENT_OR_CARER),
            (r"^child|young person", Source.CHILD),
            (r"ofsted", Source.OFSTED),
            (r"nspcc", Source.NSPCC),
            (r"other (?:la|lado|local authority)|another|lado", Source.ANOTHER_AUTHORITY),
            (r"public|anonym|neighbour", Source.PUBLIC),
            (r"regulat|profession|union", Source.PROFESSIONAL_BODY),
            (
                r"school|education|employer|nursery|early years|academy|college|setting|agency|charity|club",
                Source.EMPLOYER,
            ),
            (r"other|unknown", Source.OTHER),
        ),
    ),
    "employer_action": (EmployerAction, tuple((re.escape(one.value.replace("_", " ")), one) for one in EmployerAction)),
}


def field_of(head: str) -> str | None:
    return next((name for name, form in FIELDS.items() if re.search(form, head, re.IGNORECASE)), None)


def meant(value: str, meanings: Meanings) -> str:
    return next((str(code) for form, code in meanings if re.search(form, value, re.IGNORECASE)), "")
