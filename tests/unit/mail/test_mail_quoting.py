"""New words and old, as far as the corpus does not show it: the guards, one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake_bot.casework.text_read import text_read
from intake_bot.mail.limits import Limits
from intake_bot.mail.own_letters import without_marks
from intake_bot.mail.quoting import Correspondents, is_forward_subject, is_reply_subject, new_words
from intake_bot.mail.reading import read
from intake_bot.mail.signatures import split_signature
from intake_bot.mail.text import words

NEW = "She is in Year 4 and he coaches her on Tuesdays."
GMAIL = "On Mon, 3 Mar 2025 at 10:15, Intake <lado@council.example> wrote:"


@pytest.mark.parametrize(
    "introduction",
    [
        GMAIL,
        "On 3 Mar 2025, at 10:15, Designated Officer Intake\n<lado@council.example>\nwrote:",
        "Am Mo., 3. März 2025 um 10:15 Uhr schrieb Intake <lado@council.example>:",
        "Le lun. 3 mars 2025 à 10:15, Intake <lado@council.example> a écrit :",
        "El lun, 3 mar 2025 a las 10:15, Intake (<lado@council.example>) escribió:",
        "Op ma 3 mrt 2025 om 10:15 schreef Intake <lado@council.example>:",
        "Den mån 3 mars 2025 kl 10:15 skrev Intake <lado@council.example>:",
        "W dniu 3.03.2025 o 10:15, Intake <lado@council.example> napisał:",
        "2025-03-03 10:15 GMT, Intake <lado@council.example> wrote:",
        "-----Original Message-----",
        "From: Intake <lado@council.example>\nSent: 03 March 2025 10:15\nTo: Jane\nSubject: Your enquiry",
        "*From:* Intake <lado@council.example>\n*Date:* 3 March 2025 10:15\n*To:* Jane\n*Subject:* Your enquiry",
        "Von: Intake <lado@council.example>\nGesendet: Montag, 3. März 2025 10:15\nAn: Jane\nBetreff: Ihre Anfrage",
    ],
)
def test_history_is_taken_off_an_answer_marked_or_not(introduction: str) -> None:
    old = "We received your message.\nA person will answer."
    marked = "\n".join(f"> {line}" for line in old.split("\n"))
    assert new_words(f"{NEW}\n\n{introduction}\n\n{old}\n", answers=True, forwards=False).text == NEW
    if "\nTo:" not in introduction:
        assert new_words(f"{NEW}\n\n{introduction}\n{marked}\n", answers=True, forwards=False).text == NEW


@pytest.mark.parametrize(
    "text",
    [
        f"{NEW}\n\nOn Tuesday he wrote:\nmeet me after training\nand she did not.",
        f"{NEW}\n\nOn 4 March 2025 at 16:10 he wrote:\nwhy did you not answer\nThat was all.",
        f"{NEW}\n\nFrom: 9.30\nTo: 11.00\nhe was alone with her.",
        f"{NEW}\n\nFrom: the start of term\nTo: half term\nSubject: maths\nhe was alone with her.",
        f"{NEW}\n\nMy answers are in red below.\n\n{GMAIL}\n\nWhen was it? Last Friday.",
        f"{GMAIL}\n\n> Was it Friday?",
        f"{NEW} He wrote to her:\n> meet me after training",
        f"{NEW}\n\n---------- Forwarded message ---------\nFrom: A Parent <p@home.example>\n\nHe came home upset.",
    ],
    ids=[
        "pronoun",
        "pronoun-dated",
        "times",
        "fields",
        "points-below",
        "nothing",
        "introduced",
        "forwarded",
    ],
)
def test_an_answer_keeps_what_is_no_history_or_all_there_is(text: str) -> None:
    assert new_words(text, answers=True, forwards=False).text == text


def test_a_first_message_keeps_what_only_answers_shed() -> None:
    text = f"{NEW}\n\n{GMAIL}\n\nmeet me after training"
    assert new_words(text, answers=False, forwards=False).text == text
    quoted = f"{NEW}\n> he said so\n{NEW}\n> and so"
    assert new_words(quoted, answers=False, forwards=False).text == quoted


def test_a_quotation_that_ends_before_more_words_is_no_tail() -> None:
    text = f"{NEW}\n\n> Was it Friday?\n\nNo, it was Thursday, and again on Monday.\n\n> Who saw it?\n\nNobody else."
    assert new_words(text, answers=True, forwards=False).text == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("He left.\n-- \nJane Archer\nHeadteacher\n01234 000000", "He left."),
        ("He left.\n\nSent from my iPhone", "He left."),
        ("He left.\n\nGet Outlook for iOS<https://aka.example/x>", "He left."),
        ("He left.\n-- \nJane\nPS he came back on Monday and asked two of the boys for her number again.", None),
        ("He left.\n\nKind regards\nJane Archer\n01234 000000", None),
        ("Sent from my phone were three pictures of the pupils in the changing room", None),
        ("-- \nJane Archer", None),
    ],
)
def test_a_signature_goes_and_an_account_does_not(text: str, left: str | None) -> None:
    kept, _ = split_signature(text.split("\n"))
    assert "\n".join(kept) == (text if left is None else left)


def test_an_answer_sheds_the_contact_block_that_a_first_message_needs() -> None:
    text = f"{NEW}\n\nKind regards\nJane Archer\nHeadteacher, Oakfield Primary\n01632 960001"
    assert new_words(text, answers=False, forwards=False).text == text
    answer = new_words(text, answers=True, forwards=False)
    assert answer.text == f"{NEW}\n\nKind regards\nJane Archer"
    assert "01632 960001" in answer.signature


@pytest.mark.parametrize(
    ("tail", "left"),
    [
        ("Jane Archer\nHeadteacher, Oakfield Primary\n01632 960001", "Jane Archer"),
        ("Kind regards\nJane Archer\nHeadteacher", "Kind regards\nJane Archer"),
        ("Jane Archer\nHe came back on Monday.", None),
        ("Jane Archer\nMrs Lowe: 01632 960123", None),
        ("Tom Lowe\n12 Mill Lane\n01632 960123", None),
    ],
)
def test_what_stands_under_the_writers_own_name_goes_from_an_answer(tail: str, left: str | None) -> None:
    found = new_words(f"{NEW}\n\n{tail}", answers=True, forwards=False, people=Correspondents(writer="Archer, Jane"))
    assert found.text == f"{NEW}\n\n{left or tail}"


def test_triage_reads_the_signature_that_the_body_lacks() -> None:
    reading = read(
        f"From: head@oakfield.example\r\nSubject: Advice\r\n\r\n{NEW}\r\n-- \r\nJane\r\n01632 960001\r\n".encode(),
        envelope_from="head@oakfield.example",
        envelope_to=["lado@council.example"],
        authserv_id=None,
        own_addresses=(),
        limits=Limits(),
    )
    assert reading.body_text == NEW
    assert text_read(reading.body_text, reading.signature_text, []) == f"{NEW}\n\n-- \nJane\n01632 960001"


def test_history_by_the_one_written_to_makes_an_answer() -> None:
    text = f"{NEW}\n\n{GMAIL}\n\nWe received your message."
    assert new_words(text, answers=False, forwards=False).text == text
    assert (
        new_words(text, answers=False, forwards=False, people=Correspondents(written_to={"lado@council.example"})).text
        == NEW
    )


@pytest.mark.parametrize(
    "subject", ["Re: a", "RE[2]: a", "[EXTERNAL] Re: a", "AW: a", "Sv: a", "回复：a", "Odp: a", "תשובה: a"]
)
def test_subjects_of_answers(subject: str) -> None:
    assert is_reply_subject(subject)
    assert not is_forward_subject(subject)


@pytest.mark.parametrize("subject", ["Fwd: a", "FW: Re: a", "WG: a", "TR : a", "[EXT] Fw: a", "转发：a"])
def test_subjects_of_forwards(subject: str) -> None:
    assert is_forward_subject(subject)
    assert not is_reply_subject(subject)


@pytest.mark.parametrize("subject", ["Regarding: a", "Reply needed: a", "Forward planning: a", "Incident: a", "A: b"])
def test_subjects_of_neither(subject: str) -> None:
    assert not is_reply_subject(subject)
    assert not is_forward_subject(subject)


PIECES = st.sampled_from(
    [
        NEW,
        GMAIL,
        "",
        "> He said no.",
        "--",
        "-- ",
        "On Tuesday he wrote:",
        "Thanks,",
        "Jane",
        "01632 960001",
        "_" * 32,
        "From: Intake <lado@council.example>",
        "Sent: 03 March 2025 10:15",
        "To: Jane",
        "Subject: Your enquiry",
        "<lado@council.example>",
        "wrote:",
        "-----Original Message-----",
        "Sent from my iPhone",
        "\ue002",
        "\ue003",
        "\ue004",
        "\ue005",
        "This email is confidential.",
        "CAUTION: external email",
        ">>> x >>>",
        "##- reply above this line -##",
        "| a",
        "To",
        "cc",
        "- when it happened: on Friday",
        "> - what has been done so far nothing",
        "[Jane Archer] On Friday.",
        "IF A CHILD IS IN IMMEDIATE DANGER Ring 999 now. Do not wait for our answer.",
        "Make sure that the child is safe; do not wait for us to protect a child.",
        "From: Pat Lowe <p@home.example>\nSent: 03 March 2025 10:15\nTo: j@o.example\nSubject: My son",
    ]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=40)), max_size=30), st.booleans(), st.booleans())
def test_nothing_is_invented_and_something_is_left(pieces: list[str], answers: bool, forwards: bool) -> None:
    lines = "\n".join(pieces).split("\n")
    text = "\n".join(lines)
    people = Correspondents(
        written_to={"lado@council.example"},
        ours={"lado@council.example"},
        writer="Jane Archer",
        writer_address="j@o.example",
    )
    found = new_words(text, answers=answers, forwards=forwards, people=people)
    assert set(found.text.split("\n")) <= {*lines, *without_marks(lines), ""}
    assert set(found.signature.split("\n")) <= {*lines, ""}
    without_hints = [line for line in lines if line not in {"\ue002", "\ue003", "\ue004", "\ue005"}]
    assert bool(words(found.text)) == bool(words("\n".join(without_hints)))
    assert not found.whole or found.text == "\n".join(without_hints)
