"""What came by Slack and could not be dealt with: an officer files it, on both databases, and nothing of it is lost."""

from __future__ import annotations

import json

import pytest
from sqlmodel import col, select

from conftest import FRIDAY_1640
from contract.test_casework import AMINA, Desk, desk
from intake_bot.casework import views
from intake_bot.casework.consultation import Consultation
from intake_bot.intake import file_parked
from storage import spool
from storage.spool import MAX_TRIES, Channel, Offer
from storage.tables import Case, Spooled

__all__ = ["desk"]

WORDS = "A coach hit a boy of ten. zylophantine marmalade"
SAID = {"user": "U9", "team": "T1", "channel": "D9", "ts": f"{FRIDAY_1640.timestamp():.6f}", "text": WORDS}


def parked(desk: Desk, channel: Channel, payload: bytes) -> str:
    (identity,) = spool.accept(
        desk.database, desk.practice.vault, [Offer(channel, payload, {}, FRIDAY_1640, key=f"slack:{payload[:40]!r}")]
    )
    assert identity is not None
    with desk.database.write() as session:
        for _ in range(MAX_TRIES):
            spool.fail(session, identity, "fault", now=FRIDAY_1640)
        assert spool.state_of(session, identity) == "parked"
    return identity


@pytest.mark.parametrize(
    ("channel", "payload", "is_read"),
    [
        (Channel.FORM, Consultation(channel="slack", what_happened=WORDS, asker="slack:T1/U9").pack(), True),
        (Channel.TALK, json.dumps(SAID | {"thread_ts": "nothing"}).encode(), True),
        (Channel.FORM, json.dumps({"v": 9, "what_happened": WORDS}).encode(), False),
        (Channel.TALK, json.dumps({"text": WORDS}).encode(), False),
        (Channel.TALK, WORDS.encode(), False),
    ],
)
def test_a_consultation_that_is_parked_can_be_filed(
    desk: Desk, channel: Channel, payload: bytes, is_read: bool
) -> None:
    identity = parked(desk, channel, payload)
    with desk.database.write() as session:
        reference = file_parked(session, desk.practice, identity, by=AMINA, now=FRIDAY_1640)
    assert reference is not None
    with desk.database.read() as session:
        case = session.exec(select(Case).where(col(Case.reference) == reference)).one()
        shown = views.show_json(session, desk.practice, case)
        assert session.exec(select(Spooled.state)).all() == ["done"]
        assert case.channel == "slack"
        original = views.attachment(session, desk.practice, case, 1)
    (message,) = [one for one in shown["messages"] if one["direction"] == "in"]
    assert (WORDS in (message["body_text"] or "")) is is_read
    if not is_read:
        assert original is not None
        assert original[1] == payload, "the bytes as they came are its attachment"
    assert "filed_unread" in [entry["act"] for entry in shown["audit"]]


def test_an_officers_act_is_no_consultation(desk: Desk) -> None:
    identity = parked(desk, Channel.SLACK, b"{}")
    with desk.database.write() as session:
        assert file_parked(session, desk.practice, identity, by=AMINA, now=FRIDAY_1640) is None
        session.rollback()
    with desk.database.read() as session:
        assert spool.state_of(session, identity) == "parked"
