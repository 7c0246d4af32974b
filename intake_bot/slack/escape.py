"""Foreign words made fit for Slack: inert in mrkdwn, free of control characters, cut to its limits at word ends."""

from __future__ import annotations

import re

# C0 and C1 controls but for tab and newline; direction overrides, which can make a name read as another; lone surrogates,
# which are no text.
_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FORMATTING = str.maketrans({"*": "＊", "_": "＿", "~": "～", "`": "｀"})
_ELLIPSIS = "…"


def clean(text: str) -> str:
    """The text with line ends unified and without what Slack cannot show. For places where no mrkdwn is read."""
    return _UNSHOWABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def line(text: str, limit: int) -> str:
    """One line of at most ``limit`` characters, for places where no mrkdwn is read. Never empty: Slack refuses that."""
    return cut(" ".join(clean(text).split()), limit) or "-"


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, ending at a word's end where that costs less than half of them."""
    if len(text) <= limit:
        return text
    head = text[: limit - len(_ELLIPSIS)]
    if not text[len(head)].isspace():
        at = max(head.rfind(" "), head.rfind("\n"))
        if at > limit // 2:
            head = head[:at]
    return head.rstrip() + _ELLIPSIS


def mrkdwn(text: str, limit: int) -> str:
    """One line that means nothing in mrkdwn, of at most ``limit`` characters as sent.

    ``& < >`` are escaped as Slack asks (https://docs.slack.dev/messaging/formatting-message-text); that takes the life from
    mentions, links and dates. The formatting characters have no escape, so they are replaced by their full-width forms.
    """
    shown, room = " ".join(clean(text).split()) or "-", limit
    while len(sent := _escaped(cut(shown, room))) > limit:
        room -= max(1, (len(sent) - limit) // len("&amp;"))
    return sent


def unescaped(text: str) -> str:
    """What somebody typed, as they typed it: Slack sends these three escaped."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").translate(_FORMATTING)
