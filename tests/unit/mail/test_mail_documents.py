"""Documents are turned to text within bounds, and whatever a document is, the message is read."""

import base64
import hashlib
import io
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intake_bot.mail.budget import Budget
from intake_bot.mail.limits import DocumentFault, Limits, Unreadable
from intake_bot.mail.reading import Reading, attachment_bytes, read

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def word(*paragraphs: str, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    body = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>')
    return out.getvalue()


def mail(*files: tuple[str, bytes], text: str = "A parent told us that a coach shouted at her son.") -> bytes:
    parts = [f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}".encode()]
    for name, data in files:
        header = f"Content-Type: application/octet-stream; name={name}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        parts.append(header.encode() + base64.encodebytes(data))
    lines = [b"From: head@oakfield.example", b"Content-Type: multipart/mixed; boundary=b", b""]
    return b"\r\n".join([*lines, *(b"--b\r\n" + part for part in parts), b"--b--", b""])


def read_one(raw: bytes, **limits: Any) -> Reading:
    return read(
        raw,
        envelope_from="head@oakfield.example",
        envelope_to=["lado@council.example"],
        authserv_id=None,
        own_addresses=[],
        limits=Limits(**limits),
    )


class TestBounds:
    def test_a_long_document_is_cut(self) -> None:
        reading = read_one(mail(("form.docx", word("word " * 100))), max_document_chars=50)
        assert [item.text for item in reading.documents] == ["word " * 10]
        assert reading.defects == ("DocumentsCut",)

    def test_all_documents_together_are_cut_and_said_so(self) -> None:
        files = [(f"{number}.docx", word(f"form {number}")) for number in range(5)]
        reading = read_one(mail(*files), max_documents_chars=14)
        assert [item.text for item in reading.documents] == ["form 0", "form 1", "fo"]
        assert reading.defects == ("DocumentsCut",)

    def test_more_documents_than_the_bound_are_not_read_and_said_so(self) -> None:
        files = [(f"{number}.docx", word(f"form {number}")) for number in range(5)]
        reading = read_one(mail(*files), max_documents=2)
        assert [item.filename for item in reading.documents] == ["0.docx", "1.docx"]
        assert reading.defects == ("DocumentsCut",)
        assert len(reading.attachments) == 5

    def test_a_member_that_says_less_than_it_holds(self) -> None:
        data = bytearray(word("x" * 5_000))
        reading = read_one(mail(("form.docx", bytes(data))), max_document_bytes=4_000)
        assert (reading.documents, reading.defects) == ((), ("DocumentTooLarge",))

    def test_a_slow_document_is_left_and_the_mail_is_read(self) -> None:
        slow = b"{\\rtf1 " + b"\\b a" * 400_000 + b"}"
        reading = read_one(mail(("slow.rtf", slow), ("form.docx", word("form"))), document_seconds=0.05)
        assert "DocumentTooSlow" in reading.defects
        assert [item.text for item in reading.documents] == ["form"]
        assert "coach" in reading.body_text

    def test_time_spent_is_spent_for_all(self) -> None:
        budget = Budget(Limits(documents_seconds=0.02))
        with pytest.raises(DocumentFault, match="DocumentTooSlow"), budget.document():
            while True:
                pass
        with pytest.raises(DocumentFault, match="DocumentTooSlow"), budget.document():
            pytest.fail("nothing is left")

    def test_what_a_parser_raises_says_nothing(self) -> None:
        with pytest.raises(DocumentFault) as caught, Budget(Limits()).document():
            raise KeyError("a parent told us")
        assert str(caught.value) == "DocumentBroken"
        assert caught.value.__suppress_context__

    def test_out_of_memory_is_a_fault_of_the_document(self) -> None:
        with pytest.raises(DocumentFault, match="DocumentTooLarge"), Budget(Limits()).document():
            raise MemoryError


class TestTexts:
    def test_a_document_is_in_neither_text_and_not_in_what_makes_two_mails_the_same(self) -> None:
        reading = read_one(mail(("form.docx", word("The form says more."))))
        assert "form" not in reading.full_text
        assert "form" not in reading.body_text
        assert Reading.from_json(reading.to_json()) == reading

    def test_a_bounce_of_ours_has_no_documents(self) -> None:
        raw = mail(("form.docx", word("form"))).replace(b"From:", b"Auto-Submitted: auto-replied\r\nFrom:", 1)
        reading = read_one(raw)
        assert reading.machine is not None
        assert (reading.documents != ()) == reading.machine.opens_case

    @settings(max_examples=120, deadline=None)
    @given(
        at=st.integers(0, 3_000),
        junk=st.binary(max_size=40),
        begin=st.sampled_from(
            [word("form"), b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<</Root 1 0 R>>", b"{\\rtf1 words}",
             b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), b"\x78\x9f\x3e\x22\1\0" + bytes(40),
             b"BEGIN:VCALENDAR\nSUMMARY;CN=\"x:words\nDESCRIPTION:a"]
        ),
        name=st.sampled_from(["form", "form.docx", "form.msg", "smime.p7m", "note.txt"]),
    )  # fmt: skip
    def test_any_bytes_leave_the_mail_readable(self, at: int, junk: bytes, begin: bytes, name: str) -> None:
        raw = mail((name, begin[:at] + junk + begin[at:]))
        reading = read_one(raw)
        assert "coach" in reading.full_text
        for attachment in reading.attachments:
            content = attachment_bytes(raw, attachment.part_index, Limits())
            assert hashlib.sha256(content).hexdigest() == attachment.sha256


def test_a_file_is_found_by_its_hash_where_its_number_has_moved() -> None:
    raw = mail(("a.txt", b"one"), ("b.txt", b"two"))
    wanted = hashlib.sha256(b"two").hexdigest()
    assert attachment_bytes(raw, 2, Limits(), sha256=wanted) == b"two"
    with pytest.raises(Unreadable, match="no_such_part"):
        attachment_bytes(raw, 2, Limits(), sha256=hashlib.sha256(b"three").hexdigest())


def test_the_paper_names_every_bound_with_its_value() -> None:
    paper = (Path(__file__).parents[3] / "docs" / "reading.md").read_text(encoding="utf-8")
    for name, value in asdict(Limits()).items():
        assert f"| `{name}` | {value} |" in paper
