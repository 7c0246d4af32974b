"""The directory of known senders on both databases: what lists are read, and what a mail domain then tells."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import func, select

from conftest import FRIDAY_1640
from contract.test_casework import Desk
from intake_bot import sender_lists
from intake_bot.casework import directory, views
from intake_bot.casework.directory import SHARED_DOMAINS, DirectoryRules, Known, authority_key, is_shared
from intake_bot.casework.practice import Practice
from intake_bot.sender_lists import REGISTER_COLUMNS, NotAList, SenderList, domain_of_website
from intake_bot.slack.cards import card_blocks, card_fallback
from intake_bot.slack.modals import view_modal
from storage import known_senders
from storage.engine import Database
from storage.tables import Case, KnownSender

OURS = DirectoryRules(ours=("Elmshire County Council",))


def register(*rows: dict[str, str], encoding: str = "cp1252") -> bytes:
    """The national register's format, among the many columns that it has besides."""
    plain = {
        "LA (name)": "Elmshire",
        "TypeOfEstablishment (name)": "Community school",
        "PhaseOfEducation (name)": "Primary",
        "Postcode": "ZZ1 1ZZ",
        "EstablishmentStatus (name)": "Open",
        "Trusts (name)": "",
    }
    text = io.StringIO()
    writer = csv.DictWriter(text, [*REGISTER_COLUMNS, "Postcode", "EstablishmentStatus (name)", "Trusts (name)"])
    writer.writeheader()
    for row in rows:
        writer.writerow(plain | row)
    return text.getvalue().encode(encoding)


def school(urn: int, name: str, website: str, **more: str) -> dict[str, str]:
    return {"URN": str(urn), "EstablishmentName": name, "SchoolWebsite": website} | more


def read(tmp_path: Path, content: bytes) -> SenderList:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    return sender_lists.read(path, shared=SHARED_DOMAINS, now=FRIDAY_1640)


def put(database: Database, tmp_path: Path, content: bytes) -> SenderList:
    found = read(tmp_path, content)
    with database.write() as session:
        known_senders.replace(session, found.source, found.rows)
    return found


def known(database: Database, address: str | None, rules: DirectoryRules = OURS) -> Known | None:
    with database.read() as session:
        return directory.look_up(session, rules, address)


def test_a_register_as_it_is_published_tells_whose_school_writes(database: Database, tmp_path: Path) -> None:
    found = put(
        database,
        tmp_path,
        register(
            school(100001, "St Chloë’s Primary School", "http://www.stchloes.elmshire.sch.uk/"),
            school(100002, "Oakham Nursery", "oakhamnursery.example", **{"PhaseOfEducation (name)": "Nursery"}),
            school(100003, "Far Academy", "https://far.example/home", **{"LA (name)": "Rutlandshire"}),
            school(100004, "No Site School", ""),
            school(100005, "Blog School", "https://blogschool.wordpress.com"),
            school(100006, "Gone School", "gone.example", **{"EstablishmentStatus (name)": "Closed"}),
        ),
    )
    assert (found.source, len(found.rows), found.bad, found.passed_over) == ("register", 3, [], 3)
    assert known(database, "office@stchloes.elmshire.sch.uk") == Known("St Chloë’s Primary School", "Education", False)
    assert known(database, "Head@MAIL.StChloes.Elmshire.sch.uk") == known(database, "a@stchloes.elmshire.sch.uk")
    assert known(database, "a@oakhamnursery.example") == Known("Oakham Nursery", "Early years", False)
    assert known(database, "a@far.example") == Known("Far Academy", "Education", True)
    for stranger in ("a@gone.example", "a@elmshire.sch.uk", "a@other.elmshire.sch.uk", "a@example", "a@", "", None):
        assert known(database, stranger) is None, stranger


def test_whose_it_is_stays_open_where_our_own_name_is_not_set(database: Database, tmp_path: Path) -> None:
    put(database, tmp_path, register(school(1, "Oak", "oak.example")))
    assert known(database, "a@oak.example", DirectoryRules(ours=("the council",))) == Known("Oak", "Education", None)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Elmshire County Council", "Elmshire"),
        ("London Borough of Oakham", "Oakham"),
        ("Beech & Ash Council", "Beech and Ash"),
        ("the Royal Borough of Kingsham-on-Sea", "Kingsham on Sea"),
    ],
)
def test_an_authority_goes_by_several_names(ours: str, theirs: str) -> None:
    assert authority_key(ours) == authority_key(theirs) != ""


