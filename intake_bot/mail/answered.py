"""Whose words lie under the writer's: the author of the nearest old message, going by its introduction."""

from __future__ import annotations

import re
from collections.abc import Collection

from intake_bot.mail import introductions
from intake_bot.mail.addresses import MAX_ADDRESS, without_tag

# Beyond these nobody's nearest old message begins; then its author is not known, which costs a longer reading only.
_MAX_LINES = 20_000
_MAX_LOOKS = 400
_QUOTE_MARKS = re.compile(r"^[\s>＞|]{1,40}")
_ADDRESS = re.compile(r"[^\s<>\"'(),;:\[\]@]{1,64}@[^\s<>\"'(),;:\[\]@]{1,255}")


def history_is_by(full_text: str, addresses: Collection[str]) -> bool:
    """Whether the nearest old message in a text is by one of ``addresses``, their ``+tag`` forms included.

    An introduction without an address names nobody: a display name is anybody's.
    """
    lines = [_QUOTE_MARKS.sub("", line) for line in full_text.split("\n", _MAX_LINES)[:_MAX_LINES]]
    worth_a_look = (number for number, line in enumerate(lines) if introductions.is_worth_a_look(line))
    for _, number in zip(range(_MAX_LOOKS), worth_a_look, strict=False):
        found = introductions.at(lines, number)
        if found is not None and found.certain and found.kind != "request":
            own = {without_tag(address) for address in addresses}
            authors = _ADDRESS.findall(found.author[: 4 * MAX_ADDRESS])
            return any(without_tag(author) in own for author in authors)
    return False
