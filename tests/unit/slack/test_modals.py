"""The modals: content for one officer, as it was written, within Slack's limits; and the form's way back."""

from __future__ import annotations

import json
import re
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import sample_cases as cases
from fakes.block_kit import view_problems
from intake_bot.casework.acts import Decide
from intake_bot.casework.desk import READ_WHOLE, Actor
from intake_bot.casework.vocabulary import DecisionKind
from intake_bot.slack.modals import decide_modal, parse_decision, view_modal
from intake_bot.slack.rich import Piece, chunks, cost, marked
from triage.suggestion import Evidence, Polarity
from triage.vocabulary import Category, Criterion, Flag

LONDON = ZoneInfo("Europe/London")
ALEX = Actor("slack", "T0TEAM/U0ALEX")


def parts(modal):
    return [
        part
        for block in modal["blocks"]
        if block["type"] == "rich_text"
        for element in block["elements"]
        for part in element["elements"]
    ]


def words(modal):
    return "".join(part["text"] for part in parts(modal))


def kinds(value):
    """Every text object's type in a view."""
    if isinstance(value, dict):
        found = {value["type"]} if value.get("type") in ("mrkdwn", "plain_text") else set()
        return found.union(*map(kinds, value.values()))
    return set().union(*map(kinds, value)) if isinstance(value, list) else set()


def all_pages(view):
    """Every page of a view."""
    pages = [view_modal(view, LONDON)]
    count = re.search(r"Page 1 of (\d+)", words(pages[0]))
    return pages + [view_modal(view, LONDON, number) for number in range(2, int(count[1]) + 1 if count else 1)]


