"""Sender trust: only our own server's word counts, and nothing it did not test passes."""

import pytest

from intake_bot.mail.trust import sender_trust

PASS = "mx.council.example; dmarc=pass header.from=oakfield.example"


@pytest.mark.parametrize(
    ("results", "verdict"),
    [
        ([PASS], "pass"),
        (["MX.council.example 1; dmarc=pass header.from=Oakfield.example; spf=fail smtp.mailfrom=x@y.example"], "pass"),
        (["mx.council.example; dmarc=fail header.from=oakfield.example; spf=pass smtp.mailfrom=oakfield.example"], "fail"),
        (["mx.council.example; dmarc=pass header.from=elsewhere.example"], "fail"),
        (["mx.council.example; spf=pass smtp.mailfrom=jane@oakfield.example"], "pass"),
        (["mx.council.example; spf=pass smtp.mailfrom=mail.oakfield.example"], "pass"),
        (["mx.council.example; dkim=fail header.d=oakfield.example; dkim=pass header.d=oakfield.example"], "pass"),
        (["mx.council.example; dkim=pass header.d=example; spf=pass smtp.mailfrom=bulk@sender.example"], "none"),
        (["mx.council.example; spf=pass smtp.helo=oakfield.example"], "none"),
        (["mx.council.example; dkim=pass header.d=notoakfield.example"], "none"),
        (["mx.council.example; dmarc=none header.from=oakfield.example; dkim=pass header.d=oakfield.example"], "pass"),
        (["mx.council.example; none"], "none"),
        (["elsewhere.example; dmarc=pass header.from=oakfield.example"], "none"),
        (["mx.council.example.evil.example; dmarc=pass header.from=oakfield.example"], "none"),
        (["elsewhere.example; dmarc=fail header.from=oakfield.example", PASS], "pass"),
        (["mx.council.example; none", PASS], "none"),
        (["mx.council.example; dmarc=(((", PASS], "none"),
        (["mx.council.example;" + "(" * 5_000], "none"),
        # Comments, folds, case, versions, and what servers really write.
        (["(a (nested; one)) mx.council.example(two) 1 (x);\r\n\tDMARC=Pass\r\n header.from=OAKFIELD.example"], "pass"),
        (['"mx.council.example"; dmarc=pass header.from=oakfield.example;'], "pass"),
        (["mx.council.example; dmarc=pass (p=NONE; dis=NONE \\) ;) header.from=oakfield.example"], "pass"),
        (["mx.council.example; spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=oakfield.example; dkim=pass (signature "
          "was verified) header.d=oakfield.example;dmarc=pass action=none header.from=oakfield.example;compauth=pass "
          "reason=100"], "pass"),
        (["mx.council.example; dkim=pass header.i=@oakfield.example header.s=s1 header.b=aB/+d;       spf=pass (mx.council."
          "example: domain of jane@oakfield.example designates 192.0.2.1 as permitted sender) smtp.mailfrom=jane@oakfield."
          "example;       dmarc=pass (p=NONE sp=QUARANTINE dis=NONE) header.from=oakfield.example"], "pass"),
        (["mx.council.example 2; dmarc=pass header.from=oakfield.example"], "none"),
        (["mx.council.example evil; dmarc=pass header.from=oakfield.example"], "none"),
        (["(mx.council.example;) elsewhere.example; dmarc=pass header.from=oakfield.example"], "none"),
        # What the sender chose (an envelope address) neither hides a fail nor makes a pass.
        (["mx.council.example; spf=pass smtp.mailfrom=((\"; dmarc=fail header.from=oakfield.example"], "none"),
        (["mx.council.example; dmarc=fail header.from=oakfield.example; spf=pass smtp.mailfrom=(\"x"], "fail"),
        (["mx.council.example; spf=pass smtp.mailfrom=<>@@; dmarc=fail header.from=oakfield.example"], "fail"),
        (["mx.council.example; spf=pass smtp.mailfrom=<>@@; dmarc=pass header.from=oakfield.example"], "none"),
        (['mx.council.example; spf=pass smtp.mailfrom=";dmarc=pass header.from=oakfield.example;"@evil.example'], "none"),
        (['mx.council.example; spf=pass smtp.mailfrom="\\";dmarc=pass header.from=oakfield.example;"@evil.example'], "none"),
        # A field for each method, as some servers write them: a fail counts in any of ours, a pass in the first alone.
        (["mx.council.example; spf=pass smtp.mailfrom=x@evil.example",
          "mx.council.example; dmarc=fail (p=reject) header.from=oakfield.example"], "fail"),
        (["mx.council.example; spf=pass smtp.mailfrom=jane@oakfield.example",
          "elsewhere.example; dkim=none", "mx.council.example; dmarc=fail header.from=oakfield.example"], "fail"),
        (["mx.council.example; spf=none smtp.mailfrom=x@evil.example",
          "mx.council.example; dmarc=pass header.from=evil.example"], "fail"),
        (["mx.council.example; spf=pass smtp.mailfrom=jane@oakfield.example",
          "elsewhere.example; dmarc=fail header.from=oakfield.example"], "pass"),
        ([PASS, "mx.council.example; dmarc=pass header.from=home.example"], "pass"),
        ([PASS, "mx.council.example; dmarc=((("], "pass"),
        (["", ";;;", "=", "(", "\x00"], "none"),
        ([], "none"),
    ],
)  # fmt: skip
def test_verdict(results: list[str], verdict: str) -> None:
    found = sender_trust(results, authserv_id="mx.council.example", from_addresses=["jane@oakfield.example"])
    assert found == verdict


def test_nothing_passes_without_a_server_to_believe_or_a_sender_to_test() -> None:
    assert sender_trust([PASS], authserv_id=None, from_addresses=["jane@oakfield.example"]) == "none"
    assert sender_trust([PASS], authserv_id="mx.council.example", from_addresses=[]) == "none"
    both = ["jane@oakfield.example", "jane@elsewhere.example"]
    assert sender_trust([PASS], authserv_id="mx.council.example", from_addresses=both) == "fail"


def test_a_server_that_names_itself_nowhere_is_believed_at_the_very_top_only() -> None:
    def verdict(*results: str) -> str:
        return sender_trust(results, authserv_id="unnamed", from_addresses=["jane@oakfield.example"])

    unnamed = (
        "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=oakfield.example; dkim=pass header.d=oakfield.example;"
        "dmarc=pass action=none header.from=oakfield.example;compauth=pass reason=100"
    )
    assert verdict(unnamed, PASS) == "pass"
    assert verdict(unnamed.replace("dmarc=pass", "dmarc=fail"), unnamed) == "fail"
    assert verdict(PASS, unnamed) == "none"
    assert verdict("unnamed; dmarc=pass header.from=oakfield.example") == "none"
    assert verdict() == "none"
