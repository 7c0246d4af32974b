"""A case goes elsewhere, or stands beside another: transfer, escalation, who may see it, links, merging and splitting."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, select

from intake_bot.casework import chasing, deadlines, desk_queue, own_posts
from intake_bot.casework.acts import Done, Escalate, LinkCases, Merge, Refused, Restrict, Split
from intake_bot.casework.desk import Actor, Notice, NoticeKind
from intake_bot.casework.own_posts import Holds
from intake_bot.casework.practice import Practice
from intake_bot.casework.references import free_reference
from intake_bot.casework.retention import add_note
from intake_bot.casework.views import may_see
from intake_bot.casework.vocabulary import CLOSED, UNDECIDED, ActionState, SetAside, Status
from storage import audit
from storage.ids import new_id
from storage.tables import Action, Case, Link, Message, Participant, Raw, SuggestionRow
from storage.vault import Place

MERGED = "merged"
"""Why the clocks of a merged case ended."""
CONFIRMED, REJECTED, PROPOSED = "confirmed", "rejected", "proposed"


def escalate(session: Session, practice: Practice, case: Case, act: Escalate, *, now: datetime) -> Done | Refused:
    """Tell a senior manager, without content, that the case needs one."""
    if not act.note.strip():
        return Refused("Say why the manager is needed.")
    if case.escalated == act.why:
        return Done(f"{case.reference} is escalated already.", changed=False)
    case.escalated = act.why
    session.add(case)
    note = add_note(session, practice, case, "escalated", by=act.by, words=act.note, now=now)
    audit.record(session, case.id, at=now, actor=str(act.by), act="escalated", code=act.why, note=note)
    notice = Notice(NoticeKind.ESCALATED, reference=case.reference, code=act.why)
    desk_queue.post_notice(
        session, practice, notice, key=f"escalated:{case.id}:{case.revision}", now=now, case_id=case.id
    )
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference} is escalated.")


def restrict(session: Session, practice: Practice, case: Case, act: Restrict, *, now: datetime) -> Done | Refused:
    """Hide a case, or show it again. Figures count it all the same."""
    if not act.reason.strip():
        return Refused("Give the reason.")
    people = sorted({str(one) for one in act.to} | {str(act.by)})
    if act.lift:
        if not case.restricted:
            return Done(f"{case.reference} is not restricted.", changed=False)
        case.restricted, case.restricted_to = False, None
    elif case.restricted and case.restricted_to == people:
        return Done(f"{case.reference} is restricted to them already.", changed=False)
    else:
        case.restricted, case.restricted_to = True, people
        # Somebody may have a file of it who is not named; those who are may ask again.
        own_posts.take_back(session, practice, case, Holds.FILE, now=now)
    session.add(case)
    name = "restriction_lifted" if act.lift else "restricted"
    note = add_note(session, practice, case, name, by=act.by, words=act.reason, now=now)
    audit.record(session, case.id, at=now, actor=str(act.by), act=name, detail={"to": case.restricted_to}, note=note)
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{case.reference} is {'open to all officers again' if act.lift else 'restricted'}.")


def link(session: Session, practice: Practice, case: Case, act: LinkCases, *, now: datetime) -> Done | Refused:
    other = _other(session, case, act.other_id, act.by)
    if isinstance(other, Refused):
        return other
    rows = [row for pair in ((case.id, other.id), (other.id, case.id)) if (row := session.get(Link, pair))]
    wanted = CONFIRMED if act.agreed else REJECTED
    if not rows and not act.agreed:
        return Refused(f"No link between {case.reference} and {other.reference} is proposed.")
    if rows and all(row.state == wanted for row in rows):
        return Done("It is so already.", changed=False)
    if not rows:
        rows = [Link(case_id=case.id, other_case_id=other.id, why="officer", created_at=now)]
    for row in rows:
        row.state = wanted
        session.add(row)
    session.flush()
    name = "linked" if act.agreed else "link_rejected"
    for one, with_ in ((case, other), (other, case)):
        audit.record(session, one.id, at=now, actor=str(act.by), act=name, detail={"with": with_.id})
        _drop_remark_if_settled(session, one)
        desk_queue.update_card(session, practice, one, now=now)
    return Done(f"{case.reference} and {other.reference} are {'linked' if act.agreed else 'not linked'}.")


def merge(session: Session, practice: Practice, case: Case, act: Merge, *, now: datetime) -> Done | Refused:
    """Deal with ``case`` under the other: its clocks end, its people may write there, its content stays."""
    if not act.reason.strip():
        return Refused("Give the reason.")
    into = _other(session, case, act.into_id, act.by)
    if isinstance(into, Refused):
        return into
    if case.merged_into == into.id:
        return Done(f"{case.reference} is merged already.", changed=False)
    if case.merged_into is not None or into.merged_into is not None:
        return Refused("One of them is merged already: name the case that it was merged into.")
    if case.status not in UNDECIDED:
        return Refused(f"{case.reference} is decided: merge the other case into this one.")
    if into.status in CLOSED or into.purged_at is not None:
        return Refused(f"{into.reference} is closed: open it again first.")
    owed = select(Action.id).where(col(Action.case_id) == case.id, col(Action.state) == ActionState.OPEN)
    if session.exec(owed).first() is not None:
        return Refused(
            f"Something is still owed on {case.reference}: close its actions, or merge the other case into it."
        )
    case.merged_into, case.status, case.set_aside = into.id, Status.NOT_A_CONSULTATION, SetAside.MERGED
    session.add(case)
    deadlines.cancel(session, case, at=now, actor=str(act.by), because=MERGED)
    chasing.stop_case(session, case, because=MERGED)
    own_posts.move(session, case, into)
    _copy_participants(session, practice, case, into, now=now)
    pair = session.get(Link, (case.id, into.id)) or Link(
        case_id=case.id, other_case_id=into.id, why="merged", created_at=now
    )
    pair.state = CONFIRMED
    session.add(pair)
    note = add_note(session, practice, case, "merged", by=act.by, words=act.reason, now=now)
    audit.record(session, case.id, at=now, actor=str(act.by), act="merged", detail={"with": into.id}, note=note)
    audit.record(session, into.id, at=now, actor=str(act.by), act="took_in", detail={"with": case.id})
    for one in (case, into):
        desk_queue.update_card(session, practice, one, now=now)
    return Done(f"{case.reference} goes on as {into.reference}.")


def split(session: Session, practice: Practice, case: Case, act: Split, *, now: datetime) -> Done | Refused:
    """A second case of the same contact: received when the first was, with a copy of what came.

    The copy is sealed under a key of its own, so that one of the two can be destroyed and the other kept.
    """
    if not act.reason.strip():
        return Refused("Say which concern goes into the new case.")
    if case.purged_at is not None or case.status in CLOSED:
        return Refused(f"{case.reference} is closed: open it again first.")
    opening = session.exec(select(Message).where(col(Message.case_id) == case.id, col(Message.opened_case))).first()
    if opening is None:
        return Refused(f"{case.reference} has no message to begin another case with.")
    key = practice.vault.keys.new_key()
    case_id = new_id(now)
    new = Case(
        id=case_id,
        key_id=key,
        reference=free_reference(session, practice, case.received_at),
        reply_tag=practice.vault.tag("reply", case_id),
        status=Status.CLAIMED,
        channel=case.channel,
        received_at=case.received_at,
        organisation=case.organisation,
        sector=case.sector,
        sub_sector=case.sub_sector,
        employer_knew_at=case.employer_knew_at,
        source=case.source,
        elsewhere=case.elsewhere,
        officer=str(act.by),
        no_names=case.no_names,
        restricted=case.restricted,
        restricted_to=case.restricted_to,
        category=case.category if case.category_by == "suggestion" else None,
        threshold=case.threshold if case.category_by == "suggestion" else None,
        category_by=case.category_by if case.category_by == "suggestion" else None,
    )
    session.add(new)
    session.flush()
    message_id = _copy_message(session, practice, opening, new, now=now)
    _copy_suggestion(session, practice, opening, new, message_id=message_id, now=now)
    _copy_participants(session, practice, case, new, now=now)
    session.add(Link(case_id=new.id, other_case_id=case.id, state=CONFIRMED, why="split", created_at=now))
    deadlines.start_first(session, practice, new, urgent=deadlines.is_urgent(session, new.id), now=now)
    note = add_note(session, practice, new, "split_from", by=act.by, words=act.reason, now=now)
    audit.record(
        session,
        new.id,
        at=now,
        actor=str(act.by),
        act="split_from",
        detail={"with": case.id, "message": message_id, "received_at": new.received_at.isoformat()},
        note=note,
    )
    audit.record(session, case.id, at=now, actor=str(act.by), act="split", detail={"with": new.id})
    desk_queue.post_card(session, practice, new, now=now)
    desk_queue.update_card(session, practice, case, now=now)
    return Done(f"{new.reference} is made from {case.reference}, and is with you.")


def _other(session: Session, case: Case, other_id: str, by: Actor) -> Case | Refused:
    other = session.exec(select(Case).where(col(Case.id) == other_id).with_for_update()).one_or_none()
    if other is None or not may_see(other, by):
        return Refused("there is no such case")
    if other.id == case.id:
        return Refused("That is the same case.")
    return other


def _drop_remark_if_settled(session: Session, case: Case) -> None:
    """A card stops saying that a case may belong to another once every such proposal is answered."""
    open_ones = session.exec(select(Link).where(col(Link.case_id) == case.id, col(Link.state) == PROPOSED)).first()
    if open_ones is None and "proposed_link" in case.remarks:
        case.remarks = [remark for remark in case.remarks if remark != "proposed_link"]
        session.add(case)


def _copy_participants(session: Session, practice: Practice, case: Case, into: Case, *, now: datetime) -> None:
    for row in session.exec(select(Participant).where(col(Participant.case_id) == case.id)).all():
        if session.get(Participant, (into.id, row.address_key)) is not None:
            continue
        here = Place("participants", row.address_key, "content", case.id)
        there = Place("participants", row.address_key, "content", into.id)
        session.add(
            Participant(
                case_id=into.id,
                address_key=row.address_key,
                source=row.source,
                added_at=now,
                content=practice.vault.seal_json(there, practice.vault.open_json(here, row.content), key=into.key_id),
            )
        )


def _copy_message(session: Session, practice: Practice, opening: Message, new: Case, *, now: datetime) -> str:
    vault, message_id = practice.vault, new_id(now)
    content = vault.open_json(Place("messages", opening.id, "content", opening.case_id), opening.content)
    raw_id = None
    if opening.raw_id == opening.id and (raw := session.get(Raw, opening.raw_id)) is not None:
        plain = vault.open(Place("raw", raw.id, "data"), raw.data)
        raw_id = message_id
        session.add(
            Raw(
                id=raw_id,
                key_id=new.key_id,
                size=raw.size,
                sha256=raw.sha256,
                data=vault.seal(Place("raw", raw_id, "data"), plain, key=new.key_id),
            )
        )
        session.flush()
    session.add(
        Message(
            id=message_id,
            case_id=new.id,
            channel=opening.channel,
            direction=opening.direction,
            received_at=opening.received_at,
            identity=f"split:{message_id}",
            # Answers to the message itself join the first case; what is for this one has its reply address.
            sender_key=opening.sender_key,
            opened_case=True,
            machine_sent=opening.machine_sent,
            sender_trust=opening.sender_trust,
            raw_id=raw_id,
            content=vault.seal_json(Place("messages", message_id, "content", new.id), content, key=new.key_id),
        )
    )
    session.flush()
    return message_id


def _copy_suggestion(
    session: Session, practice: Practice, opening: Message, new: Case, *, message_id: str, now: datetime
) -> None:
    row = session.exec(
        select(SuggestionRow)
        .where(col(SuggestionRow.message_id) == opening.id)
        .order_by(col(SuggestionRow.id).desc())
        .limit(1)
    ).first()
    if row is None or not row.content:
        return
    vault, row_id = practice.vault, new_id(now)
    content = vault.open_json(Place("suggestions", row.id, "content", row.case_id), row.content)
    session.add(
        SuggestionRow(
            id=row_id,
            case_id=new.id,
            message_id=message_id,
            created_at=now,
            engine=row.engine,
            version=row.version,
            category=row.category,
            category_confidence=row.category_confidence,
            threshold=row.threshold,
            threshold_confidence=row.threshold_confidence,
            flags=row.flags,
            missing=row.missing,
            content=vault.seal_json(Place("suggestions", row_id, "content", new.id), content, key=new.key_id),
        )
    )