def test_where_several_share_a_domain_none_of_them_is_named(database: Database, tmp_path: Path) -> None:
    trust = {"Trusts (name)": "Beech Trust"}
    put(
        database,
        tmp_path,
        register(
            school(1, "Oak School", "www.shared.example"),
            school(2, "Ash School", "shared.example", **{"LA (name)": "Rutlandshire"}),
            school(3, "Fir School", "beech.example/fir", **trust),
            school(4, "Yew School", "beech.example/yew", **trust, **{"PhaseOfEducation (name)": "Nursery"}),
        ),
    )
    assert known(database, "a@shared.example") == Known("one of 2 at shared.example", "Education", None)
    assert known(database, "a@beech.example") == Known("Beech Trust: one of its 2", None, False)


def test_our_own_list_is_believed_before_the_register(database: Database, tmp_path: Path) -> None:
    put(database, tmp_path, register(school(1, "Oak School", "oak.example", **{"LA (name)": "Rutlandshire"})))
    put(
        database,
        tmp_path,
        b"domain,organisation,type,sector,authority,other_authority\r\n"
        b"oak.example,Oak School (special agreement),,Education,,no\r\n"
        b"scouts.example,Elmshire Scouts,charity,Voluntary organisation,,\r\n",
    )
    assert known(database, "a@oak.example") == Known("Oak School (special agreement)", "Education", False)
    assert known(database, "a@scouts.example") == Known("Elmshire Scouts", "Voluntary organisation", None)


def test_the_same_list_again_changes_nothing_and_a_new_one_takes_its_place(database: Database, tmp_path: Path) -> None:
    def names() -> list[str]:
        with database.read() as session:
            return [row.organisation for row in known_senders.every(session)]

    first = register(school(1, "Oak", "oak.example"), school(2, "Ash", "ash.example"), school(2, "Ash", "ash.example"))
    put(database, tmp_path, b"domain,organisation\nown.example,Our own\n")
    put(database, tmp_path, first)
    put(database, tmp_path, first)
    assert names() == ["Ash", "Oak", "Our own"]
    put(database, tmp_path, register(school(2, "Ash Academy", "ash.example")))
    assert names() == ["Ash Academy", "Our own"]


def test_a_row_that_cannot_be_used_is_named_by_its_line_and_stops_nothing(tmp_path: Path) -> None:
    content = register(
        school(1, "Oak", "oak.example"),
        {"EstablishmentName": "No number", "SchoolWebsite": "x.example", "URN": ""},
        school(3, "", "y.example"),
        school(4, "Odd", "see facebook"),
        school(5, "Ash", "ash.example"),
    )
    lines = content.split(b"\r\n")
    lines.insert(3, b"6,cut short")
    found = read(tmp_path, b"\r\n".join(lines))
    assert [row["organisation"] for row in found.rows] == ["Oak", "Ash"]
    assert [line for line, _ in found.bad] == [3, 4, 5, 6]
    own = read(
        tmp_path,
        b"organisation,domain,other_authority\nA,a.example,no\nB,,\nC,gmail.com,\n,d.example,\nE,e.example,perhaps\n",
    )
    assert ([row["organisation"] for row in own.rows], [line for line, _ in own.bad]) == (["A"], [3, 4, 5, 6])


