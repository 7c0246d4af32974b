"""Letters from templates: what an authority may replace, and that a fault in it is found at the start."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from conftest import FRIDAY_1640
from intake_bot.casework.letters import _VARIABLES, COLUMNS, Letter, Letters, folded
from intake_bot.house import make_letters
from intake_bot.settings import Settings, SettingsProblem, load
from triage.vocabulary import MissingDatum

MONDAY_1640 = datetime(2026, 11, 30, 16, 40, tzinfo=UTC)
FULL_OFFICE = {
    "duty_phone": "01632 960 500",
    "front_door_phone": "01632 960 501",
    "emergency_duty_phone": "01632 960 502",
    "secure_form_url": "https://www.elmshire.example/report?a=1&b=2",
    "privacy_notice_url": "https://www.elmshire.example/privacy-notice-of-the-designated-officer-s-service-in-full",
}


def letters(folder: Path | None = None, **sections: dict[str, Any]) -> Letters:
    sections = {"letters": {}} | sections
    sections["letters"] = sections["letters"] | {"folder": folder}
    return make_letters(Settings.model_validate(sections))


def acknowledgement(made: Letters, *, missing: list[MissingDatum] | None = None, unreadable: bool = False) -> Letter:
    return made.acknowledgement(
        reference="LADO-26-ABCDEF",
        received_at=FRIDAY_1640,
        answer_by=MONDAY_1640,
        missing=missing,
        no_names=False,
        unreadable=unreadable,
    )


def advice(made: Letters, words: str = "Keep the footage.", *, original: datetime | None = None) -> Letter:
    return made.advice(reference="LADO-26-ABCDEF", words=words, original=original)


class TestTheAcknowledgement:
    @pytest.mark.parametrize("unreadable", [False, True])
    @pytest.mark.parametrize("office", [{}, FULL_OFFICE], ids=["bare", "full"])
    def test_fits_the_columns_of_a_plain_reader(self, office: dict[str, str], unreadable: bool) -> None:
        text = acknowledgement(letters(office=office), unreadable=unreadable).text
        assert [line for line in text.split("\n") if len(line) > COLUMNS and " " in line.strip()] == []
        # Where our own template is folded by hand, nothing is folded a second time.
        assert "it is not advice" in text
        assert "\n\n\n" not in text

    def test_says_when_and_what_until_then(self) -> None:
        text = acknowledgement(letters(office=FULL_OFFICE)).text
        assert "by Monday 30 November 2026 at 16:40" in text
        assert text.index("999") < text.index("Do not investigate")
        assert "01632 960 502" in text

    def test_its_html_can_be_read_aloud_and_in_the_dark(self) -> None:
        html = acknowledgement(letters(office=FULL_OFFICE), unreadable=True).html
        levels = [int(level) for level in re.findall(r"<h(\d)", html)]
        assert levels[0] == 1
        assert set(levels[1:]) == {2}
        assert 'lang="en-GB"' in html
        assert "background-color" in html
        assert "report?a=1&amp;b=2" in html


class TestReplacing:
    def test_a_file_takes_the_place_of_ours_alone(self, tmp_path: Path) -> None:
        (tmp_path / "acknowledgement.subject.j2").write_text("Thank you ({{ reference }})\n", encoding="utf-8")
        (tmp_path / ".hidden").write_text("{{ nothing }}", encoding="utf-8")
        made = acknowledgement(letters(tmp_path))
        assert made.subject == "Thank you (LADO-26-ABCDEF)"
        assert made.text == acknowledgement(letters()).text

    def test_a_file_changed_while_we_run_changes_nothing(self, tmp_path: Path) -> None:
        file = tmp_path / "acknowledgement.subject.j2"
        file.write_text("Thank you", encoding="utf-8")
        made = letters(tmp_path)
        file.write_text("{{ misspelt }}", encoding="utf-8")
        assert acknowledgement(made).subject == "Thank you"

    @pytest.mark.parametrize(
        ("name", "template", "says"),
        [
            ("acknowledgement.txt.j2", "{{ refrence }}", "no variable refrence"),
            # In branches that these settings never take, too.
            ("acknowledgement.txt.j2", "{% if duty_phone %}{{ dutyphone }}{% endif %}", "no variable dutyphone"),
            ("acknowledgement.txt.j2", "{% if duty_phone %}{{ service|uper }}{% endif %}", "no filter uper"),
            ("acknowledgement.txt.j2", "{% if duty_phone and service is odder %}{% endif %}", "no test odder"),
            ("acknowledgement.txt.j2", "{{ missing[0] }}", "has no element 0"),
            ("acknowledgement.html.j2", "one\n{% if service %}", "line 2: "),
            ("acknowledgement.txt.j2", "{{ subject.__class__ }}", "unsafe"),
            ("acknowledgement.txt.j2", "{{ range(3) }}", "no variable range"),
            ("acknowledgement.txt.j2", "{{ 'x' * 300000 }}", "too long"),
            ("acknowledgement.txt.j2", "{{ 1 / 0 }}", "cannot be rendered (ZeroDivisionError)"),
            ("acknowledgement.txt.j2", "{% include 'acknowledgement.txt.j2' %}", "cannot be rendered (RecursionError)"),
            ("acknowledgement.txt.j2", "{% if duty_phone %}{% include '../secret' %}{% endif %}", "no template ../secret"),
            ("acknowledgement.txt.j2", "{% include '/etc/' ~ 'hostname' %}", "no template None"),
            # Nobody's words: they are not given to it.
            ("acknowledgement.txt.j2", "{{ body_text }}", "no variable body_text"),
            ("acknowledgement.txt.j2", "{{ advice }}", "no variable advice"),
            ("advice.subject.j2", "{{ marking }}: {{ advice }}", "no variable advice"),
            ("acknowledgement.subject.j2", "one\ntwo", "a subject is one line"),
            ("acknowledgement.subject.j2", "x" * 201, "a subject is one line"),
            ("acknowledgement.subject.j2", "{# nothing #}\n", "a subject is one line"),
            ("acknowledgement.subject.j2", "a\u202eb", "a subject is one line"),
            ("advice.subject.j2", "Advice", "leaves out the marking"),
            ("advice.txt.j2", "{{ marking }}\n{{ advice }}", "leaves out the marking, first line and last"),
            ("advice.txt.j2", "{{ marking }}\n{{ marking }}", "leaves out the advice"),
            ("advice.html.j2", "{{ marking }} {{ advice }}", "leaves out the marking, at both ends"),
            ("acknowledgment.txt.j2", "", "no letter has this template"),
            ("acknowledgement.txt", "", "no letter has this template"),
            ("acknowledgement.txt.j2", "x" * 70_000, "at most 64 KiB"),
            ("acknowledgement.txt.j2", b"\xff", "is not UTF-8"),
        ],
    )  # fmt: skip
    def test_a_fault_is_found_at_the_start_and_named_with_its_file(
        self, name: str, template: str | bytes, says: str, tmp_path: Path
    ) -> None:
        (tmp_path / name).write_bytes(template.encode() if isinstance(template, str) else template)
        with pytest.raises(SettingsProblem) as problem:
            letters(tmp_path)
        assert str(tmp_path / name) in str(problem.value)
        assert says in str(problem.value)

    def test_a_folder_that_is_not_there_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsProblem, match="absent: cannot be read"):
            letters(tmp_path / "absent")

    def test_a_template_cannot_change_what_it_is_given(self, tmp_path: Path) -> None:
        (tmp_path / "acknowledgement.txt.j2").write_text("{{ missing.clear() }}", encoding="utf-8")
        with pytest.raises(SettingsProblem, match="unsafe"):
            letters(tmp_path)


class TestAdvice:
    def test_carries_the_marking_and_the_words(self) -> None:
        made = advice(letters(letters={"subject_tag": "[SECURE]"}), "Keep <all> footage.\nDo not ask.\n\nRing us.")
        assert made.subject == "[SECURE] OFFICIAL-SENSITIVE: Advice on consultation LADO-26-ABCDEF"
        lines = made.text.strip().split("\n")
        assert lines[0] == lines[-1] == "OFFICIAL-SENSITIVE"
        assert "\nKeep <all> footage.\nDo not ask.\n\nRing us.\n" in made.text
        assert "<p>Keep &lt;all&gt; footage.<br>\nDo not ask.</p>" in made.html
        assert made.html.count("OFFICIAL-SENSITIVE") == 3

    def test_without_a_marking_has_none(self) -> None:
        made = advice(letters(letters={"marking": ""}))
        assert made.subject == "Advice on consultation LADO-26-ABCDEF"
        assert made.text.startswith("Designated Officer Service")

    def test_says_which_message_goes_with_it(self) -> None:
        assert "Friday 27 November 2026 at 16:40" in advice(letters(), original=FRIDAY_1640).text
        assert "goes with this" not in advice(letters()).html

    def test_of_any_length_is_no_fault_of_the_template(self) -> None:
        words = "Keep the footage & ask. " * 10_000
        assert advice(letters(), words).html.count("&amp;") == 10_000


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"INTAKE_BOT_LETTERS_MARKING": "A\nBcc: x@y.example"}, "letters.marking"),
        ({"INTAKE_BOT_LETTERS_MARKING": "ends\n"}, "letters.marking"),
        ({"INTAKE_BOT_LETTERS_SUBJECT_TAG": "x" * 61}, "letters.subject_tag"),
        ({"INTAKE_BOT_LETTERS_SECURE_HEADER": "X-Encrypt: yes\r\nBcc: x@y.example"}, "letters.secure_header"),
        ({"INTAKE_BOT_LETTERS_SECURE_HEADER": "X-Encrypt: yes\n"}, "letters.secure_header"),
        ({"INTAKE_BOT_LETTERS_SECURE_HEADER": "X-Encrypt"}, "letters.secure_header"),
        ({"INTAKE_BOT_LETTERS_SECURE_HEADER": "X-Encrypt: ÿ"}, "letters.secure_header"),
        ({"INTAKE_BOT_LETTERS_SECURE_HEADER": "BCC: x@y.example"}, "letters.secure_header"),
        ({"INTAKE_BOT_LETTERS_SECURE_HEADER": "Content-Type: text/html"}, "letters.secure_header"),
        ({"INTAKE_BOT_SERVICE_NAME": "A\r\nBcc: x@y.example"}, "service.name"),
        ({"INTAKE_BOT_SERVICE_NAME": "ends\n"}, "service.name"),
    ],
)
def test_no_setting_smuggles_a_header_in(environment: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsProblem, match=named):
        load(None, environment)


def test_the_secure_field_is_taken_apart() -> None:
    settings = load(None, {"INTAKE_BOT_LETTERS_SECURE_HEADER": "X-Encrypt: yes: please"})
    assert settings.letters.secure_field() == ("X-Encrypt", "yes: please")
    assert load(None, {}).letters.secure_field() is None


def test_folding_keeps_lists_hanging_and_long_words_whole() -> None:
    url = "https://www.elmshire.example/" + "x" * 90
    text = folded(f"- {'word ' * 30}\n{url}\n\n> {'quoted ' * 20}")
    lines = text.split("\n")
    assert lines[0].startswith("- word")
    assert lines[1].startswith("  word")
    assert url in lines
    assert all(len(line) <= COLUMNS for line in lines if line != url)


def test_the_manual_names_every_template_and_every_variable() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "letters.md").read_text(encoding="utf-8")
    for template, variables in _VARIABLES.items():
        assert f"`{template}`" in manual
        for variable in variables:
            assert f"`{variable}`" in manual
