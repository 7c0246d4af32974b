"""Acts as the spool keeps them: plain JSON with what is needed to perform them, and no token, trigger or response_url."""

from __future__ import annotations

import json
from typing import Any

from intake_bot.casework.acts import Act, Claim, Conclude, Decide, Release
from intake_bot.casework.desk import Actor
from intake_bot.casework.vocabulary import CaseOutcome, DecisionKind
from triage.vocabulary import Category, Criterion

_VERSION = 1


def pack(act: Act) -> bytes:
    """The act as the spool keeps it. A decision's reason is content: the spool seals it."""
    kept: dict[str, Any] = {"v": _VERSION, "case": act.case_id, "by": str(act.by)}
    match act:
        case Claim():
            kept["act"] = "claim"
        case Release():
            kept["act"] = "release"
        case Decide():
            kept |= {
                "act": "decide",
                "decision": act.decision.value,
                "category": act.category.value,
                "criteria": [int(criterion) for criterion in act.criteria],
                "reason": act.reason,
            }
        case Conclude():
            kept |= {
                "act": "conclude",
                "outcome": act.outcome.value if act.outcome else None,
                "note": act.note,
                "strip_names": act.strip_names,
            }
    return json.dumps(kept, sort_keys=True).encode()


def interpret(payload: bytes) -> Act:
    """The inverse of :func:`pack`. Raises ValueError, with a fixed text, on anything else."""
    try:
        kept = json.loads(payload)
        if kept["v"] != _VERSION:
            raise ValueError
        case_id, by = str(kept["case"]), Actor.parse(kept["by"])
        match kept["act"]:
            case "claim":
                return Claim(case_id, by)
            case "release":
                return Release(case_id, by)
            case "decide":
                return Decide(
                    case_id,
                    by,
                    DecisionKind(kept["decision"]),
                    Category(kept["category"]),
                    tuple(Criterion(value) for value in kept["criteria"]),
                    str(kept["reason"]),
                )
            case "conclude":
                outcome = CaseOutcome(kept["outcome"]) if kept["outcome"] is not None else None
                return Conclude(case_id, by, outcome, str(kept["note"]), strip_names=kept["strip_names"] is True)
            case _:
                raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        # The cause's words may hold the payload's.
        raise ValueError("this is no act that was kept by the Slack desk") from None
