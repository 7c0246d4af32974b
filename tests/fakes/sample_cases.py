"""Cases as the desk is given them, for tests of what it makes of them. Fictional throughout."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from intake_bot.casework.desk import Actor, CaseCard, CaseView, DecisionView, DueTime, MessageView
from intake_bot.casework.vocabulary import DeadlineState, DecisionKind, Remark, Status
from triage.suggestion import Evidence, Polarity, Suggestion
from triage.vocabulary import Category, Criterion, Flag, MissingDatum, Threshold

CASE = "01KB3QZ8J0000000000000CASE"
RECEIVED = datetime(2026, 11, 27, 16, 40, tzinfo=UTC)
DUE = RECEIVED + timedelta(days=3)
CANARY = "a marigold under the staircase"
"""A phrase that stands in the message and must stand nowhere but in an officer's modal."""
TEXT = (
    f"Dear colleague,\r\n\r\nA pupil said that the sports coach grabbed her arm ({CANARY}). "
    "There was no bruise. Could you advise?\n"
)
SENDER = "Joanne Farrier <dsl@brookfield.example>"


def card(**changes: Any) -> CaseCard:
    return replace(
        CaseCard(
            case_id=CASE,
            reference="LADO-26-7QK3M",
            revision=1,
            status=Status.NEW,
            channel="email",
            received_at=RECEIVED,
            sector="School",
            officer=None,
            category=Category.PHYSICAL,
            category_confidence=0.82,
            threshold=Threshold.MEETS,
            threshold_confidence=0.61,
            flags=(Flag.ONLINE, Flag.INJURY),
            missing=(MissingDatum.SUBJECT_NAME, MissingDatum.DATE_OF_INCIDENT),
            due=(DueTime("triage", DUE, DeadlineState.RUNNING),),
            decision=None,
            decided_by=None,
            remarks=(),
            messages=1,
            no_names=False,
            restricted=False,
        ),
        **changes,
    )


def full_card(**changes: Any) -> CaseCard:
    """Everything that a card can hold at once."""
    return card(
        **{
            "status": Status.DECIDED,
            "officer": Actor("slack", "T0TEAM/U0ALEX"),
            "flags": tuple(Flag),
            "missing": tuple(MissingDatum),
            "due": tuple(DueTime(f"target_{state.value}", DUE, state, DUE) for state in DeadlineState),
            "decision": DecisionKind.REFERRAL,
            "decided_by": Actor("terminal", "sam"),
            "remarks": tuple(Remark),
            "messages": 7,
            "no_names": True,
            "restricted": False,
        }
        | changes
    )


def evidence(text: str, words: str, label: str = "physical", polarity: Polarity = Polarity.FOR) -> Evidence:
    start = text.index(words)
    return Evidence(start, start + len(words), words, label, polarity)


def suggestion(text: str = TEXT, **changes: Any) -> Suggestion:
    return replace(
        Suggestion(
            category=Category.PHYSICAL,
            secondary_categories=(Category.EMOTIONAL,),
            category_confidence=0.82,
            threshold=Threshold.MEETS,
            threshold_confidence=0.61,
            criteria=(Criterion.HARMED,),
            flags=(Flag.INJURY,),
            missing=(MissingDatum.SUBJECT_NAME,),
            evidence=(
                evidence(text, "grabbed her arm"),
                evidence(text, "no bruise", "injury", Polarity.AGAINST),
            )
            if text == TEXT
            else (),
            reason="Words for physical contact by an adult at work.",
            engine="rules",
            version="1",
        ),
        **changes,
    )


def message(**changes: Any) -> MessageView:
    return replace(
        MessageView(
            id="01KB3QZ8J0000000000000MAIL",
            direction="in",
            sender=SENDER,
            sender_trust="pass",
            machine_sent=None,
            received_at=RECEIVED,
            subject="Advice please",
            text=TEXT,
            full_text=TEXT,
            attachments=("statement.docx",),
            is_evidence_text=True,
        ),
        **changes,
    )


def view(**changes: Any) -> CaseView:
    return replace(
        CaseView(
            card=card(),
            messages=(message(),),
            suggestion=suggestion(),
            decision=None,
            explanations=("Received Friday 27 November 2026 at 16:40; due Monday 30 November 2026 at 16:40.",),
            proposed_links=(),
        ),
        **changes,
    )


def decision_view(reason: str = "It was agreed with the police.") -> DecisionView:
    return DecisionView(
        decision=DecisionKind.REFERRAL,
        category=Category.PHYSICAL,
        criteria=(Criterion.HARMED, Criterion.RISK_OF_HARM),
        reason=reason,
        by=Actor("slack", "T0TEAM/U0ALEX"),
        at=DUE,
    )
