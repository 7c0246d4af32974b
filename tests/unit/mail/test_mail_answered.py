"""Whose letter lies under a message: ours, or somebody's whose words we have not had."""

from __future__ import annotations

import pytest

from intake_bot.mail.answered import history_is_by
from intake_bot.mail.limits import Limits
from intake_bot.mail.quoting import is_reply_subject
from intake_bot.mail.reading import read

OURS = ("lado@elmshire.example", "allegations@elmshire.example")


@pytest.mark.parametrize(
    ("history", "ours"),
    [
        (
            "From: Designated Officer Service <lado@elmshire.example>\nSent: 23 November 2026 07:30\n"
            "To: Jane Archer <head@oakfield.example>\nSubject: LADO-26-ABCDEF\n\nThank you.",
            True,
        ),
        (
            "On Mon, 23 Nov 2026 at 07:30, Designated Officer <Allegations@elmshire.example> wrote:\n\n> Thank you.",
            True,
        ),
        ("> On Mon, 23 Nov 2026 at 07:30, A B <lado+k3y@elmshire.example> wrote:\n>> Thank you.", True),
        (
            "From: Sally Moss <sally@home.example>\nSent: 23 November 2026 07:30\nTo: lado@elmshire.example\n"
            "Subject: My son\n\nA coach shouted at him.",
            False,
        ),
        # The nearest is a governor's, and what it says is new; under it stands our letter.
        (
            "On Tue, 24 Nov 2026 at 08:00, A Governor <gov@oakfield.example> wrote:\n> He has done it again.\n>\n"
            "> On Mon, 23 Nov 2026 at 07:30, Officer <lado@elmshire.example> wrote:\n>> Thank you.",
            False,
        ),
        # A display name is anybody's, and so is an address that ends as ours does.
        ("On Mon, 23 Nov 2026 at 07:30, lado@elmshire.example.evil <x@evil.example> wrote:\n> Hello.", False),
        ("From: lado@elmshire.example wrote to us last week about the coach.", False),
        ("", False),
    ],
)
def test_whose_letter_is_answered(history: str, ours: bool) -> None:
    assert history_is_by(f"Thank you, we will.\n\n{history}", OURS) is ours


def test_only_what_was_taken_off_is_looked_at() -> None:
    letter = "On Mon, 23 Nov 2026 at 07:30, Officer <lado@elmshire.example> wrote:\r\n> Thank you.\r\n"
    head = "From: head@oakfield.example\r\nTo: lado@elmshire.example\r\nSubject: {} a coach\r\n\r\nWe agree with it.\r\n\r\n"

    def by_us(subject: str) -> bool:
        raw = (head.format(subject) + letter).encode()
        return read(
            raw, envelope_from="", envelope_to=(), authserv_id=None, own_addresses=OURS, limits=Limits()
        ).history_by_us

    assert by_us("Re:")
    assert not by_us("Fw:")


def test_a_reference_is_no_answer() -> None:
    assert not is_reply_subject("Ref: allegation against a coach")
    assert not is_reply_subject("REF: 2026/17")
