"""A case's history in plain words, from its audit chain: who did what, when, and by which code. Without content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import Session, col, select

from intake_bot.casework.desk import SYSTEM, Actor
from intake_bot.casework.letters import say_time
from storage.tables import AuditEntry, Case

_ACTS: Mapping[str, str] = {
    "case_opened": "opened the case on a message by {code}",
    "message_joined": "added a message to the case",
    "message_version": "kept another version of a message",
    "duplicate_received": "received a message again that was there already",
    "fully_read": "read a message in full that the rules alone had read (the suggestion: {code})",
    "acknowledgement_queued": "wrote the acknowledgement",
    "acknowledged": "sent the acknowledgement",
    "not_acknowledged": "sent no acknowledgement ({code})",
    "advised": "wrote advice by email (sender authentication: {code}); its words are on the record",
    "advice_sent": "sent the advice",
    "participant_added": "added somebody to those who take part in the case",
    "delivery_failed": "could not deliver a letter ({code})",
    "claimed": "took the case",
    "released": "gave the case back",
    "decided": "decided: {code}",
    "target_met": "met the target {code}",
    "target_cancelled": "ended the clock of the target {code}",
    "target_missed": "noted that the target {code} was missed",
    "reminder_sent": "sent the reminder {code}",
    "content_seen": "read the case ({code})",
    "filed_unread": "filed a message that could not be read",
    "concluded": "concluded the case ({code})",
    "handed_over": "handed the case over",
    "signed_off": "signed the decision off",
    "sign_off_refused": "refused to sign the decision off, which opened it again",
    "reopened": "opened the case again: it is {code}",
    "set_aside": "set the case aside as no consultation ({code})",
    "replied": "answered in Slack; the words are on the record",
    "reply_sent": "sent the answer in Slack",
    "file_sent": "sent a file in Slack to the officer who asked for it, for an hour",
    "file_not_sent": "could not send a file in Slack ({code})",
    "erase_failed": "could not delete what stands in Slack ({code})",
    "erased": "deleted what stood in Slack: {code}",
    "logged": "logged what was told",
    "noted": "added a note",
    "meeting_recorded": "recorded a meeting ({code})",
    "asked": "asked for something that {code} owes",
    "action_recorded": "recorded an action owed by {code}",
    "action_closed": "closed an action ({code})",
    "adult_named": "said who the case is about",
    "chased": "sent a letter about what is owed ({code} the day)",
    "chasers_stopped": "sends no more about what is owed ({code})",
    "telephone_wanted": "asked the officer to telephone ({code})",
    "feedback_asked": "asked what the {code} thinks of the service",
    "feedback_withdrawn": "took back the letter that asks what the {code} thinks of the service, before it left",
    "feedback_given": "kept what the {code} thinks of the service",
    "clock_ended": "said of a clock by hand: {code}",
    "strand_opened": "opened the strand {code}",
    "strand_closed": "closed the strand {code}",
    "regulator_told": "recorded that a regulator was told ({code})",
    "receipt_corrected": "corrected the time of receipt",
    "facts_set": "corrected the coded facts",
    "paused": "paused the case ({code})",
    "resumed": "let the case go on",
    "escalated": "escalated the case to a senior manager ({code})",
    "manager_told": "told a senior manager that there is the case ({code}), and no more",
    "restricted": "restricted the case to some",
    "restriction_lifted": "lifted the restriction",
    "linked": "linked the case with another",
    "link_rejected": "said that the case does not belong to another",
    "merged": "merged the case into another",
    "took_in": "took another case in",
    "split": "made a second case of the same contact",
    "split_from": "made this case from another one's contact",
    "target_restarted": "let the clock of the target {code} run again",
    "imported": "took the case over from the tracker",
    "held": "put the case on legal hold",
    "hold_lifted": "lifted the legal hold",
    "purged": "destroyed the case's content ({code})",
    "redacted": "kept a redacted text of the case for training",
    "training_exported": "exported the case's labels for training, {code}",
    "exported": "exported what is held about a person",
}
"""What each act of the record reads like; an act that is not here reads as its own name."""

_NO_REASONS = frozenset({"advised", "redacted", "adult_named", "telephone_wanted", "feedback_given"})
"""Acts whose note is something else than why."""


def history(session: Session, case: Case, zone: ZoneInfo) -> list[str]:
    """One sentence for each entry, oldest first."""
    entries = session.exec(select(AuditEntry).where(col(AuditEntry.chain) == case.id).order_by(col(AuditEntry.seq)))
    return [
        sentence(entry.actor, entry.act, entry.code, entry.detail, f"{say_time(entry.at, zone)}") for entry in entries
    ]


def sentence(actor: str, act: str, code: str | None, detail: Mapping[str, Any], when: str) -> str:
    """``Monday 30 November 2026 at 12:45: Amina took the case.``"""
    who = Actor.parse(actor)
    name = "intake-bot" if who == SYSTEM else who.id
    noted = " The reasons are on the record." if "note" in detail and act not in _NO_REASONS else ""
    return f"{when}: {name} {words(act, code)}.{noted}"


def words(act: str, code: str | None) -> str:
    """An act in fixed words, as they follow on who did it."""
    return _ACTS.get(act, act.replace("_", " ")).format(code=(code or "no code").replace("_", " "))
