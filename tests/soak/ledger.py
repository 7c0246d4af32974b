"""What was sent against what is kept: each promise that does not hold, in one line."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from sqlmodel import Session, col, func, select

from acceptance.harness import House
from intake_bot.casework import views
from intake_bot.casework.vocabulary import Remark
from soak.mails import Kind, Letter, Mail
from soak.servers import Relay, Sending
from storage.outbox import Kind as Outbound
from storage.tables import AuditEntry, Case, Deadline, Message, Outgoing, Raw, Reminder, Spooled

OPENING = (Kind.NEW, Kind.FLOOD)
REMINDERS_OF_A_CASE = 4


class Ledger:
    """The books of one soak, opened when all has settled."""

    def __init__(self, sent: Iterable[Mail], sending: Sending, relay: Relay) -> None:
        self._sent = list(sent)
        self._sending = sending
        self._relay = relay
        self.counts: dict[str, int] = {}

    def broken(self, house: House, *, flood_cards: int, flood_acknowledgements: int) -> list[str]:
        """Every promise that does not hold; an empty list is what one hopes for."""
        with house.inside() as (opened, session):
            self._opened, self._session = opened, session
            self._read()
            return [
                *self._kept(),
                *self._once(),
                *self._in_their_cases(),
                *self._letters(),
                *self._reminded(),
                *self._flood(flood_cards, flood_acknowledgements),
                *self._at_rest(),
            ]

    def _read(self) -> None:
        session, practice = self._session, self._opened.practice
        self._rows = {row.id: row for row in session.exec(select(Message)).all()}
        shown = list(views.messages_json(session, practice))
        self._stored = Counter(one["message_id"] for one in shown if one["direction"] == "in")
        self._row_of = {one["message_id"]: self._rows[one["id"]] for one in shown if not one["parked"]}
        letters = session.exec(select(Outgoing).where(col(Outgoing.kind) == Outbound.ACKNOWLEDGEMENT)).all()
        self._letters_of: defaultdict[str, list[Outgoing]] = defaultdict(list)
        for letter in letters:
            self._letters_of[letter.case_id or ""].append(letter)
        self._cases = {case.id: case for case in session.exec(select(Case)).all()}
        self.counts = {
            "messages sent, all paths": len(self._sent),
            "Message-IDs sent": len({mail.message_id for mail in self._sent}),
            "250s": len(self._sending.kept),
            "kept without a 250 that was heard": count(session, Spooled) - len(self._sending.kept),
            "messages stored": sum(self._stored.values()),
            "cases": len(self._cases),
            "letters": len(letters),
            "letters that the relay took twice": sum(
                len(taken) - len({letter.mail_id for letter in taken}) for taken in self._relay.letters.values()
            ),
        } | {f"sent: {kind}": number for kind, number in Counter(mail.kind for mail in self._sent).items()}

    def _kept(self) -> Iterator[str]:
        """A 250 means kept, byte for byte (invariant 1)."""
        joined = select(Spooled.id, Raw.sha256).join(Raw, col(Raw.id) == col(Spooled.raw_id))
        found = dict(self._session.exec(joined).all())
        for identity, mail in self._sending.kept.items():
            if identity not in found:
                yield f"a 250 for what is not there: {mail.kind} {mail.message_id}"
            elif found[identity] != mail.sha256:
                yield f"other bytes than were sent: {mail.kind} {mail.message_id}"
        yield from (f"given up after 5xx: {refused}" for refused in self._sending.refused)
        if self._sending.open:
            yield f"{self._sending.open} messages have no 250 to this day"

    def _once(self) -> Iterator[str]:
        """What got a 250 is what is stored, each once (invariant 2)."""
        acknowledged = {mail.message_id for mail in self._sending.kept.values()}
        for message_id in acknowledged - set(self._stored):
            yield f"acknowledged by 250 and not stored: {message_id}"
        for message_id in set(self._stored) - acknowledged:
            yield f"stored and never acknowledged: {message_id}"
        for message_id, times in self._stored.items():
            if times > 1:
                yield f"stored {times} times: {message_id}"

    def _in_their_cases(self) -> Iterator[str]:
        """Each consultation has a case of its own with its clock; each answer is on the case that it answers."""
        opening = [mail for mail in self._sent if mail.kind in OPENING]
        of_case = Counter(row.case_id for mail in opening if (row := self._row_of.get(mail.message_id)) is not None)
        for case_id, times in of_case.items():
            if case_id is None or times > 1:
                yield f"{times} consultations in the case {case_id}"
        if len(self._cases) != len(opening):
            yield f"{len(self._cases)} cases for {len(opening)} consultations"
        for mail in self._sent:
            row, about = (
                self._row_of.get(mail.message_id),
                self._row_of.get(mail.about.message_id) if mail.about else None,
            )
            if row is None:
                continue  # said already
            if mail.kind in (Kind.REPLY, Kind.BOUNCE) and (
                row.opened_case or about is None or row.case_id != about.case_id
            ):
                yield f"a {mail.kind} is not on the case that it answers: {mail.message_id}"
            if mail.kind in OPENING and not row.opened_case:
                yield f"opened no case: {mail.message_id}"
            if mail.kind is Kind.BOUNCE and not any(
                letter.bounced_at for letter in self._letters_of[row.case_id or ""]
            ):
                yield f"a bounce has not found its letter: {mail.message_id}"
        clocks, nudges = count(self._session, Deadline), count(self._session, Reminder)
        if (clocks, nudges) != (len(self._cases), REMINDERS_OF_A_CASE * len(self._cases)):
            yield f"{clocks} clocks and {nudges} reminders for {len(self._cases)} cases"

    def _letters(self) -> Iterator[str]:
        """One acknowledgement for each case, which went out, and if it went twice then as the same letter."""
        for mail in self._sent:
            row = self._row_of.get(mail.message_id)
            if mail.kind is not Kind.NEW or row is None:
                continue
            rows, taken = self._letters_of[row.case_id or ""], self._relay.letters.get(mail.message_id, [])
            if [letter.state for letter in rows] != ["done"]:
                yield f"the letters of a case are {[letter.state for letter in rows]}: {mail.message_id}"
            if {letter.mail_id for letter in taken} != {letter.mail_id for letter in rows}:
                yield f"the relay was given {len(taken)} letters for {mail.message_id}"
            yield from self._addressed(mail, taken)
        yield from (f"a letter holds words of the message: {mail_id}" for mail_id in self._relay.raw_with)

    def _reminded(self) -> Iterator[str]:
        """What was due is one notice, which went out, and one act on the record; what is not due is neither."""
        sent = {one.id for one in self._session.exec(select(Reminder).where(col(Reminder.state) != "waiting")).all()}
        notices = self._session.exec(select(Outgoing).where(col(Outgoing.key).startswith("reminder:"))).all()
        noticed = Counter(notice.key.partition(":")[2] for notice in notices if notice.state == "done")
        acts = self._session.exec(select(AuditEntry).where(col(AuditEntry.act) == "reminder_sent")).all()
        recorded = Counter(act.detail["reminder"] for act in acts)
        for name, found in (("notices", noticed), ("acts on the record", recorded)):
            if found != Counter(sent):
                yield f"{found.total()} {name} of {len(sent)} reminders that were due"
        self.counts["reminders sent"] = len(sent)

    @staticmethod
    def _addressed(mail: Mail, taken: list[Letter]) -> Iterator[str]:
        for letter in taken:
            if letter.to != mail.sender or not letter.envelope_sender.startswith("lado+b-"):
                yield f"a letter goes astray: {mail.message_id}"

    def _flood(self, most_cards: int, most_letters: int) -> Iterator[str]:
        """Every case of a flood is made; what is folded and capped are its cards and letters."""
        flood = [row for mail in self._sent if mail.kind is Kind.FLOOD and (row := self._row_of.get(mail.message_id))]
        folded = sum(Remark.FOLDED in self._cases[row.case_id or ""].remarks for row in flood)
        letters = sum(len(self._letters_of[row.case_id or ""]) for row in flood)
        cards = self._session.exec(
            select(func.count()).select_from(Outgoing).where(col(Outgoing.kind) == Outbound.CARD)
        ).one()
        others = len(self._cases) - len(flood)
        if folded != max(0, len(flood) - most_cards) or cards != others + len(flood) - folded:
            yield f"of {len(flood)} cases of a flood {folded} are folded; {cards} cards for {others} others"
        if letters > most_letters:
            yield f"{letters} letters to a sender who floods"
        self.counts |= {"cases of the flood": len(flood), "of these folded": folded, "of these answered": letters}

    def _at_rest(self) -> Iterator[str]:
        """Nothing waits and nothing is parked."""
        for table in (Spooled, Outgoing):
            states = dict(self._session.exec(select(table.state, func.count()).group_by(col(table.state))).all())
            for state in set(states) - {"done", "cancelled"}:
                late = table is Spooled or state != "waiting" or self._more_than_lines_waits(self._session)
                if late:
                    yield f"{states[state]} rows of {table.__tablename__} are {state}"

    @staticmethod
    def _more_than_lines_waits(session: Session) -> bool:
        """Whether anything but the one line about a flood, which has its time, is still to go out."""
        kinds = session.exec(select(Outgoing.key).where(col(Outgoing.state) == "waiting")).all()
        return not all(key.startswith("folded:") for key in kinds)


def count(session: Session, table: type[Spooled | Deadline | Reminder]) -> int:
    return session.exec(select(func.count()).select_from(table)).one()