class TestView:
    def test_shows_the_text_with_its_evidence_marked(self):
        modal = view_modal(cases.view(decision=cases.decision_view(), proposed_links=("LADO-26-OTHER",)), LONDON)
        assert view_problems(modal) == []
        styled = {part["text"]: part.get("style") for part in parts(modal)}
        assert styled["»grabbed her arm«"] == {"bold": True}
        assert styled["»no bruise«"] == {"strike": True}
        shown = words(modal)
        for part in (
            cases.CANARY,
            cases.SENDER,
            "address is authenticated",
            "Advice please",
            "statement.docx",
            "Physical (high confidence, 82%)",
            "For physical: »grabbed her arm«",
            "Against injury: »no bruise«",
            "the full name of the adult",
            "rules 1",
            "due Monday 30 November 2026",
            "LADO-26-OTHER",
            "It was agreed with the police.",
        ):
            assert part in shown
        assert "Message in, Friday 27 November 2026 at 16:40" in json.dumps(modal)

    def test_says_when_the_sender_failed_authentication(self):
        modal = view_modal(cases.view(messages=(cases.message(sender_trust="fail"),)), LONDON)
        assert "FAILED AUTHENTICATION" in words(modal)

    def test_leaves_out_nothing_but_the_line_ends(self):
        modal = view_modal(cases.view(suggestion=None), LONDON)
        assert cases.TEXT.replace("\r\n", "\n") in words(modal)
        assert "None could be made" in words(modal)

    def test_reads_no_mrkdwn_anywhere(self):
        hostile = "<!channel> *b* <https://evil.example|x> & :tada:"
        modal = view_modal(
            cases.view(
                messages=(cases.message(text=hostile, sender=hostile, subject=hostile, attachments=(hostile,)),),
                suggestion=cases.suggestion(hostile, reason=hostile, engine=hostile, version=hostile),
                decision=cases.decision_view(hostile),
                explanations=(hostile,),
                proposed_links=(hostile,),
                card=cases.card(reference=hostile),
            ),
            LONDON,
        )
        assert view_problems(modal) == []
        assert kinds(modal) == {"plain_text"}
        assert hostile in words(modal), "it is shown as it was written"

    @pytest.mark.parametrize("unit", ["word ", "x", "\U0001f600", "\x00", '"', "é\n"])
    @pytest.mark.parametrize("page", [1, 10_000])
    def test_100_kb_in_every_place_fit(self, unit, page):
        long = unit * (100_000 // len(unit))
        evidence = tuple(
            Evidence(at, at + 3, long[at : at + 3], long, Polarity.FOR) for at in range(0, len(long) - 3, 50)
        )
        modal = view_modal(
            cases.view(
                messages=tuple(
                    cases.message(
                        id=str(number),
                        text=long,
                        subject=long,
                        sender=long,
                        attachments=(long,) * 50,
                        machine_sent=long,
                        is_evidence_text=number == 0,
                    )
                    for number in range(3)
                ),
                suggestion=cases.suggestion(long, evidence=evidence, reason=long, engine=long),
                decision=cases.decision_view(long),
                explanations=(long,) * 4,
                proposed_links=(long,) * 30,
                card=cases.card(reference=long),
            ),
            LONDON,
            page,
        )
        assert view_problems(modal) == []

    def test_a_long_text_goes_on_from_page_to_page_without_a_word_lost(self):
        long = "".join(f"{number} The coach spoke to the team again. " for number in range(6000))
        view = cases.view(messages=(cases.message(text=long, full_text=long),), suggestion=None)
        pages = all_pages(view)
        assert len(pages) > 5
        for number, modal in enumerate(pages, 1):
            assert view_problems(modal) == []
            assert f"Page {number} of {len(pages)}" in words(modal)
            ends = [block for block in modal["blocks"] if block["type"] == "rich_text"][
                -2 if number < len(pages) else -1
            ]
            assert ends["elements"][-1]["elements"][-1]["text"][-1] in " .\n", "a word's end"
            buttons = [element["action_id"] for element in modal["blocks"][-1]["elements"]]
            assert buttons == [
                *(["view_previous"] if number > 1 else []),
                *(["view_next"] if number < len(pages) else []),
            ]
        shown = "".join(re.sub(r"Page \d+ of \d+\n", "", words(modal)) for modal in pages)
        assert long in shown
        assert shown.count("The coach spoke to the team again.") == 6000
        assert len(json.dumps(pages[1])) > 12_000, "a page is filled"

    def test_a_page_that_is_not_there_is_the_nearest(self):
        view = cases.view()
        assert view_modal(view, LONDON, 0) == view_modal(view, LONDON, 1) == view_modal(view, LONDON, 99)
        assert "Page" not in words(view_modal(view, LONDON))

    def test_every_message_is_on_some_page_under_its_heading(self):
        several = tuple(
            cases.message(
                id=str(number), text=f"Message number {number}. {'Words. ' * 400}", is_evidence_text=number == 3
            )
            for number in range(20)
        )
        pages = all_pages(cases.view(messages=several, suggestion=None))
        shown = "".join(words(modal) for modal in pages)
        assert [number for number in range(20) if f"Message number {number}." in shown] == list(range(20))
        for modal in pages:
            # The last two are the page's number and its buttons.
            assert modal["blocks"][-3]["type"] != "header"

    def test_what_joined_is_shown_with_its_own_evidence(self):
        text = "He grabbed her arm again."
        made = cases.suggestion("", evidence=(cases.evidence(text, "grabbed her arm"),), flags=(Flag.INJURY,))
        joined = cases.message(id="2", text=text, is_evidence_text=False, read_whole=True, suggestion=made)
        shown = words(view_modal(cases.view(messages=(cases.message(), joined)), LONDON))
        assert "»grabbed her arm«" in shown
        assert f"Flags of this message: {Flag.INJURY.label}" in shown
        assert READ_WHOLE in shown


@given(st.text(max_size=3000), st.lists(st.tuples(st.integers(-5, 3000), st.integers(-5, 3000)), max_size=12))
def test_marking_and_splitting_lose_no_character(text, spans):
    evidence = [Evidence(a, b, "", "", Polarity.FOR) for a, b in spans]
    pieces = marked(text, evidence)
    bare = "".join(piece.text[1:-1] if piece.style else piece.text for piece in pieces)
    assert bare == text
    blocks, left_out = chunks(pieces, cost(pieces))
    assert left_out == 0
    assert "".join(piece.text for block in blocks for piece in block) == "".join(piece.text for piece in pieces)


def test_overlapping_evidence_becomes_one_mark():
    text = "He pushed and shoved a pupil."
    evidence = [
        Evidence(3, 20, "", "", Polarity.AGAINST),
        Evidence(14, 28, "", "", Polarity.FOR),
        Evidence(25, 90, "", "", Polarity.FOR),
    ]
    assert marked(text, evidence) == [Piece("He "), Piece("»pushed and shoved a pupil«", "bold"), Piece(".")]


class TestForm:
    def test_offers_everything_and_fills_in_nothing(self):
        modal = decide_modal(cases.card())
        assert view_problems(modal) == []
        assert "initial" not in json.dumps(modal), "an officer decides, not the suggestion"
        assert "not a decision: Physical (high confidence, 82%)" in words(modal)
        by_id = {block.get("block_id"): block for block in modal["blocks"]}
        shown = [
            f"{option['text']['text']} {option.get('description', {}).get('text', '')}".strip()
            for option in by_id["criteria"]["element"]["options"]
        ]
        assert shown == [criterion.wording for criterion in Criterion], "the statutory words, word for word"
        assert [o["value"] for o in by_id["decision"]["element"]["options"]] == [kind.value for kind in DecisionKind]
        assert by_id["criteria"]["optional"] is True
        assert not by_id["reason"].get("optional")
        assert json.loads(modal["private_metadata"]) == {"case": cases.CASE}

    def test_stands_without_a_suggestion(self):
        modal = decide_modal(cases.card(category=None, threshold=None, reference="x" * 5000))
        assert view_problems(modal) == []
        assert "none could be made" in words(modal)

    def test_comes_back_as_a_decision(self):
        assert parse_decision(values(), cases.CASE, ALEX) == Decide(
            cases.CASE,
            ALEX,
            DecisionKind.REFERRAL,
            Category.PHYSICAL,
            (Criterion.HARMED, Criterion.RISK_OF_HARM),
            "Agreed with the police.",
        )

    @pytest.mark.parametrize(
        ("changes", "wrong"),
        [
            ({"criteria": {"selected_options": []}}, {"criteria"}),
            ({"reason": {"value": " \n"}}, {"reason"}),
            ({"reason": {"value": None}}, {"reason"}),
            ({"reason": {"value": "x" * 3001}}, {"reason"}),
            ({"decision": {"selected_option": None}}, {"decision"}),
            ({"category": {"selected_option": {"value": "foreign"}}}, {"category"}),
            ({"decision": {}, "category": {}, "reason": {}}, {"decision", "category", "reason"}),
        ],
    )
    def test_says_at_the_field_what_is_wrong(self, changes, wrong):
        found = parse_decision(values(**changes), cases.CASE, ALEX)
        assert isinstance(found, dict)
        assert found.keys() == wrong

    def test_asks_for_criteria_of_a_referral_only(self):
        consultation = {
            "decision": {"selected_option": {"value": "consultation"}},
            "criteria": {"selected_options": []},
        }
        assert isinstance(parse_decision(values(**consultation), cases.CASE, ALEX), Decide)


def values(**changes):
    """``view.state.values`` of a referral, as Slack sends it."""
    fields = {
        "decision": {"type": "radio_buttons", "selected_option": {"value": "referral"}},
        "category": {"type": "static_select", "selected_option": {"value": "physical"}},
        "criteria": {"type": "checkboxes", "selected_options": [{"value": "3"}, {"value": "1"}]},
        "reason": {"type": "plain_text_input", "value": "Agreed with the police."},
    } | changes
    return {name: {"value": value} for name, value in fields.items()}
