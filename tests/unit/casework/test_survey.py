"""What a reply to the survey answers, however it was filled in; and that nothing else that was written is lost."""

from __future__ import annotations

import re
import textwrap

import pytest

from intake_bot.casework.letters import Letterhead, Letters
from intake_bot.casework.survey import LINES, REMARK, is_subject_of, read
from intake_bot.settings import Office

HEAD = Letterhead("LADO service", "Elmshire", "", "Front door", "", "", "", "", Office().zone)  # type: ignore[call-arg]
LETTER = Letters(HEAD).feedback(reference="LADO-26-2222222")
TEXT = LETTER.text
ALL = {"reached": "4", "clear": "5", "in_time": "yes", "surer": "partly"}


def filled(*answers: str, remark: str = "") -> str:
    text = TEXT
    for line, answer in zip(LINES, answers, strict=False):
        text = text.replace(line, f"{line} {answer}")
    return text.replace(REMARK, f"{REMARK} {remark}")


def quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def answers_of(text: str, body: str = "") -> tuple[dict[str, str], str]:
    found = read(text, (LETTER.subject, TEXT, LETTER.html), body_text=body)
    return dict(found.answers), found.remark


OUTLOOK = "\n\nFrom: LADO <lado@elmshire.example>\nSent: 01 December 2026 09:00\nTo: J Farrier\nSubject: four\n\n"


@pytest.mark.parametrize(
    "reply",
    [
        "On Tue, 1 Dec 2026 at 09:00, LADO <lado@elmshire.example> wrote:\n"
        + quoted(filled("4", "5", "yes", "partly")),
        OUTLOOK + filled("4/5", "five", "Yes, thank you", "Partly."),
        OUTLOOK + filled("\n4", "\n\n5", "\nY", "\npartly"),
        "1: 4\n2) 5\nQ3. yes\n4 - partly\n" + OUTLOOK + TEXT,
        quoted("\n".join(textwrap.fill(line, 40) for line in filled("4", "5", "yes", "partly").splitlines())),
    ],
)
def test_a_form_is_read_wherever_it_was_filled_in(reply: str) -> None:
    body = reply.partition("\n\nFrom:")[0] if reply.startswith("1: 4") else ""
    assert answers_of(reply, body) == (ALL, "")


def test_the_numbers_of_a_list_may_be_lost() -> None:
    reply = quoted(filled("4", "5", "yes", "partly"))
    assert answers_of(re.sub(r"> \d\. ", "> ", reply)) == (ALL, "")


def test_a_signature_is_no_remark_where_it_is_known_and_no_word_of_it_is_lost_where_it_is_not() -> None:
    signature = "J Farrier\nMr Brown hit another child today"
    for reply in ("1: 4\n\n-- \n" + signature + OUTLOOK + TEXT, "1: 4" + OUTLOOK + TEXT):
        found = read(
            reply, (LETTER.subject, TEXT), body_text="1: 4", signature_text=signature, known=["J Farrier", "Head"]
        )
        assert (found.answers, found.remark) == ({"reached": "4"}, "Mr Brown hit another child today")


@pytest.mark.parametrize(
    ("reply", "body", "remark"),
    [
        (quoted(filled("4", remark="the duty officer was kind")), "", "the duty officer was kind"),
        ("He did it again.\n" + quoted(filled("4")), "He did it again.", "He did it again."),
        # Between the lines of the form, and behind an answer.
        (quoted(filled("4", "5 but he hit her on Friday")), "", "5 but he hit her on Friday"),
        (quoted(filled("4").replace(LINES[3], "He hit her on Friday.\n" + LINES[3])), "", "He hit her on Friday."),
        # It reads like a program's line, and is not one.
        (quoted(filled("4", remark="\nOn Friday he wrote: come to me")), "", "On Friday he wrote: come to me"),
        # The very words of our letter, as somebody's own.
        ("Do\nnot name anybody\n" + quoted(filled("4")), "Do\nnot name anybody", "Do\nnot name anybody"),
    ],
)
def test_whatever_else_was_written_is_kept(reply: str, body: str, remark: str) -> None:
    assert answers_of(reply, body) == ({"reached": "4"}, remark)


@pytest.mark.parametrize("said", ["4 or 5", "6", "0", "yes", "well, 4", "45"])
def test_what_may_mean_two_things_is_no_answer(said: str) -> None:
    assert answers_of(quoted(filled(said))) == ({}, said)


def test_the_form_itself_says_nothing() -> None:
    assert answers_of(OUTLOOK + TEXT) == ({}, "")
    assert answers_of("") == ({}, "")


@pytest.mark.parametrize(
    ("subject", "ours"),
    [
        ("four", True),
        ("AW: Re[2]: FW: four\n questions", False),
        ("AW: Re[2]: FW:  four", True),
        ("Re: Mr Brown hit another child: four", False),
        ("[He hit her] Re: four", False),
        ("Re: four more children", False),
        ("", False),
    ],
)
def test_a_subject_is_the_letters_with_nothing_of_theirs(subject: str, ours: bool) -> None:
    assert is_subject_of("four", subject) is ours
