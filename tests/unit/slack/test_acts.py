"""Acts come back from the spool as they went in, and nothing else does."""

from __future__ import annotations

import json

import pytest

from intake_bot.casework.acts import Claim, Conclude, Decide, Release
from intake_bot.casework.desk import Actor
from intake_bot.casework.vocabulary import CaseOutcome, DecisionKind
from intake_bot.slack.acts import interpret, pack
from triage.vocabulary import Category, Criterion

ALEX = Actor("slack", "T0TEAM/U0ALEX")
DECIDE = Decide("C1", ALEX, DecisionKind.REFERRAL, Category.SEXUAL, (Criterion.HARMED,), "Reasons, “quoted” and ü.")


@pytest.mark.parametrize(
    "act",
    [
        Claim("C1", ALEX),
        Release("C1", ALEX),
        DECIDE,
        Conclude("C1", ALEX, CaseOutcome.UNFOUNDED, "How it ended."),
        Conclude("C1", ALEX, None, "Advice given.", strip_names=True),
    ],
)
def test_there_and_back(act):
    assert interpret(pack(act)) == act


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b'{"v": 1}',
        pack(DECIDE).replace(b'"v": 1', b'"v": 2'),
        pack(DECIDE).replace(b"sexual", b"marigold"),
        pack(DECIDE).replace(b"decide", b"marigold"),
        json.dumps({"v": 1, "case": "C1", "by": 7, "act": "claim"}).encode(),
    ],
)
def test_a_foreign_payload_is_refused_in_fixed_words(payload):
    with pytest.raises(ValueError, match=r"^this is no act that was kept by the Slack desk$") as refused:
        interpret(payload)
    assert refused.value.__suppress_context__
