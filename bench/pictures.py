"""Pictures of the desk: the Block Kit that is really sent, drawn by a plain page in headless Chromium. For docs/pictures.

    .venv/bin/python bench/pictures.py docs/pictures

It is no Slack: shapes and words are right, colours and letters are like.
"""

from __future__ import annotations

import html
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes import sample_cases as cases
from intake_bot.casework.desk import Actor
from intake_bot.casework.files import CaseFile
from intake_bot.casework.queue import Month, Overview, ParkedItem, Queued, Which
from intake_bot.casework.rota import DutyDay
from intake_bot.casework.vocabulary import Status
from intake_bot.slack import act_forms, cards, consult, forms, home, modals, rota
from intake_bot.slack.ports import Board
from triage.vocabulary import Flag, Threshold

LONDON = ZoneInfo("Europe/London")
NOW = datetime(2026, 11, 27, 17, 0, tzinfo=UTC)
STYLE = """
body{font:15px/1.45 "Lato","Liberation Sans",Arial,sans-serif;color:#1d1c1d;margin:16px;width:620px;background:#fff}
h1{font-size:19px;margin:6px 0}.f{display:grid;grid-template-columns:1fr 1fr;gap:8px}.c{font-size:13px;color:#616061}
.a{display:flex;flex-wrap:wrap;gap:8px;margin:8px 0}.b{border:1px solid #bbb;border-radius:4px;padding:4px 12px;
font-weight:bold}
.p{background:#007a5a;color:#fff;border-color:#007a5a}.s{color:#555;font-weight:normal}hr{border:0;border-top:1px solid #ddd}
.i{border:1px solid #bbb;border-radius:4px;padding:6px 10px;color:#777;min-height:20px;white-space:pre-wrap}
.l{font-weight:bold;margin-top:12px}
.h{font-size:13px;color:#616061}.r{white-space:pre-wrap}.row{display:flex;justify-content:space-between;gap:12px;align-items:flex-start}
.m{border:1px solid #ccc;border-radius:8px;padding:14px 18px}
.t{font-weight:bold;font-size:18px;border-bottom:1px solid #ddd;padding-bottom:8px}
.blk{margin:8px 0}
"""


def text(thing: dict[str, Any]) -> str:
    shown = html.escape(thing["text"], quote=False) if thing["type"] == "plain_text" else mrkdwn(thing["text"])
    return shown.replace("\n", "<br>")


def mrkdwn(words: str) -> str:
    words = re.sub(r"<!date\^\d+\^[^|]*\|([^>]*)>", r"\1", words)
    words = re.sub(r"<@(\w+)>", r"@\1", words)
    words = re.sub(r"\*([^*\n]+)\*", r"<b>\1</b>", words)
    words = re.sub(r"`([^`]+)`", r"<code>\1</code>", words)
    return words.replace(":rotating_light:", "▲").replace(":warning:", "△")


def element(thing: dict[str, Any]) -> str:
    match thing["type"]:
        case "button":
            return f'<span class="b {"p" if thing.get("style") == "primary" else ""}">{text(thing["text"])}</span>'
        case "static_select" | "users_select" | "multi_users_select":
            chosen = (thing.get("initial_option") or {}).get("text") or thing["placeholder"]
            if "initial_user" in thing:
                chosen = {"type": "plain_text", "text": f"@{thing['initial_user']}"}
            return f'<span class="b s">{text(chosen)} ▾</span>'
        case "radio_buttons" | "checkboxes":
            mark = "◯" if thing["type"] == "radio_buttons" else "☐"
            return "<br>".join(
                f"{mark} {text(one['text'])}"
                + (f' <span class="h">{text(one["description"])}</span>' if "description" in one else "")
                for one in thing["options"]
            )
        case "plain_text_input":
            return f'<div class="i">{html.escape(thing.get("initial_value", ""))}</div>'
        case _:
            return f'<span class="b s">{thing.get("initial_date") or thing.get("initial_time") or ""}</span>'


def block(thing: dict[str, Any]) -> str:
    match thing["type"]:
        case "header":
            return f"<h1>{text(thing['text'])}</h1>"
        case "divider":
            return "<hr>"
        case "context":
            return f'<div class="c">{"<br>".join(text(one) for one in thing["elements"])}</div>'
        case "actions":
            return f'<div class="a">{"".join(element(one) for one in thing["elements"])}</div>'
        case "input":
            hint = f'<div class="h">{text(thing["hint"])}</div>' if "hint" in thing else ""
            optional = ' <span class="h">(optional)</span>' if thing.get("optional") else ""
            return f'<div class="l">{text(thing["label"])}{optional}</div>{element(thing["element"])}{hint}'
        case "rich_text":
            marks = {"bold": "b", "strike": "s", "italic": "i"}
            parts = []
            for part in (each for one in thing["elements"] for each in one["elements"]):
                style = next((mark for name, mark in marks.items() if part.get("style", {}).get(name)), "span")
                parts.append(f"<{style}>{html.escape(part['text'])}</{style}>")
            return f'<div class="r">{"".join(parts)}</div>'
        case _:
            fields = "".join(f"<div>{text(one)}</div>" for one in thing.get("fields", ()))
            said = text(thing["text"]) if "text" in thing else f'<div class="f">{fields}</div>'
            return (
                f'<div class="row"><div>{said}</div>{element(thing["accessory"]) if "accessory" in thing else ""}</div>'
            )


