"""Foreign words are inert and fit."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from intake_bot.slack.escape import clean, cut, line, mrkdwn

NASTY = "Oak <!channel> & *bold* _it_ ~no~ `code` <https://evil.example|click> <@U0ALEX>"


def test_nothing_survives_as_mrkdwn():
    sent = mrkdwn(NASTY, 300)
    assert not re.search(r"[<>*_~`]", sent)
    assert "&amp;" in sent
    assert "&lt;!channel&gt;" in sent


def test_words_are_cut_whole():
    assert cut("one two three four", 12) == "one two…"
    assert cut("one two three four", 14) == "one two three…"
    assert cut("short", 5) == "short"
    assert cut("x" * 20, 10) == "x" * 9 + "…"


def test_what_cannot_be_shown_is_gone():
    assert clean("a\x00b\r\nc\rd\x1b[31m\u202egnp.exe\ud800") == "ab\nc\nd[31mgnp.exe"
    assert line("two\n> lines\tand\x0bmore", 100) == "two > lines andmore"
    assert line("\x00 \n", 10) == mrkdwn("", 10) == "-"


@given(st.text(), st.integers(min_value=10, max_value=80))
def test_any_text_fits_and_is_inert(text, limit):
    for sent in (mrkdwn(text, limit), line(text, limit)):
        assert 1 <= len(sent) <= limit
        assert "\n" not in sent
    assert not re.search(r"[<>*_~`]|&(?!amp;|lt;|gt;)", mrkdwn(text, limit))
