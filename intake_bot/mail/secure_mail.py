"""Mail of which only the cover has come: the words lie in an encrypted file beside it, or with a secure-mail service."""

from __future__ import annotations

import re

from intake_bot.mail.text import words

_RPMSG = b"\x76\xe8\x04\x60\xc4\x11\xe3\x86"
_RPMSG_TYPES = {"application/x-microsoft-rpmsg-message", "application/x-microsoft-rpmsg"}
# Microsoft's rights management; the pages that Cisco, Proofpoint, Voltage and others attach, which open it in a browser.
_ENVELOPE_NAME = re.compile(
    r"(?i)(?:.*\.rpmsg|securedoc(?:[_-]?\w{0,40})?\.html?|message_zdm\.html?|"
    r"(?:\w{1,40}[_ -])?(?:secured?|encrypted)[_ -]?(?:message|e?-?mail|doc)\w{0,40}\.html?)"
)
_ARCHIVES = (b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
_PASSWORD = re.compile(r"(?i)\bpass(?:word|code|phrase)s?\b|\bcyfrinair\b")

_SECURED = (
    r"(?:secured?|securely|encrypted|protected|password[- ]protected|confidential|zivver|egress|galaxkey|virtru|mimecast|"
    r"proton|barracuda|fortimail|zix(?:corp)?)"
)
_MAIL = r"(?:e-?mails?|messages?|mail|documents?|files?)"
_SECURED_MAIL = rf"(?:[\w,'-]+ ){{0,3}}{_SECURED}(?:,? [\w'-]+){{0,3}}? {_MAIL}\b"
# In the services' words, which speak of the sender as of somebody else: "I have sent you a secure email" is a person's.
_NOTICE = re.compile(
    rf"(?i)(?:\bhas (?:just |also )?|(?<!\bi )(?<!\bwe )(?<!\bhave )(?<!['’]ve )\b)(?:sent|left|shared with) you "
    rf"(?:an? |this )?{_SECURED_MAIL}|"
    rf"\byou(?:['’]ve| have)? (?:just )?(?:received|got|been sent|have|have a) (?:an? )?{_SECURED_MAIL}|"
    rf"\b(?:new|an?) {_SECURED_MAIL} (?:from\b|is waiting|awaits|has been sent|has arrived)|"
    rf"\b(?:read|open|view|unlock|access|collect|retrieve|see|decrypt) (?:the |your |this )?{_SECURED}(?: [\w-]+){{0,2}}? "
    rf"(?:e-?mail|message)\b|"
    rf"\bthis is an? {_SECURED}(?: [\w-]+){{0,2}}? (?:e-?mail|message)[.!:]?\s+(?:please )?(?:click|to |open )|"
    r"\bneges (?:e-bost )?(?:ddiogel|wedi['’]i hamgryptio)"
)
# Sentences about the service, its buttons, and what it warns of; and what authorities put beneath every mail.
_ABOUT_THE_SERVICE = re.compile(
    rf"(?i)\b{_SECURED}\b|\bencrypt|\bdecrypt|\bpurview\b|\bclick|\b(?:sign|log)(?:ging|ged)?[ -]?(?:in|up)\b|\bregist|"
    r"\bpassw|\bpasscode|\bone-time\b|\b(?:free|your|an) account\b|\battach|\bdo not reply|"
    r"\bthis (?:e-?mail|message|mail|link|communication)\b|\bintended (?:only|solely|for|recipient)|\bvirus|"
    r"\bbrowser|\blinks?\b|https?://|\bwww\.|\bcopyright|©|\ball rights reserved|\bprivacy|\blearn (?:more|about)|\bunlock|"
    r"\bexpire|\b(?:view|read|open) (?:(?:the|your|my|this) )?(?:e-?mail|message|document)\b|\bneed help|"
    r"\bhelp (?:page|desk|centre)|\bnot (?:copy|use|disclose)|\byour (?:e-?mail|message|inbox|mailbox|computer|device)\b|"
    r"^(?:from|to|cc|sent|date|subject|reply-to):"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
# A line that is full and goes on in small letters has only been wrapped.
_WRAPPED = re.compile(r"(?<=[^\n]{45})[ \t]*\n[ \t]*(?=[a-z])")
_MAX_CHARS = 20_000
_SENTENCE_WORDS = 8
_LOOSE_WORDS = 40


def is_envelope(content_type: str, filename: str, begin: bytes) -> bool:
    """Whether a file holds an encrypted message, by its type, its name and its first eight bytes."""
    return content_type in _RPMSG_TYPES or begin == _RPMSG or bool(_ENVELOPE_NAME.fullmatch(filename.strip()[:200]))


def is_archive(begin: bytes) -> bool:
    """Whether a file is a zip, 7z or rar archive, by its first eight bytes."""
    return begin.startswith(_ARCHIVES)


def speaks_of_password(text: str) -> bool:
    """Whether the text names a password, as whoever locks an archive does: it comes by another way."""
    return bool(_PASSWORD.search(text[:_MAX_CHARS]))


def is_notice(subject: str, text: str) -> bool:
    """Whether a secure-mail service says that somebody has left a message with it, and nothing else is said.

    It is for the caller to see that there is a link, or a page attached, by which to collect the message.
    """
    return bool(_NOTICE.search(f"{subject}\n{text[:2_000]}")) and not says_something(text)


def says_something(text: str) -> bool:
    """Whether the text holds words of an account, and not only a cover's: about secure mail, buttons, disclaimers, names."""
    if len(text) > _MAX_CHARS:
        return True
    loose = 0
    for sentence in _SENTENCE_END.split(_WRAPPED.sub(" ", text)):
        if _ABOUT_THE_SERVICE.search(sentence.strip()):
            continue
        count = len(words(sentence))
        if count >= _SENTENCE_WORDS:
            return True
        loose += count
    return loose > _LOOSE_WORDS