@pytest.mark.parametrize(
    "content",
    [b"", b"name,website\nOak,oak.example\n", b"domain,organisation\n", b"domain,organisation\n,\n", b"\x00\xff\xfe"],
)
def test_what_is_no_list_changes_nothing(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(NotAList):
        read(tmp_path, content)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_names_are_read_in_either_encoding(encoding: str, tmp_path: Path) -> None:
    (row,) = read(tmp_path, register(school(1, "St Chloë’s", "c.example"), encoding=encoding)).rows
    assert row["organisation"] == "St Chloë’s"


@pytest.mark.parametrize(
    ("website", "domain"),
    [
        ("http://www.oak.elmshire.sch.uk/", "oak.elmshire.sch.uk"),
        ("HTTPS://WWW.Oak.example/about?x=1", "oak.example"),
        ("http:www.oak.example", "oak.example"),
        ("http;//oak.example", "oak.example"),
        ("ww.oak.example", "oak.example"),
        ("www.oak.example:8080", "oak.example"),
        ("office@oak.example", "oak.example"),
        ("oak.example.", "oak.example"),
        ("oak", None),
        ("see our page", None),
        ("http://", None),
        ("-.example", None),
        ("a" * 300 + ".example", None),
    ],
)
def test_the_domain_of_a_website(website: str, domain: str | None) -> None:
    assert domain_of_website(website) == domain


@pytest.mark.parametrize(
    ("domain", "shared"),
    [
        ("gmail.com", True),
        ("hotmail.co.uk", True),
        ("yahoo.fr", True),
        ("oak.wordpress.com", True),
        ("live.oakfield.sch.uk", False),
        ("oakgmail.com", False),
        ("gmail.com.oak.example", False),
    ],
)
def test_domains_that_many_share(domain: str, shared: bool) -> None:
    assert is_shared(domain, SHARED_DOMAINS) is shared


def test_many_rows_are_taken_in_pieces_and_all_or_none(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More rows than one statement takes, in one transaction that holds or does not."""
    monkeypatch.setattr(known_senders, "ROWS_AT_ONCE", 100)
    put(database, tmp_path, register(*(school(urn, f"School {urn}", f"s{urn}.example") for urn in range(1, 1052))))
    found = read(tmp_path, register(*(school(urn, f"New {urn}", f"s{urn}.example") for urn in range(1, 500))))
    found.rows[-1]["organisation"] = None
    with pytest.raises(Exception, match=r"(?i)null"), database.write() as session:
        known_senders.replace(session, found.source, found.rows)
    with database.read() as session:
        assert session.exec(select(func.count()).select_from(KnownSender)).one() == 1051
    assert known(database, "a@s1051.example") == Known("School 1051", "Education", False)


# On a case


@pytest.fixture
def desk(database: Database, practice: Practice, tmp_path: Path) -> Desk:
    put(
        database,
        tmp_path,
        register(
            school(1, "Oak <b>School</b>", "oak.example"),
            school(2, "Far School", "far.example", **{"LA (name)": "Rutlandshire"}),
        ),
    )
    return Desk(database, replace(practice, directory=OURS))


def case_of(desk: Desk, **facts: Any) -> tuple[Case, str, str]:
    """The case of a new message; what all see of it, as a card and on a locked telephone; and what one officer sees."""
    filed = desk.opened(**facts)
    zone = desk.practice.calendar.zone
    with desk.database.read() as session:
        case = session.get_one(Case, filed.case_id)
        card = views.card(session, case)
        view = view_modal(views.whole(session, desk.practice, case), zone)
    return case, f"{card_blocks(card, zone)} {card_fallback(card, zone)}", json.dumps(view)


def test_a_case_says_who_writes_by_the_lists_and_on_what_evidence(desk: Desk) -> None:
    case, card, view = case_of(desk, sender="dsl@oak.example", sender_trust="pass")
    assert (case.organisation, case.sector, case.elsewhere) == ("Oak <b>School</b>", "Education", False)
    assert "Education: Oak <b>School</b>, going by the mail domain, whose sender is proven" in view
    # With the category beside it, a small school's name may tell everybody in the channel who is meant.
    assert "Oak" not in card
    assert "Education" in card
    assert "whose sender is not proven" in case_of(desk, sender="dsl@oak.example")[2]


def test_another_authority_s_sender_is_pointed_out(desk: Desk) -> None:
    case, card, _ = case_of(desk, sender="dsl@far.example")
    assert (case.elsewhere, "other_authority" in case.remarks) == (True, True)
    assert "another authority" in card


def test_an_address_that_failed_authentication_names_nobody(desk: Desk) -> None:
    case, card, view = case_of(desk, sender="dsl@oak.example", sender_trust="fail")
    assert (case.organisation, case.elsewhere) == (None, None)
    assert "Oak" not in card + view


def test_where_no_names_are_wanted_no_organisation_is_said(desk: Desk) -> None:
    case, card, view = case_of(desk, sender="dsl@oak.example", subject="A no-names consultation please")
    assert case.no_names
    assert "Oak" not in card + view
