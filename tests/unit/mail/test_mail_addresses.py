"""Address fields: what is written to be read is no address, and an address is never cut out of it."""

import time

import pytest

from intake_bot.mail.addresses import mailboxes


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("=?utf-8?Q?jane@oakfield.example,_via_School_Portal?= <no-reply@portal.example>", ["no-reply@portal.example"]),
        ("Portal =?utf-8?Q?jane@oak.example;_us:_(we)?= <p@oak.example>, k@oak.example", ["p@oak.example", "k@oak.example"]),
        ("=?utf-8?Q?Archer,_Jane?= =?utf-8?Q?_(Head)?= <head@oak.example>", ["head@oak.example"]),
        ("=?utf-8?Q?with spaces, unescaped?= <head@oak.example>", ["head@oak.example"]),
        ("=?utf-8?B?SmFuZSwgaGVhZA==?= <head@oak.example>", ["head@oak.example"]),
        ("=?utf-8?Q?jane@oak.example?=", []),
        # None of these is an encoded word.
        ("=?utf-8?Q?never closed, head@oak.example", ["head@oak.example"]),
        ("a=b@oak.example, =c@oak.example", ["a=b@oak.example", "=c@oak.example"]),
        ("=?utf-8?Q?Jane?=<head@oak.example>", ["head@oak.example"]),
    ],
)  # fmt: skip
def test_what_an_encoded_word_holds_is_a_name(value: str, found: list[str]) -> None:
    assert [mailbox.address for mailbox in mailboxes(value, 10)] == found


@pytest.mark.parametrize("unit", ["=?", "=?u?q?", "=?u?q?a", '"=?', "=", "=?u?q?x?= "])
def test_takes_time_that_grows_with_length_alone(unit: str) -> None:
    started = time.process_time()
    mailboxes(unit * (300_000 // len(unit)), 10)
    assert time.process_time() - started < 2