def page(blocks: list[dict[str, Any]], title: str = "", submit: str = "") -> str:
    body = "".join(f'<div class="blk">{block(one)}</div>' for one in blocks)
    if title:
        foot = f'<div class="a"><span class="b">Cancel</span><span class="b p">{submit}</span></div>' if submit else ""
        body = f'<div class="m"><div class="t">{html.escape(title)}</div>{body}{foot}</div>'
    return f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style>{body}'


def modal(view: dict[str, Any]) -> str:
    return page(view["blocks"], view["title"]["text"], (view.get("submit") or {}).get("text", ""))


def pictures() -> dict[str, tuple[str, int]]:
    """Name to page and height in pixels."""
    card = replace(cases.card(), threshold=Threshold.MEETS, suggestion_version="v9")
    me = Actor("slack", "T0TEAM/U0ALEX")
    decided = replace(card, status=Status.IN_PROGRESS, officer=me, actions_open=2)
    rows = [
        Queued(
            "C1",
            "LADO-26-7F3K2P",
            Status.NEW,
            NOW,
            "Early years",
            None,
            (Flag.IMMEDIATE_DANGER,),
            "triage",
            NOW + timedelta(hours=2),
        ),
        Queued(
            "C2", "LADO-26-W3NW9F", Status.IN_PROGRESS, NOW, "Education", me, (), "one_month", NOW + timedelta(days=9)
        ),
    ]
    counts = {Which.UNCLAIMED: 1, Which.MINE: 1, Which.OVERDUE: 0, Which.DUE_TODAY: 1, Which.WAITING: 1, Which.OPEN: 2}
    overview = Overview(
        counts,
        1,
        3,
        Month(31, 29, 28, (("first_meeting", 6, 7), ("one_month", 4, 4))),
        (ParkedItem("01KAPARKEDMESSAGE000000000", "email", NOW, "reading_timeout"),),
    )
    lists = {
        Which.OVERDUE: [],
        Which.DUE_TODAY: rows[:1],
        Which.UNCLAIMED: rows[:1],
        Which.MINE: rows[1:],
        Which.WAITING: rows[1:],
    }
    board = Board(overview, lists, ("Early years", "Education"), (me,))
    shown_home = home.home(board, chosen=home.Chosen(), now=NOW, zone=LONDON)
    sam = Actor("slack", "T0TEAM/U0SAM")
    monday = date(2026, 11, 30)
    begins = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
    days = [
        DutyDay(monday + timedelta(days=n), begins, begins, (one,), (one,), ()) for n, one in enumerate((me, sam, me))
    ] + [DutyDay(monday + timedelta(days=3), begins, begins, (me,), (sam,), ((sam, me),))]
    words = "".join(f"{number} The coach spoke to the team again. " for number in range(455))
    long = replace(cases.view(), messages=(cases.message(text=words, full_text=words),), suggestion=None)
    attached = [
        CaseFile("1", 1, "statement.docx", 48_000, fits=True),
        CaseFile("2", 2, "film.mov", 900_000_000, fits=False),
    ]
    files = forms.prepared_files(act_forms.SEND_FILE, attached)
    assert isinstance(files, forms.Prepared)
    send_file = forms.form_modal(
        act_forms.SEND_FILE, card, now=NOW, zone=LONDON, shown=files.shown, fields=files.fields
    )
    return {
        "card": (page(cards.card_blocks(card, LONDON)), 370),
        "card-in-progress": (page(cards.card_blocks(decided, LONDON)), 370),
        "view": (modal(modals.view_modal(cases.view(), LONDON)), 800),
        "view-page": (modal(modals.view_modal(long, LONDON, 2)), 740),
        "view-without-content": (modal(modals.bare_modal(card, LONDON)), 240),
        "card-restricted": (page(cards.card_blocks(replace(card, restricted=True), LONDON)), 170),
        "decide": (modal(modals.decide_modal(card)), 1150),
        "conclude": (modal(forms.form_modal(act_forms.BY_NAME["conclude"], decided, now=NOW, zone=LONDON)), 430),
        "meeting": (modal(forms.form_modal(act_forms.BY_NAME["meeting"], decided, now=NOW, zone=LONDON)), 560),
        "consult": (modal(consult.consult_modal()), 1080),
        "home": (page(shown_home["blocks"]), 890),
        "card-called": (page(cards.card_blocks(replace(card, on_duty=(me,), proposed=sam), LONDON)), 410),
        "rota": (page(rota.rota_blocks(days)), 210),
        "view-files": (modal(modals.view_modal(cases.view(), LONDON, sends_files=True)), 860),
        "send-file": (modal(send_file), 330),
        "rota-away": (modal(rota.away_modal("U0SAM", NOW)), 480),
    }


def main(folder: Path) -> None:
    """Draw every picture into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name, (shown, height) in pictures().items():
            source = Path(scratch) / f"{name}.html"
            source.write_text(shown, encoding="utf-8")
            subprocess.run(
                [
                    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                    *(f"--screenshot={folder / (name + '.png')}", f"--window-size=660,{height}", str(source)),
                ],
                check=True,
                capture_output=True,
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
