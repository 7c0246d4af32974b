"""A cover is told from an account: what a secure-mail service says, and what a person says of secure mail."""

import pytest

from intake_bot.mail.secure_mail import is_archive, is_envelope, is_notice, says_something

ACCOUNT = "A parent told us that on Friday a coach shouted at her son. The boy is nine. Please ring us."
LINK = "https://secure.example/abc"


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Referral", f"Jane Archer (head@oakfield.example) has sent you a secure email.\n\nClick here to read it: {LINK}"),
        ("Referral", "Jane Archer (head@oak.example) has sent you a protected message.\n\nRead the message\n\nLearn "
         "about messages protected by Microsoft Purview Message Encryption.\n\nPrivacy Statement\nMicrosoft Corporation"),
        ("Secure message", "You have received an encrypted message from Jane\n\nTo view your message, save and open "
         "the attachment (message.html), and sign in using the following email address: lado@council.example"),
        ("Jane Archer has sent you an Egress secure email", "Hello,\n\nTo access it, click below.\nIf you are new to "
         "the service, register for a free account.\n\nKind regards,\nThe team"),
        ("", "Jane Archer has sent you a secure message via Zivver.\n\nOpen message\n\nThis message expires on 3 April."),
        ("", "jane@oakfield.example has sent you a password-protected email.\n\nPassword hint: our usual\n\nUnlock message"),
        ("", "This message has been secured using Galaxkey. Jane Archer has sent you a Galaxkey secured email."),
        ("", "You have received a secure message from head@oak.example\nTo view it click below\nMimecast"),
        ("", f"This is a secure message.\n\nClick here by 2025-04-03 10:00 UTC to read your message.\n{LINK}"),
        ("New secure email from head@oak.example", "Open Message\n\nTo view the secure message, click Open Message."),
        ("", "You've got a new confidential message from Jane Archer.\n\nLog in to read it."),
        ("", "Jane Archer wedi anfon neges ddiogel atoch. Click to open."),
    ],
)  # fmt: skip
def test_a_notice(subject: str, text: str) -> None:
    assert is_notice(subject, text)
    # Words of an account beside it are read.
    assert not is_notice(subject, f"{ACCOUNT}\n\n{text}")
    assert not is_notice(subject, f"{text}\n\n{ACCOUNT}")


@pytest.mark.parametrize(
    "text",
    [
        "I have sent you a secure email through the portal. Please say that it has come.",
        "We sent you a secure email on Friday. Has it come?",
        "Please tell me how to send you a secure email about a coach.",
        "Please ring. This email was sent encrypted.",
        "The club keeps its files on a protected drive.",
        "",
    ],
)
def test_what_a_person_says_of_secure_mail_is_no_notice(text: str) -> None:
    assert not is_notice("Advice please", text)


def test_a_cover_says_nothing_however_long() -> None:
    cover = (
        "Dear colleague,\n\nPlease find attached our referral form in a locked file. The password will follow in a separate "
        "email.\n\nKind regards\nJane Archer\nHead, Oakfield School\n\nThis email and any attachment are confidential and "
        "intended only for the person to whom\nthey are addressed. If you are not the intended recipient you must not "
        "disclose or copy any part of it.\n"
    )
    assert not says_something(cover)
    assert says_something(f"{cover}\n{ACCOUNT}")
    assert says_something("word " * 10_000)
    # What a notice speaks of, an account may speak of too.
    assert says_something("A pupil disclosed that the coach sent her a message and a photograph at night.")


@pytest.mark.parametrize(
    ("content_type", "filename", "begin", "held"),
    [
        ("application/x-microsoft-rpmsg-message", "", b"", True),
        ("application/octet-stream", "message_v2.rpmsg", b"", True),
        ("application/octet-stream", "message.bin", b"\x76\xe8\x04\x60\xc4\x11\xe3\x86", True),
        ("text/html", "securedoc_20250303T100000.html", b"<html>", True),
        ("text/html", "SecureMessageAtt.html", b"<html>", True),
        ("text/html", "Encrypted_Message.htm", b"<html>", True),
        ("text/html", "referral.html", b"<html>", False),
        ("text/html", "insecure.html", b"<html>", False),
        ("application/pdf", "Secure message.pdf", b"%PDF-1.7", False),
    ],
)
def test_an_envelope(content_type: str, filename: str, begin: bytes, held: bool) -> None:
    assert is_envelope(content_type, filename, begin) is held


def test_an_archive() -> None:
    assert is_archive(b"7z\xbc\xaf\x27\x1c\x00\x04")
    assert not is_archive(b"%PDF-1.7")
