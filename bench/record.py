"""What the record costs at 100,000 cases, and with ``--million`` at 1,000,000: the second half of ``make bench``.

Fills SQLite stores in a throw-away folder with sealed rows as the service would have written them (texts of about 217 words,
each case under a key of its own), then times the product's own functions on them: the open list, opening a case, a new
case, word search in its child process, and what sealing costs intake. What is compared is interleaved in one run, round
by round, and judged by the median of the rounds' ratios. Figures are this machine's alone: docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import itertools
import os
import random
import resource
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import insert
from sqlmodel import Session, col, select

from intake_bot.casework import receive, views
from intake_bot.casework.desk import Actor
from intake_bot.casework.practice import Practice
from intake_bot.casework.receive import Incoming
from intake_bot.casework.targets import Rule, due
from intake_bot.casework.vocabulary import Status
from intake_bot.house import House, make_practice, open_house
from intake_bot.searching import search
from intake_bot.settings import Settings
from storage import spool
from storage.batches import batches
from storage.ids import new_id
from storage.keystore import KEY_ID_BYTES, NONCE_BYTES, KeyStore
from storage.search import Looked, Words
from storage.spool import Channel, Offer
from storage.tables import (
    AuditEntry,
    Case,
    ChainHead,
    Deadline,
    DecisionRow,
    Message,
    Outgoing,
    Participant,
    Raw,
    Reminder,
    Spooled,
    SuggestionRow,
)
from storage.vault import OVERHEAD, SEALED, Place, Vault, key_of
from triage.suggestion import Evidence, Polarity, Suggestion
from triage.vocabulary import Category, Criterion, Flag, MissingDatum, Threshold

NOW = datetime(2026, 11, 27, 16, 40, tzinfo=UTC)
OPEN = 500
"""Cases that nobody has taken yet, the newest ones; all others are concluded."""
FEW = 1_000
ROUNDS = 7
BATCH = 5_000
OFFICER = Actor("terminal", "bench")
SENTENCES = (
    "I am the designated safeguarding lead at Brookfield and would be grateful for advice about a member of our staff.",
    "On {day} a pupil in year {n} told her tutor that the sports coach took hold of her arm after the lesson.",
    "Two other pupils were in the hall at the time, and one of them has since said that she saw nothing.",
    "There was a red mark on the arm, which the school nurse looked at and which had gone by the next morning.",
    "The coach works for an agency, {name} at the office there is our contact, and they have not been told yet.",
    "We have spoken with the mother, who is upset and would like to know what will happen next.",
    "He was given words of advice in {year} about raising his voice, and I attach nothing of that for now.",
    "I have not spoken with him myself, because I was not sure whether I should before talking to you.",
    "Could you tell me whether this meets the threshold, and whether he may work with children meanwhile?",
    "The head teacher, {name}, knows, as does the chair of governors, and nobody else in the school does.",
    "I can be reached on extension {n} between nine and four, or at home this evening if it cannot wait.",
    "A written statement was taken by {name} on {day} and is kept in the safe in the office.",
    "The family has been known to social care since {year}, and their worker was told by telephone on {day}.",
    "Please let me know which papers you need, and in what form, so that we can have them ready in good time.",
)
NAMES = "Anna Bashir,Carla Costa,Grace Okafor,Hugo Meyer,Liam Quinn,Mara Novak,Olga Petrov,Sven Jensen".split(",")
ACCENTED = "Chloé Dubois,Łukasz Kowalski,Zoë Müller,Siân Hughes".split(",")
SUGGESTION = Suggestion(
    category=Category.PHYSICAL,
    secondary_categories=(),
    category_confidence=0.8,
    threshold=Threshold.MEETS,
    threshold_confidence=0.7,
    criteria=(Criterion.HARMED,),
    flags=(Flag.INJURY,),
    missing=(MissingDatum.SUBJECT_NAME,),
    evidence=(Evidence(0, 7, "grabbed", "physical", Polarity.FOR),),
    reason="An adult seems to have used force on a child.",
    engine="rules",
    version="rules-1+bench",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="how many (default: 100,000)")
    parser.add_argument("--million", dest="cases", action="store_const", const=1_000_000, help="as --cases 1000000")
    parser.add_argument("--search-in", metavar="URL", help="only the word search, in this empty PostgreSQL database")
    options = parser.parse_args()
    size: int = options.cases
    if options.search_in:
        search_in(options.search_in, size)
        return
    with tempfile.TemporaryDirectory(prefix="intake-bot-bench-") as name:
        folder = Path(name)
        empty, few, full = opened(folder / "empty"), opened(folder / "few"), opened(folder / "full")
        fill(few, FEW)
        began = time.monotonic()
        fill(full, size)
        weight = sum(file.stat().st_size for file in (folder / "full").rglob("*.db")) / 2**30
        print(f"{size:,} cases filled in {time.monotonic() - began:.0f} s: {weight:.1f} GiB; {OPEN} of them new\n")
        # Let the disk finish with the filling, so that its work is not counted as ours.
        os.sync()
        # What was made while filling is of no interest to the collector, which would otherwise visit it in every round.
        gc.collect()
        gc.freeze()
        measure_list(few, full)
        measure_opening(few, full)
        measure_new_case(empty, full)
        measure_search(full, size)
        measure_sealing(folder)
        for house in (empty, few, full):
            house.close()


def search_in(url: str, size: int) -> None:
    with tempfile.TemporaryDirectory(prefix="intake-bot-bench-") as name:
        house = opened(Path(name) / "data", url=url)
        fill(house, size)
        measure_search(house, size)
        house.close()


# ---- the measurements


def measure_list(few: House, full: House) -> None:
    """The cases that are new: the query of ``views.cases_json`` for a page of 50, and that function as it is."""

    def page(house: House) -> None:
        page_of_50 = (
            select(Case).where(col(Case.status) == Status.NEW).order_by(col(Case.received_at), col(Case.id)).limit(50)
        )
        with house.database.read() as session:
            assert len([views.case_json(case) for case in session.exec(page_of_50)]) == 50

    def first_of_all(house: House) -> None:
        with house.database.read() as session:
            assert len(list(itertools.islice(views.cases_json(session, status=Status.NEW), 50))) == 50

    compare("open list, a page of 50, ms (target: p95 3)", page, few, full, 500)
    compare("open list, views.cases_json, its first 50, ms", first_of_all, few, full, 500)


def measure_opening(few: House, full: House) -> None:
    """Cases anywhere in the store, as ``show`` opens them: found by reference, recorded, read whole. Then again the same.

    The view is what an officer sees, in Slack and at the terminal; JSON is what ``show --json`` prints.
    """
    for seed, (form, read) in enumerate({"view": views.whole, "JSON": views.show_json}.items()):
        wanted: dict[int, list[str]] = {}
        for house in (few, full):
            with house.database.read() as session:
                wanted[id(house)] = random.Random(seed).sample(list(session.exec(select(Case.reference))), 300)
        for label in ("not read before", "read before"):
            ahead = {identity: iter(references) for identity, references in wanted.items()}

            def show(
                house: House,
                ahead: dict[int, Iterator[str]] = ahead,
                read: Callable[[Session, Practice, Case], object] = read,
            ) -> None:
                with house.database.write() as session:
                    case = views.find(session, next(ahead[id(house)]))
                    assert case is not None
                    views.record_access(session, case, OFFICER, "show", now=NOW)
                    read(session, house.practice, case)

            compare(f"opening a case {label}, as {form}, on the record, ms (target: p95 10)", show, few, full, 300)


def compare(label: str, work: Callable[[House], None], few: House, full: House, times: int) -> None:
    """The same on both stores in turn, so that what else the machine does meets both."""
    taken: dict[int, list[float]] = {id(few): [], id(full): []}
    for number in range(times):
        for house in (few, full) if number % 2 else (full, few):
            began = time.perf_counter()
            work(house)
            taken[id(house)].append((time.perf_counter() - began) * 1000)
    print(f"{label}\n  at {FEW:,} cases {spread(taken[id(few)])}\n  full          {spread(taken[id(full)])}")


def measure_new_case(empty: House, full: House) -> None:
    """Filing a message that opens a case, in its one transaction, on both stores in turn."""
    arrivals = {id(house): Arrivals(house) for house in (empty, full)}
    for house in (empty, full):
        arrivals[id(house)].file_all(50)
    rounds = []
    for number in range(ROUNDS):
        order = (empty, full) if number % 2 else (full, empty)
        took = {id(house): arrivals[id(house)].file_all(60) for house in order}
        rounds.append((took[id(empty)], took[id(full)]))
    print("a new case, ms of a round's median, of 60 each:")
    print(f"  on an empty store {over([one for one, _ in rounds])}, on the full one {over([two for _, two in rounds])}")
    print(f"  full to empty {over([two / one for one, two in rounds])}   (target: at most 1.20)\n")


def measure_search(house: House, size: int) -> None:
    """All texts, through the child process and with its start: words that are nowhere, so that nothing ends it sooner."""
    longest = 60.0  # not the five seconds that an officer waits, so that each run looks through everything
    if size > 100_000:
        _, looked, wall, _, _ = asyncio.run(searched(house, ["zebra"], 5.0))
        print(
            f"search at {size:,} cases stops after {wall:.1f} s, {looked.examined:,} texts, at {looked.back_to:%Y-%m}\n"
        )
        return
    for label, words, times, limit in (
        ("a word that is nowhere", ["zebra"], 5, None),
        ("a name in one text of 25 or so, all of them", ["kowalski"], 3, None),
        ("two words of every message, as the command does: the newest 200", ["grateful", "staff"], 3, 200),
        ("two words of every message, all of them", ["grateful", "staff"], 1, None),
    ):
        runs = [asyncio.run(searched(house, words, longest, limit)) for _ in range(times)]
        matches, looked, _, _, _ = runs[0]
        print(f"search, {label}: {looked.examined or 'not all'} texts, {matches:,} found")
        print(
            f"  s {over([wall for _, _, wall, _, _ in runs])}, CPU of the child s {over([cpu for *_, cpu, _ in runs])}",
            end="",
        )
        print(f", to the first match ms {over([first * 1000 for *_, first in runs])}" if matches else "")
    print("  (target: 100,000 cases' texts in 5 s on one core)\n")


async def searched(
    house: House, words: list[str], seconds: float, limit: int | None = None
) -> tuple[int, Looked, float, float, float]:
    """Matches, how it ended, seconds, CPU seconds of the child, seconds to the first match."""
    before, began, first = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), 0.0
    async with search(
        house.database, house.practice.vault, Words(words), actor=str(OFFICER), now=NOW, seconds=seconds, limit=limit
    ) as running:
        async for _ in running:
            first = first or time.monotonic() - began
        wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert running.looked is not None
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return running.matches, running.looked, wall, cpu, first


def measure_sealing(folder: Path) -> None:
    """Accept, take, file: with the vault, and with one that only puts the bytes in the same shape."""
    sealed, plain = opened(folder / "sealed"), opened(folder / "plain", PlainKeys)
    arrivals = {id(house): Arrivals(house) for house in (sealed, plain)}
    for house in (sealed, plain):
        arrivals[id(house)].take_in(50)
    rounds = []
    for number in range(ROUNDS):
        order = (sealed, plain) if number % 2 else (plain, sealed)
        took = {id(house): arrivals[id(house)].take_in(100) for house in order}
        rounds.append((took[id(sealed)], took[id(plain)]))
    print("intake without reading and triage (accept, take, file), messages/s of a round, of 100 each:")
    print(f"  sealed {over([one for one, _ in rounds], 0)}, not encrypted {over([two for _, two in rounds], 0)}")
    print(f"  cost of sealing, % {over([(1 - one / two) * 100 for one, two in rounds], 1)}   (target: at most 30)")
    sealed.close()
    plain.close()


class PlainKeys(KeyStore):
    """Keys that cost nothing: none is made or kept."""

    def new_key(self) -> str:
        return secrets.token_bytes(KEY_ID_BYTES).hex()


class PlainVault(Vault):
    """Does not encrypt. The keyed hashes stay: matching needs them whether or not anything is sealed."""

    def seal(self, place: Place, content: bytes, *, key: str) -> bytes:
        return bytes([SEALED]) + bytes.fromhex(key) + bytes(NONCE_BYTES) + content + bytes(16)

    def open(self, place: Place, sealed: bytes) -> bytes:
        key_of(sealed)
        return bytes(sealed[OVERHEAD - 16 : -16])


class Arrivals:
    """New messages for a house, each from its own sender."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._number = 0

    def file_all(self, count: int) -> float:
        """Milliseconds of the median filing."""
        waiting = []
        for _ in range(count):
            number, raw = self._next()
            spool.accept(self._house.database, self._vault, [Offer(Channel.EMAIL, raw, {"from": "", "to": []}, NOW)])
            waiting.append(number)
        incoming = [incoming_of(arrival, number) for arrival, number in zip(self._take(count), waiting, strict=True)]
        times = []
        for one in incoming:
            began = time.perf_counter()
            self._file(one)
            times.append((time.perf_counter() - began) * 1000)
        return statistics.median(times)

    def take_in(self, count: int) -> float:
        """Messages a second, from the bytes to the case."""
        began = time.perf_counter()
        for _ in range(count):
            number, raw = self._next()
            spool.accept(self._house.database, self._vault, [Offer(Channel.EMAIL, raw, {"from": "", "to": []}, NOW)])
            for arrival in self._take(1):
                self._file(incoming_of(arrival, number))
        return count / (time.perf_counter() - began)

    @property
    def _vault(self) -> Vault:
        return self._house.practice.vault

    def _next(self) -> tuple[int, bytes]:
        self._number += 1
        return self._number, text_of(self._number).encode() * 2

    def _take(self, count: int) -> list[spool.Arrival]:
        return spool.take(
            self._house.database, self._vault, now=NOW, lease=timedelta(minutes=5), worker="bench", limit=count
        )

    def _file(self, incoming: Incoming) -> None:
        with self._house.database.write() as session:
            filed = receive.file(session, self._house.practice, incoming, SUGGESTION, now=NOW)
            assert filed is not None
            assert filed.reference is not None


