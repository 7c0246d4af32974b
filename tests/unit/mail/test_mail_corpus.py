"""One message per pain in ``tests/corpus``: NAME.eml, and beside it NAME.json with what must be read from it.

``expect`` names fields of the reading and their exact values (an empty ``sha256`` is not compared); ``body_has``,
``body_lacks``, ``full_has`` and ``full_lacks`` are stretches of text; ``files`` are attachment names; ``given``
replaces arguments of ``read``.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from intake_bot.mail.limits import Limits
from intake_bot.mail.reading import Reading, attachment_bytes, read

CORPUS = Path(__file__).parents[2] / "corpus"
CASES = sorted(CORPUS.glob("*.eml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_reads_as_expected(path: Path) -> None:
    wanted: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    given: dict[str, Any] = {
        "envelope_from": "head@oakfield.example",
        "envelope_to": ["lado@council.example"],
        "authserv_id": "mx.council.example",
        "own_addresses": ["lado@council.example"],
        "limits": Limits(),
    }
    raw = path.read_bytes()
    reading = read(raw, **(given | wanted.get("given", {})))
    found = json.loads(reading.to_json())
    expected = wanted["expect"]
    for item, attachment in zip(expected.get("attachments", []), found["attachments"], strict=False):
        item["sha256"] = item["sha256"] or attachment["sha256"]
    assert {name: found[name] for name in expected} == expected
    for field, text in (("body", reading.body_text), ("full", reading.full_text)):
        assert [words for words in wanted.get(f"{field}_has", []) if words not in text] == []
        assert [words for words in wanted.get(f"{field}_lacks", []) if words in text] == []
    if "files" in wanted:
        assert [item["filename"] for item in found["attachments"]] == wanted["files"]
    assert Reading.from_json(reading.to_json()) == reading
    for index in {0, len(reading.attachments) - 1} if reading.attachments else ():
        attachment = reading.attachments[index]
        content = attachment_bytes(raw, attachment.part_index, Limits())
        assert hashlib.sha256(content).hexdigest() == attachment.sha256


def test_every_message_has_its_expected_result_beside_it() -> None:
    assert CASES
    assert {path.stem for path in CASES} == {path.stem for path in CORPUS.glob("*.json")}
