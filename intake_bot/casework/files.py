"""Files that came with a case, one at a time to the officer who asks: in their conversation with the service, for an hour.

Off unless the settings say so. No scanner looks at a file here, and it is said each time. The name that a file has in Slack
is ours: whoever sent it gave it theirs, which is content.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any

from sqlmodel import Session

from intake_bot.casework import desk_queue, own_posts, views
from intake_bot.casework.acts import Done, Refused, SendFile
from intake_bot.casework.desk import SYSTEM, Actor, Posted
from intake_bot.casework.practice import Practice
from storage import audit, outbox
from storage.ids import new_id
from storage.outbox import Kind, Via
from storage.tables import Case

NOT_SCANNED = "not scanned"
TRIED_FOR = timedelta(minutes=15)
"""How long a sending is tried: whoever asked waits for it, and is told to ask again."""
KNOWN_ENDINGS = frozenset(
    {"bmp", "csv", "doc", "docx", "eml", "gif", "heic", "jpeg", "jpg", "m4a", "mov", "mp3", "mp4", "msg", "odp", "ods"}
    | {"odt", "ogg", "pdf", "png", "ppt", "pptx", "rtf", "tif", "tiff", "txt", "wav", "webp", "xls", "xlsx"}
)
"""What a name may end in, so that a program opens it. Anything else is ``bin``, which none opens by itself."""


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A file that came with a case. ``number`` is its place among them all, ``key`` stays the same when more come.

    ``name`` is the sender's, and content.
    """

    key: str
    number: int
    name: str
    size: int
    fits: bool
    """Whether it is one that is sent: not empty, and not too large."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A file on its way: whose it is to be, its raw mail and where in it, and what an earlier try began."""

    to: Actor
    name: str
    text: str
    part_index: int
    sha256: str
    raw: bytes
    begun: Posted | None


def of_case(session: Session, practice: Practice, case: Case) -> Iterator[CaseFile]:
    """The files that came with a case, oldest message first."""
    most = practice.largest_file_sent or 0
    seen: dict[str, int] = {}
    for number, message, meta in views.attachments(session, practice, case):
        seen[message.id] = place = seen.get(message.id, 0) + 1
        yield CaseFile(f"{message.id}/{place}", number, meta["filename"], meta["size"], fits=0 < meta["size"] <= most)


def send(session: Session, practice: Practice, case: Case, act: SendFile, *, now: datetime) -> Done | Refused:
    """Put a file on its way to the officer who asks for it."""
    if practice.largest_file_sent is None or act.by.kind != "slack":
        return Refused("No file is sent from here: use intake-bot attachment, at the terminal.")
    file = _called(session, practice, case, act.file)
    if file is None:
        return Refused(f"{case.reference} has no such file.")
    if not file.fits:
        return Refused("That file is empty, or too large: use intake-bot attachment, at the terminal.")
    views.record_access(session, case, act.by, f"attachment/{file.number}", now=now)
    outbox.put(
        session,
        practice.vault,
        key=f"file:{case.id}:{new_id(now)}",
        via=Via.DESK,
        kind=Kind.FILE,
        now=now,
        content={"actor": str(act.by), "file": act.file},
        case_id=case.id,
    )
    return Done(f"{case.reference}: the file is on its way.")


def asked(session: Session, practice: Practice, case_id: str, content: dict[str, Any], *, post_id: str) -> Asked | None:
    """What is to be sent; None where there is no such file for whoever asked any more.

    Raises what opening the raw mail raises (:data:`storage.vault.UNOPENABLE`, LookupError) where it is destroyed.
    """
    case, to = session.get_one(Case, case_id), Actor.parse(content["actor"])
    file = _called(session, practice, case, content["file"])
    # Either may have changed since it was asked for.
    if file is None or not file.fits or not views.may_see(case, to):
        return None
    found = views.attachment(session, practice, case, file.number)
    if found is None:
        return None
    meta, raw = found
    return Asked(
        to=to,
        name=name_for(case.reference, file),
        text=f"{case.reference}: a file that came with it, as you asked. It is {NOT_SCANNED}: open it with care. "
        "It is deleted here after an hour.",
        part_index=meta["part_index"],
        sha256=meta["sha256"],
        raw=raw,
        begun=own_posts.stands(session, post_id),
    )


def sent(
    session: Session, practice: Practice, case_id: str, content: dict[str, Any], *, post_id: str, now: datetime
) -> None:
    """It has arrived. To whom is on the record with who asked. Where it may not stay any more it goes again at once."""
    may_stay = views.may_see(session.get_one(Case, case_id), Actor.parse(content["actor"]))
    own_posts.arrived(session, practice, post_id, may_stay=may_stay, now=now)
    audit.record(session, case_id, at=now, actor=str(SYSTEM), act="file_sent", detail={"post": post_id})


def not_sent(
    session: Session,
    practice: Practice,
    case_id: str,
    content: dict[str, Any],
    code: str,
    *,
    post_id: str,
    now: datetime,
) -> None:
    """It did not arrive, and is tried no more: on the record, and whoever asked is told."""
    detail = {"post": post_id}
    audit.record(session, case_id, at=now, actor=str(SYSTEM), act="file_not_sent", code=code, detail=detail)
    reference = session.get_one(Case, case_id).reference
    words = (
        f"{reference}: the file could not be sent ({code.replace('_', ' ')}). Ask again, or use intake-bot attachment."
    )
    desk_queue.tell(session, practice, Actor.parse(content["actor"]), words, key=f"file_not_sent:{post_id}", now=now)


def name_for(reference: str, file: CaseFile) -> str:
    """What a file is called outside: the case's reference and its number, never what the sender called it."""
    ending = PurePath(file.name).suffix.removeprefix(".").lower()
    return f"{reference}-{file.number}.{ending if ending in KNOWN_ENDINGS else 'bin'}"


def _called(session: Session, practice: Practice, case: Case, key: str) -> CaseFile | None:
    return next((one for one in of_case(session, practice, case) if one.key == key), None)