def incoming_of(arrival: spool.Arrival, number: int) -> Incoming:
    text, unique = text_of(number), secrets.token_hex(8)
    return Incoming(
        id=arrival.id,
        channel=arrival.channel,
        received_at=arrival.received_at,
        raw_id=arrival.raw_id,
        key_id=arrival.key_id,
        sender=f"dsl@school-{unique}.example",
        sender_name="A Lead",
        answer_to=f"dsl@school-{unique}.example",
        recipients=("lado@elmshire.example",),
        message_id=f"<{unique}@school.example>",
        in_reply_to=(),
        references=(),
        date=None,
        subject="Advice, please",
        body_text=text,
        full_text=text,
        digest=hashlib.sha256(unique.encode()).hexdigest(),
    )


# ---- filling a store


def opened(folder: Path, keys: type[KeyStore] = KeyStore, url: str = "") -> House:
    settings = Settings.model_validate({"keys": {"file": folder.with_suffix(".master")}, "database": {"url": url}})
    house = open_house(settings, folder, {}, keys_ahead=256)
    if keys is KeyStore:
        return house
    store = keys(house.keys.database, house.keys.source)
    store.open()
    return House(settings, folder, house.database, plain_practice(settings, store))


def plain_practice(settings: Settings, store: KeyStore) -> Practice:
    return make_practice(settings, PlainVault(store))


