"""Attachment names: nothing in them reaches outside a folder, misleads a reader or breaks a system."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake_bot.mail.names import safe_name


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("Referral form.docx", "Referral form.docx"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\jane\\note.pdf", "note.pdf"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("CON.txt", "_CON.txt"),
        ("lpt1", "_lpt1"),
        ("..", "attachment-3.pdf"),
        ("", "attachment-3.pdf"),
        (".htaccess", "htaccess"),
        ("-rf", "rf"),
        ("a\r\nb\x00.pdf", "ab.pdf"),
        ('what? <"x">.pdf', "what_ __x__.pdf"),
        ("x" * 300 + ".pdf", "x" * 116 + ".pdf"),
        ("Siân.docx", "Siân.docx"),
    ],
)
def test_safe(given_name: str, safe: str) -> None:
    assert safe_name(given_name, "application/pdf", 3, 120) == safe


@given(st.text(max_size=400))
def test_whatever_the_name(name: str) -> None:
    found = safe_name(name, "text/plain", 1, 120)
    assert 0 < len(found) <= 120
    assert found.isprintable()
    assert not set(found) & set('/\\:*?"<>|')
    assert found[0] not in ".- "
