"""What triage reads, and where in it a piece of evidence lies."""

import pytest

from intake_bot.casework.text_read import located, text_read

DOCUMENTS = [{"filename": "a.docx", "text": "one shouted"}, {"filename": "shouted.pdf", "text": "two shouted"}]


@pytest.mark.parametrize("body", ["He shouted.", ""])
def test_every_word_is_found_again_in_its_own_text(body: str) -> None:
    text = text_read(body, "", DOCUMENTS)
    found = []
    position = text.find("shouted")
    while position >= 0:
        (item,) = located([{"start": position, "end": position + 7, "text": "shouted"}], body, "", DOCUMENTS)
        source = DOCUMENTS[item["document"]]["text"] if "document" in item else body
        found.append((item.get("document"), source[item["start"] : item["end"]]))
        position = text.find("shouted", position + 1)
    # The third stands in a file's name: it points at the beginning of that document.
    expected = [(0, "shouted"), (1, ""), (1, "shouted")]
    assert found == ([(None, "shouted"), *expected] if body else expected)


def test_without_documents_it_is_the_body() -> None:
    evidence = [{"start": 3, "end": 10, "text": "shouted"}]
    assert text_read("He shouted.", "", []) == "He shouted."
    assert located(evidence, "He shouted.", "", []) == evidence


@pytest.mark.parametrize("documents", [[], DOCUMENTS])
@pytest.mark.parametrize("body", ["He shouted.", ""])
def test_evidence_in_the_signature_points_into_the_signature(body: str, documents: list[dict[str, str]]) -> None:
    text = text_read(body, "-- \nJane, 01632 960001", documents)
    start = text.index("01632")
    (item,) = located([{"start": start, "end": start + 12}], body, "-- \nJane, 01632 960001", documents)
    assert item == {"start": 10, "end": 22, "signature": True}
