"""Our own letter when it comes back: what it says itself is known, and what was written into it is found."""

import textwrap
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from intake_bot.casework.letters import Letter, Letterhead, Letters
from intake_bot.mail.own_letters import filled_in, own_templates, written_into
from intake_bot.mail.quoting import Correspondents, new_words
from intake_bot.mail.text import html_to_text
from triage.vocabulary import MissingDatum

MOMENT = datetime(2026, 11, 20, 16, 40, tzinfo=UTC)
OURS = "lado@council.example"
BLOCK = f"From: Designated Officer <{OURS}>\nSent: 20 November 2026 16:41\nTo: Jane\nSubject: Consultation received"


def letter(
    *, known: str = "01632 960100", unreadable: bool = False, missing: list[MissingDatum] | None = None
) -> Letter:
    url = "https://council.example/form" if known else ""
    service = "Designated Officer for adults who work with children"
    head = Letterhead(
        service=service,
        authority="Example County Council",
        duty_phone=known,
        front_door_name="Example Multi-Agency Safeguarding Hub",
        front_door_phone=known,
        emergency_duty_phone=known,
        secure_form_url=url,
        privacy_notice_url=url,
        zone=ZoneInfo("Europe/London"),
    )
    return Letters(head).acknowledgement(
        reference="LADO-26-K7Q2M",
        received_at=MOMENT,
        answer_by=MOMENT,
        missing=missing,
        no_names=False,
        unreadable=unreadable,
    )


@pytest.mark.parametrize("known", ["01632 960100", ""])
@pytest.mark.parametrize("unreadable", [False, True])
@pytest.mark.parametrize("missing", [None, [], [MissingDatum.WORKPLACE]])
def test_nothing_in_a_letter_of_ours_is_taken_for_anothers_words(
    known: str, unreadable: bool, missing: list[MissingDatum] | None
) -> None:
    ours = letter(known=known, unreadable=unreadable, missing=missing)
    for text in (ours.text, html_to_text(ours.html, 100_000).plain):
        lines = text.split("\n")
        folded = [part for line in lines for part in textwrap.wrap(line, 60) or [""]]
        for shown in (lines, folded, [f"> {line}" for line in folded]):
            assert written_into(shown) == []


@pytest.mark.parametrize("datum", list(MissingDatum))
@pytest.mark.parametrize(
    "answer",
    [
        ": Tom Lowe",
        " - Tom Lowe",
        ": 01632 960123",
        "\n01632 960123",
        ": Friday 20 November 2026 at 16:40",
        "\nTom Lowe",
        "\n\nTom Lowe\nand another",
    ],
)
@pytest.mark.parametrize("mark", ["", "> "])
def test_an_answer_at_any_label_is_a_new_word(datum: MissingDatum, answer: str, mark: str) -> None:
    filled = letter().text.replace(f"- {datum.label}", f"- {datum.label}{answer}")
    old = "\n".join(f"{mark}{line}" for line in filled.split("\n"))
    people = Correspondents(written_to={OURS}, ours={OURS})
    found = new_words(f"Thank you.\n\n{BLOCK}\n\n{old}", answers=True, forwards=False, people=people)
    wanted = f"- {datum.label}{answer}".split("\n")
    assert found.text == "\n".join(["Thank you.", "", *wanted])


def test_words_put_into_the_middle_of_a_sentence_of_ours_are_found() -> None:
    lines = (
        letter().text.replace("tell the adult about", "tell the adult (a colleague told him at once) about").split("\n")
    )
    assert [lines[number] for number in written_into(lines) or []] == [
        "- Do not tell the adult (a colleague told him at once) about the concern until we have spoken."
    ]


@pytest.mark.parametrize("place", ["Designated Officer", "WHAT WOULD HELP US", "UNTIL WE ANSWER"])
def test_a_paragraph_put_between_ours_is_found(place: str) -> None:
    text = letter().text
    lines = text.replace(place, f"His name is Tom Lowe.\n\n{place}").split("\n")
    assert [lines[number] for number in written_into(lines) or []] == ["His name is Tom Lowe."]
    lines = [*text.split("\n"), "His number is", "01632 960123"]
    assert [lines[number] for number in written_into(lines) or []] == ["His number is", "01632 960123"]


def test_an_authoritys_own_letter_is_known_by_its_template() -> None:
    template = (
        "{{ service }}\n\nYour enquiry is with the duty team and somebody will be in touch.\nReference: {{ reference }}\n\n"
        "Please tell us the name of the adult and the name of the setting where it happened:\n"
        "{% for datum in missing %}* {{ datum }}\n{% endfor %}"
    )
    lines = (
        "Duty Team\n\nYour enquiry is with the duty team and somebody will be in touch.\nReference: DT-26-ABCDE\n\n"
        "Please tell us the name of the adult and the name of the setting where it happened:\n"
        "* when it happened\n\nIt was last Friday, at the club."
    ).split("\n")
    assert written_into(lines) is None
    assert [lines[number] for number in written_into(lines, [template]) or []] == [
        "* when it happened",
        "It was last Friday, at the club.",
    ]


def test_a_letter_that_is_no_acknowledgement_is_not_compared() -> None:
    lines = ["Dear Jane,", "", "please do not interview the adult; when it happened matters most.", "", "Ann Pryce"]
    assert written_into(lines) is None
    assert filled_in([*lines, "- when it happened: last Friday"]) == [5]


def test_the_package_has_the_templates_that_are_compared() -> None:
    assert len(own_templates()) == 2
    assert all("{{ reference }}" in template for template in own_templates())
