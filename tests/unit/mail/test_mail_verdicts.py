"""SPF, DKIM and DMARC by library, on name servers of the tests' own: what passes, what fails, and what nobody can tell."""

from __future__ import annotations

import base64
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from intake_bot.mail.verdicts import MAX_LOOKUPS, DnsFault, verdict

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
)
RAW = (
    b"From: Jane <jane@oakfield.example>\r\nTo: lado@elmshire.example\r\nSubject: Advice please\r\n"
    b"Date: Fri, 27 Nov 2026 16:40:00 +0000\r\n\r\nA parent told us that a coach shouted at her son.\r\n"
)
SIGNING_KEY = b"v=DKIM1; k=rsa; p=" + PUBLIC
ORG_RAW = RAW.replace(b"oakfield.example", b"example.org")
CLIENT = "192.0.2.1"

Zone = dict[tuple[str, str], list[Any]]
SPF: Zone = {("oakfield.example", "TXT"): [b"v=spf1 ip4:192.0.2.0/24 -all"]}
DKIM: Zone = {("s1._domainkey.oakfield.example", "TXT"): [SIGNING_KEY]}
OTHER_DKIM: Zone = {("s1._domainkey.bulk.example", "TXT"): [SIGNING_KEY]}
DMARC: Zone = {("_dmarc.oakfield.example", "TXT"): [b"unrelated", b"v=DMARC1; p=reject"]}
ORG: Zone = {
    ("_dmarc.example.org", "TXT"): [b"v=DMARC1; p=none"],
    ("s1._domainkey.mail.example.org", "TXT"): [SIGNING_KEY],
    ("s1._domainkey.example.com", "TXT"): [SIGNING_KEY],
}


def signed(raw: bytes = RAW, domain: bytes = b"oakfield.example", **options: Any) -> bytes:
    return bytes(dkim.sign(raw, b"s1", domain, PRIVATE, **options)) + raw


def found(
    raw: bytes, zone: Zone, *, client: str = CLIENT, mail_from: str = "jane@oakfield.example", silent: str = ""
) -> str:
    """The verdict; of names that end in ``silent`` nobody can tell anything."""

    def resolve(name: str, kind: str) -> list[Any]:
        if silent and name.endswith(silent):
            raise DnsFault("timeout")
        return zone.get((name, kind), [])

    return verdict(raw, client=client, mail_from=mail_from, resolve=resolve)


@pytest.mark.parametrize(
    ("raw", "zone", "more", "says"),
    [
        (signed(), DKIM | DMARC, {"mail_from": "<>"}, "pass"),
        (RAW, SPF | DMARC, {}, "pass"),
        (signed(), DKIM, {"mail_from": "<>"}, "pass"),  # no policy: a signature of the very domain
        (RAW, SPF, {}, "pass"),
        (RAW, {}, {}, "none"),
        (RAW, SPF | DMARC, {"client": "198.51.100.9"}, "fail"),
        (RAW, SPF | DMARC, {"mail_from": "bounce@bulk.example"}, "fail"),
        (signed(domain=b"bulk.example"), OTHER_DKIM | DMARC, {"client": "198.51.100.9"}, "fail"),
        (signed(domain=b"bulk.example"), OTHER_DKIM, {"client": "198.51.100.9"}, "none"),
        # DMARC's relaxed alignment: one organisation, and not merely one ending.
        (signed(ORG_RAW, b"mail.example.org"), ORG, {"mail_from": "<>"}, "pass"),
        (signed(ORG_RAW, b"example.com"), ORG, {"mail_from": "<>"}, "fail"),
        # The second of two signatures is the one that counts.
        (signed(signed(), b"bulk.example"), DKIM | OTHER_DKIM | DMARC, {"mail_from": "<>"}, "pass"),
        (signed().replace(b"coach", b"cook"), DKIM | DMARC, {"mail_from": "<>"}, "fail"),
        (signed().replace(b"jane@oakfield", b"joan@oakfield"), DKIM | DMARC, {"mail_from": "<>"}, "fail"),
        # A signature over a part of the body, to the end of which somebody has added.
        (signed(length=True) + b"And pay this.\r\n", DKIM | DMARC, {"mail_from": "<>"}, "fail"),
        # A second From that a signature does not see.
        (b"From: x@oakfield.example\r\n" + signed(), DKIM | DMARC, {}, "fail"),
        (RAW.replace(b"example>", b"example>, x@bulk.example"), SPF | DMARC, {}, "fail"),
        (RAW.replace(b"From", b"X-From"), SPF | DMARC, {}, "none"),
        # Two policies are none; one that cannot be read is none.
        (RAW, {("_dmarc.oakfield.example", "TXT"): [b"v=DMARC1; p=reject", b"v=DMARC1; p=none"]}, {}, "none"),
        (RAW, {("_dmarc.oakfield.example", "TXT"): [b"v=DMARC1; reject"]}, {}, "none"),
        (RAW, {("oakfield.example", "TXT"): [b"v=spf1 include:oakfield.example -all"]} | DMARC, {}, "fail"),
        (b"", {}, {}, "none"),
        (b"\x00\xff: \r\n\r\n", SPF, {}, "none"),
        (RAW, SPF, {"client": ""}, "none"),
        (RAW, SPF, {"client": "no address", "mail_from": "@"}, "none"),
    ],
)  # fmt: skip
def test_verdict(raw: bytes, zone: Zone, more: dict[str, str], says: str) -> None:
    assert found(raw, zone, **more) == says


@pytest.mark.parametrize(
    ("raw", "silent"),
    [(RAW, "_dmarc.oakfield.example"), (RAW, "oakfield.example"), (signed(), "s1._domainkey.oakfield.example")],
)
def test_where_name_servers_are_silent_nothing_fails(raw: bytes, silent: str) -> None:
    """Or a school would be kept out of its own case by an outage."""
    assert found(raw, DKIM | DMARC, mail_from="<>", silent=silent) == "none"
    assert found(raw, DMARC, client="198.51.100.9", silent=silent) == "none" or silent.startswith("s1.")


def test_a_message_cannot_make_us_ask_for_ever() -> None:
    """Ten includes that each lead on, and five signatures: the library bounds its part, and we bound the whole."""
    asked: list[str] = []

    def resolve(name: str, kind: str) -> list[Any]:
        asked.append(name)
        if kind == "TXT" and "_" not in name:
            return [b"v=spf1 " + b" ".join(b"include:%d.%s" % (n, name.encode()) for n in range(9)) + b" -all"]
        return []

    raw = RAW
    for number in range(8):
        raw = signed(raw, b"%d.example" % number)
    assert verdict(raw, client=CLIENT, mail_from="jane@oakfield.example", resolve=resolve) == "none"
    assert len(asked) <= MAX_LOOKUPS
