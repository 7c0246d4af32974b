"""Acts as the spool keeps them: plain JSON with what is needed to perform them, and no token, trigger or response_url."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from intake_bot.casework import acts
from intake_bot.casework.acts import Act
from intake_bot.casework.desk import Actor

_VERSION = 1
_NAMED: Mapping[str, type[Act]] = {
    "claim": acts.Claim,
    "release": acts.Release,
    "hand_over": acts.HandOver,
    "decide": acts.Decide,
    "accept": acts.Accept,
    "sign_off": acts.GiveSignOff,
    "conclude": acts.Conclude,
    "reopen": acts.Reopen,
    "not_a_consultation": acts.NotAConsultation,
    "note": acts.Note,
    "meeting": acts.RecordMeeting,
    "action": acts.RecordAction,
    "close_action": acts.CloseAction,
    "stop_chasing": acts.StopChasing,
    "strand": acts.SetStrand,
    "end_clock": acts.EndClock,
    "regulator": acts.TellRegulator,
    "pause": acts.PauseCase,
    "resume": acts.ResumeCase,
    "transfer": acts.Transfer,
    "escalate": acts.Escalate,
    "restrict": acts.Restrict,
    "link": acts.LinkCases,
    "merge": acts.Merge,
    "split": acts.Split,
    "correct_receipt": acts.CorrectReceipt,
    "facts": acts.SetFacts,
    "adult": acts.NameAdult,
    "advise": acts.Advise,
    "reply": acts.Reply,
    "send_file": acts.SendFile,
}
"""The names under which acts are kept: they outlive a restart, so they are never given to another."""
_NAMES = {kind: name for name, kind in _NAMED.items()}


def pack(act: Act) -> bytes:
    """The act as the spool keeps it. What it says in words is content: the spool seals it."""
    kept = {field.name: _plain(getattr(act, field.name)) for field in fields(act)}
    del kept["case_id"]
    return json.dumps(kept | {"v": _VERSION, "act": _NAMES[type(act)], "case": act.case_id}, sort_keys=True).encode()


def interpret(payload: bytes) -> Act:
    """The inverse of :func:`pack`. Raises ValueError, with a fixed text, on anything else.

    A field that is not there has its default: an act may have been kept by a version that did not know it.
    """
    try:
        kept = json.loads(payload)
        if kept.pop("v") != _VERSION:
            raise ValueError
        name = kept.pop("act")
        kept["case_id"] = kept.pop("case")
        hints = _hints(name)
        if not kept.keys() <= hints.keys():
            raise ValueError
        return _NAMED[name](**{field: _typed(hints[field], value) for field, value in kept.items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        # The cause's words may hold the payload's.
        raise ValueError("this is no act that was kept by the Slack desk") from None


@cache
def _hints(name: str) -> dict[str, Any]:
    return get_type_hints(_NAMED[name])


def _plain(value: Any) -> Any:
    match value:
        case Actor():
            return str(value)
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def _typed(hint: Any, value: Any) -> Any:
    """A JSON value as a field's type. Raises ValueError where it is not one."""
    if get_origin(hint) in (Union, UnionType):
        if value is None:
            return None
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
    if get_origin(hint) is tuple:
        return tuple(_typed(get_args(hint)[0], item) for item in value)
    if hint is Actor:
        return Actor.parse(value)
    if hint is datetime:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        return moment
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if type(value) is not hint:
        raise ValueError
    return value