def fill(house: House, size: int) -> None:
    """Twenty years of cases, in bulk."""
    filling = FillingKeys(house.keys.database, house.keys.source, ahead=BATCH)
    filling.open()
    vault = Vault(filling)
    step = timedelta(days=20 * 365) / size
    for numbers in batches(range(size), BATCH):
        keys = filling.many(len(numbers))
        rows: dict[Any, list[dict[str, Any]]] = {}
        for number in numbers:
            at, is_open = NOW - step * (size - number), number >= size - OPEN
            for table, row in case_rows(vault, keys.pop(), number, at, is_open=is_open):
                rows.setdefault(table, []).append(row)
        with house.database.write() as session:
            for table, some in rows.items():
                session.connection().execute(insert(table), some)


class FillingKeys(KeyStore):
    """Opens its new keys in bulk."""

    _many: dict[str, AESGCM]

    def many(self, count: int) -> list[str]:
        keys = [self.new_key() for _ in range(count)]
        self._many = self.ciphers(keys)
        return keys

    def cipher(self, key_id: str) -> AESGCM:
        return self._many[key_id]


def case_rows(
    vault: Vault, key: str, number: int, at: datetime, *, is_open: bool
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """All the rows of one case: mail in, letter out, suggestion, clocks, reminders, record; concluded ones have a decision.

    The audit's hashes are not a chain (nothing here proves it), and the raw bytes are short, to spare the disk.
    """
    stem, decided = new_id(at)[:10], at + timedelta(hours=3)

    def made() -> str:
        """An id of that time, in less time than new_id takes."""
        return stem + secrets.token_hex(8).upper()

    case, message, letter = made(), made(), made()

    def sealed(table: str, row: str, value: Any) -> bytes:
        return vault.seal_json(Place(table, row, "content", case), value, key=key)

    def random_hash() -> str:
        return secrets.token_hex(32)

    yield Raw, {"id": message, "key_id": key, "size": 300, "sha256": random_hash(), "data": vault.seal(
        Place("raw", message, "data"), bytes(300), key=key
    )}  # fmt: skip
    yield (
        Case,
        {
            "id": case,
            "key_id": key,
            "reference": f"LADO-{at:%y}-{number:07d}",
            "reply_tag": vault.tag("reply", case),
            "status": Status.NEW if is_open else Status.CONCLUDED,
            "channel": "email",
            "received_at": at,
            "sector": "School",
            "officer": None if is_open else f"slack:T/U{number % 7}",
            "no_names": False,
            "restricted": False,
            "category": "physical",
            "threshold": "meets_harm_threshold",
            "category_by": "suggestion" if is_open else "officer",
            "decision": None if is_open else "referral",
            "outcome": None if is_open else "unfounded",
            "concluded_at": None if is_open else decided,
            "review_at": None if is_open else decided + timedelta(days=3650),
            "hold": False,
            "strip_names": False,
            "remarks": [],
            "revision": 2,
        },
    )
    yield (
        Spooled,
        {
            "id": message,
            "channel": "email",
            "received_at": at,
            "raw_id": message,
            "content": vault.seal_json(Place("spool", message, "content"), {"from": "", "to": []}, key=key),
            "state": "done",
            "claims": 1,
            "tries": 0,
            "outcome": "opened",
            "message_id": message,
            "case_id": case,
            "done_at": at,
        },
    )
    body = text_of(number)
    yield Message, message_row(message, case, "in", at, sealed("messages", message, content_of(number, body)), message)
    yield (
        Message,
        message_row(letter, case, "out", at, sealed("messages", letter, content_of(number, body[:900])), None),
    )
    yield (
        Participant,
        {
            "case_id": case,
            "address_key": (address := random_hash()),
            "source": "wrote",
            "added_at": at,
            "content": sealed("participants", address, "dsl@school.example"),
        },
    )
    yield (
        SuggestionRow,
        {
            "id": (suggestion := made()),
            "case_id": case,
            "message_id": message,
            "created_at": at,
            "engine": "rules",
            "version": "1",
            "category": "physical",
            "category_confidence": 0.8,
            "threshold": "meets_harm_threshold",
            "threshold_confidence": 0.7,
            "flags": ["injury"],
            "missing": ["subject_name"],
            "content": sealed("suggestions", suggestion, SUGGESTED),
        },
    )
    targets = ("triage",) if is_open else ("triage", "one_month")
    for target in targets:
        deadline = made()
        yield (
            Deadline,
            {
                "id": deadline,
                "case_id": case,
                "target": target,
                "rule": "working_24h",
                "calendar": "bench",
                "started_at": at,
                "due_at": at + timedelta(days=3),
                "state": "running" if is_open else "met",
                "met_at": None if is_open else decided,
                "steps": STEPS,
            },
        )
        for offset in (0, 1):
            yield (
                Reminder,
                {
                    "id": made(),
                    "case_id": case,
                    "deadline_id": deadline,
                    "kind": f"{offset}h",
                    "recipient": "desk",
                    "due_at": at + timedelta(days=3, hours=offset),
                    "state": "waiting" if is_open else "cancelled",
                },
            )
    for kind, via in (("acknowledgement", "mail"), ("card", "desk")):
        yield (
            Outgoing,
            {
                "id": (parcel := made()),
                "key": f"{kind}:{case}",
                "channel": via,
                "kind": kind,
                "case_id": case,
                "created_at": at,
                "state": "done",
                "claims": 1,
                "tries": 0,
                "uncertain": False,
                "sent_at": at,
                "address_key": address if via == "mail" else None,
                "content": sealed("outbox", parcel, {"text": body[:900]}),
            },
        )
    if not is_open:
        yield (
            DecisionRow,
            {
                "id": (decision := made()),
                "case_id": case,
                "decision": "referral",
                "category": "physical",
                "criteria": [1],
                "by": f"slack:T/U{number % 7}",
                "at": decided,
                "content": sealed("decisions", decision, {"reason": body[300:600]}),
            },
        )
    acts = ("case_opened", "acknowledgement_queued", "acknowledged", "claimed", "decided", "target_met", "concluded")
    acts = acts[:3] if is_open else acts
    for seq, act in enumerate(acts, 1):
        yield (
            AuditEntry,
            {
                "chain": case,
                "seq": seq,
                "at": at,
                "actor": "system:intake-bot",
                "act": act,
                "detail": {"message": message},
                "previous": random_hash(),
                "hash": random_hash(),
            },
        )
    yield ChainHead, {"chain": case, "seq": len(acts), "hash": random_hash(), "signed_seq": len(acts)}


def message_row(
    identity: str, case: str, direction: str, at: datetime, content: bytes, raw_id: str | None
) -> dict[str, Any]:
    return {
        "id": identity,
        "case_id": case,
        "channel": "email",
        "direction": direction,
        "received_at": at,
        "identity": secrets.token_hex(32),
        "rfc_key": secrets.token_hex(32),
        "root_key": None,
        "sender_key": secrets.token_hex(32),
        "opened_case": direction == "in",
        "sender_trust": "none",
        "parked": False,
        "raw_id": raw_id,
        "content": content,
    }


def content_of(number: int, body: str) -> dict[str, Any]:
    return {
        "message_id": f"<{number}@school.example>",
        "in_reply_to": [],
        "references": [],
        "date": None,
        "sender": f"dsl@school-{number % 3000}.example",
        "sender_name": "A Lead",
        "answer_to": f"dsl@school-{number % 3000}.example",
        "recipients": ["lado@elmshire.example"],
        "subject": f"Advice, please ({number})",
        "body_text": body,
        "full_text": body,
        "attachments": [],
        "defects": [],
        "unreadable": None,
    }


def text_of(number: int) -> str:
    """About 217 words. Half are typed with typographic quotes, one in eight has a name with accents."""
    return f"{POOL[number % len(POOL)]} Our own number for it is {number}."


def pool() -> Iterator[str]:
    rng = random.Random(7)
    for number in range(512):
        names = ACCENTED if number % 8 == 0 else NAMES
        sentences = [
            sentence.format(
                day=f"{rng.randrange(1, 29)} May", n=rng.randrange(7, 90), name=rng.choice(names), year=2019
            )
            for sentence in rng.sample(SENTENCES, 11)
        ]
        text = SENTENCES[0] + " " + " ".join(sentences)
        yield text.replace(",", " –").replace("'", "’") if number % 2 else text


POOL = tuple(pool())
STEPS = due(Rule.parse("working_24h"), NOW, Settings().office.calendar()).to_json()

SUGGESTED = SUGGESTION.to_json()


# ---- telling


def spread(times: list[float]) -> str:
    ordered = sorted(times)
    return (
        f"{statistics.median(ordered):.2f} median, {ordered[int(len(ordered) * 0.95)]:.2f} p95, "
        f"{ordered[0]:.2f}–{ordered[-1]:.2f} of {len(ordered)}"
    )


def over(rounds: list[float], digits: int = 2) -> str:
    return f"{statistics.median(rounds):.{digits}f} ({min(rounds):.{digits}f}–{max(rounds):.{digits}f})"


if __name__ == "__main__":
    main()
