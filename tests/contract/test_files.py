"""Files for officers in Slack, on both databases: one stands there whatever goes wrong, and after an hour none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col

from acceptance.slack_desk import settings_for
from contract.test_acts import MONDAY, acts_of, done, refused
from contract.test_casework import Desk, desk
from contract.test_chasing import told
from fakes.fake_slack import ALEX, SAM, FakeSlack
from intake_bot.casework import files
from intake_bot.casework.acts import NotAConsultation, Restrict, SendFile
from intake_bot.casework.desk import Actor, NoticeKind
from intake_bot.casework.files import CaseFile
from intake_bot.casework.own_posts import FILE_STAYS
from intake_bot.casework.receive import Filed
from intake_bot.casework.vocabulary import SetAside
from intake_bot.delivery import DeliveryWorker
from intake_bot.mail.outgoing import FolderPost
from intake_bot.slack.desk import SlackDesk
from storage import outbox
from storage.outbox import Kind, Parcel, Via
from storage.tables import Case, Outgoing

__all__ = ["desk"]

ME, SAMS = Actor("slack", f"T0TEAM/{ALEX}"), Actor("slack", f"T0TEAM/{SAM}")
LEASE = timedelta(minutes=1)
RAW = {"filename": "About Mr Hartwell.EML", "size": 3, "content_type": "message/rfc822", "sha256": "", "part_index": -1}
"""The mail itself, as what was filed unread has it for its file."""
LARGE = RAW | {"filename": "film.mov", "size": 2_000_000}


class Died(BaseException):
    """The process did, there."""


class Work:
    """A case with two files, a Slack, and somebody who delivers, as at any time."""

    def __init__(self, desk: Desk, slack: FakeSlack, folder: Any) -> None:
        desk.practice = replace(desk.practice, largest_file_sent=1_000_000)
        self.desk, self.slack, self.folder = desk, slack, folder
        self.slack_desk = SlackDesk(settings_for(slack, send_files=True))
        self.filed: Filed = desk.opened(attachments=(RAW, LARGE))
        self.case_id = self.filed.case_id or ""
        with desk.database.read() as session:
            of_case = files.of_case(session, desk.practice, session.get_one(Case, self.case_id))
            self.file, self.large = of_case

    def asked(self) -> None:
        done(self.desk, SendFile(self.case_id, ME, self.file.key))

    def worker(self, at: datetime) -> DeliveryWorker:
        post = FolderPost(self.folder)
        return DeliveryWorker(
            *(
                self.desk.database,
                self.desk.practice,
                Via.DESK,
                post,
                self.slack_desk,
                "LADO",
                lambda: at,
                LEASE,
                "test",
            )
        )

    async def deliver(self, at: datetime) -> None:
        """All that is due for the desk then."""
        worker = self.worker(at)
        while await worker.step():
            pass

    @property
    def standing(self) -> list[str]:
        """The files that somebody sees, by their messages."""
        return [
            file["id"]
            for room in self.slack.channels.values()
            for message in room.messages
            for file in message.get("files", ())
            if file["mode"] != "tombstone"
        ]

    @property
    def acts(self) -> list[str]:
        return acts_of(self.desk.show(self.filed))

    def waiting(self, kind: Kind) -> int:
        where = (col(Outgoing.kind) == kind, col(Outgoing.state).in_(("waiting", "leased", "parked")))
        return self.desk.count(Outgoing, *where)


@pytest.fixture
async def work(desk: Desk, tmp_path: Any) -> AsyncIterator[Work]:
    async with FakeSlack() as slack:
        yield Work(desk, slack, tmp_path)


COMPLETE, SLOT = "files.completeUploadExternal", "files.getUploadURLExternal"


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("conversations.open", "500"),
        (SLOT, "429"),
        (SLOT, "drop_response"),
        ("upload", "500"),
        ("upload", "drop_request"),
        ("upload", "drop_response"),
        (COMPLETE, "429"),
        (COMPLETE, "500"),
        (COMPLETE, "drop_request"),
        (COMPLETE, "drop_response"),
        (COMPLETE, "empty"),
    ],
)
async def test_whatever_goes_wrong_one_stands_there_and_after_an_hour_none(work: Work, method: str, kind: str) -> None:
    work.asked()
    work.slack.fail_next(method, kind)
    await work.deliver(MONDAY)
    for seconds in (5, 10, 40):
        await work.deliver(MONDAY + timedelta(seconds=seconds))
    assert len(work.standing) == 1
    assert work.acts.count("file_sent") == 1
    await work.deliver(MONDAY + FILE_STAYS - timedelta(seconds=1))
    assert len(work.standing) == 1
    # One fault of Slack's, and it is tried again.
    work.slack.fail_next("files.delete", "500")
    for minutes in (1, 2, 3):
        await work.deliver(MONDAY + FILE_STAYS + timedelta(minutes=minutes))
    assert work.standing == []
    assert not any(file["shared"] and not file["deleted"] for file in work.slack.files.values()), "nor any untracked"
    assert work.acts.count("erased") == 1
    assert work.waiting(Kind.ERASE) == work.waiting(Kind.FILE) == 0


async def test_it_stands_under_a_name_of_ours_with_the_words_that_must_be_said(work: Work) -> None:
    work.asked()
    await work.deliver(MONDAY)
    (file,), reference = work.slack.files.values(), work.desk.show(work.filed)["case"]
    assert (file["name"], file["title"]) == (f"{reference}-1.eml", f"{reference}-1.eml")
    (comment,) = [call["initial_comment"] for call in work.slack.called(COMPLETE)]
    assert comment == (
        f"{reference}: a file that came with it, as you asked. It is not scanned: open it with care. "
        "It is deleted here after an hour."
    )


async def test_who_dies_between_beginning_and_sharing_leaves_nothing_unknown(work: Work) -> None:
    work.asked()

    async def dies(*_: Any) -> None:
        raise asyncio.CancelledError

    work.slack_desk._upload = dies  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await work.deliver(MONDAY)
    assert work.waiting(Kind.ERASE) == 1, "it is known before there is anything to see"
    del work.slack_desk._upload
    await work.deliver(MONDAY + 2 * LEASE)
    assert len(work.standing) == 1
    await work.deliver(MONDAY + FILE_STAYS + 3 * LEASE)
    assert work.standing == []


async def dies_once_it_stands(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.asked()
    marks = DeliveryWorker._delivered

    def dies(worker: DeliveryWorker, parcel: Parcel, posted: Any) -> None:
        if parcel.kind is Kind.FILE:
            raise Died
        marks(worker, parcel, posted)

    with monkeypatch.context() as patched:
        patched.setattr(DeliveryWorker, "_delivered", dies)
        with pytest.raises(Died):
            await work.deliver(MONDAY)
    assert len(work.standing) == 1


async def test_who_dies_after_sharing_sends_no_second(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    await dies_once_it_stands(work, monkeypatch)
    await work.deliver(MONDAY + 2 * LEASE)
    assert len(work.slack.called(COMPLETE)) == 1
    assert work.acts.count("file_sent") == 1


async def test_what_may_yet_arrive_is_deleted_before_another_is_sent(work: Work) -> None:
    work.asked()
    work.slack.fail_next(COMPLETE, "drop_response")
    await work.deliver(MONDAY)
    # Slack shares it, and its message is to come.
    (room,) = [room for room in work.slack.channels.values() if room.is_im]
    late = room.messages.pop()
    await work.deliver(MONDAY + timedelta(seconds=10))
    first, second = work.slack.files.values()
    assert (first["deleted"], second["deleted"]) == (True, False)
    assert work.standing == [second["id"]]
    assert late["files"][0]["id"] == first["id"]


async def test_a_case_that_becomes_restricted_gives_none_to_others_and_takes_back_what_they_have(work: Work) -> None:
    work.asked()
    await work.deliver(MONDAY)
    work.asked()
    done(work.desk, Restrict(work.case_id, SAMS, (SAMS,), "A colleague of ours."))
    await work.deliver(MONDAY)
    assert work.standing == []
    assert (work.acts.count("file_sent"), work.acts.count("erased"), work.acts.count("file_not_sent")) == (1, 1, 1)
    assert work.waiting(Kind.FILE) == 0
    assert refused(work.desk, SendFile(work.case_id, ME, work.file.key)) == "there is no such case"
    done(work.desk, SendFile(work.case_id, SAMS, work.file.key))
    await work.deliver(MONDAY)
    assert len(work.standing) == 1


@pytest.mark.parametrize("step", ["_conversation", "_upload"])
async def test_a_restriction_while_it_is_on_its_way_leaves_none_to_others(work: Work, step: str) -> None:
    work.asked()
    goes_on = getattr(work.slack_desk, step)

    async def restricted_meanwhile(*given: Any) -> Any:
        delattr(work.slack_desk, step)
        done(work.desk, Restrict(work.case_id, SAMS, (SAMS,), "A colleague of ours."))
        # Another node takes back what it finds of it.
        await work.deliver(MONDAY)
        return await goes_on(*given)

    setattr(work.slack_desk, step, restricted_meanwhile)
    await work.deliver(MONDAY)
    assert work.standing == []
    # What is on the record is what was: it stood there, if for a moment, and then went.
    acts = [act for act in work.acts if act in ("file_sent", "erased", "file_not_sent")]
    assert acts == (["file_not_sent"] if step == "_conversation" else ["erased", "file_sent", "erased"])


async def test_who_looked_for_it_before_it_stood_does_not_leave_it_there(work: Work) -> None:
    work.asked()
    goes_on = work.slack_desk._upload
    taken: list[Parcel] = []

    async def closes(*given: Any) -> None:
        # Another node takes the order to delete it, finds nothing, and says so when it has arrived.
        done(work.desk, NotAConsultation(work.case_id, ME, SetAside.MISDIRECTED))
        taken.extend(
            outbox.take(
                work.desk.database, work.desk.practice.vault, via=Via.DESK, now=MONDAY, lease=LEASE, worker="other",
                limit=50,
            )
        )  # fmt: skip
        await goes_on(*given)

    work.slack_desk._upload = closes  # type: ignore[method-assign]
    worker = work.worker(MONDAY)
    while await worker.step() and not work.standing:
        pass
    for parcel in taken:
        if parcel.kind is Kind.ERASE:
            worker._delivered(parcel, None)
    await work.deliver(MONDAY)
    assert work.standing == []


async def test_what_arrived_unheard_is_no_failure_however_late_it_is_found(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dies_once_it_stands(work, monkeypatch)
    await work.deliver(MONDAY + files.TRIED_FOR + LEASE)
    assert (work.acts.count("file_sent"), work.acts.count("file_not_sent")) == (1, 0)
    assert work.slack.ephemerals(ALEX) == []


async def test_what_stands_there_goes_when_the_case_closes_and_no_second_order_finds_another(work: Work) -> None:
    work.asked()
    await work.deliver(MONDAY)
    done(work.desk, NotAConsultation(work.case_id, ME, SetAside.MISDIRECTED))
    later = MONDAY + timedelta(minutes=30)
    await work.deliver(later)
    assert work.standing == []
    done(work.desk, SendFile(work.case_id, ME, work.file.key), now=later)
    await work.deliver(later)
    await work.deliver(MONDAY + FILE_STAYS)
    assert len(work.standing) == 1, "the first one's hour is not the second one's"
    await work.deliver(later + FILE_STAYS)
    assert work.standing == []
    assert work.acts.count("erased") == 2


async def test_whoever_waited_in_vain_is_told_and_nothing_waits_on(work: Work) -> None:
    work.asked()
    work.slack.scopes.remove("files:write")
    for minutes in (0, 5, 14, 30):
        await work.deliver(MONDAY + timedelta(minutes=minutes))
    (said,) = work.slack.ephemerals(ALEX)
    assert "could not be sent (too late). Ask again" in said["text"]
    assert work.acts.count("file_not_sent") == 1
    assert work.waiting(Kind.FILE) == 0
    assert work.slack.files == {}
    (finding,) = await work.slack_desk.check()
    assert "files:write: paste the manifest anew" in finding


async def test_what_slack_does_not_let_us_delete_is_told(work: Work) -> None:
    work.asked()
    await work.deliver(MONDAY)
    work.slack.fail_next("files.delete", "file_deleting_disabled")
    await work.deliver(MONDAY + FILE_STAYS)
    (notice,) = told(work.desk, NoticeKind.NOT_ERASED)
    assert notice.code == "file_deleting_disabled"


async def test_only_what_is_there_and_fits_and_only_in_slack(work: Work) -> None:
    assert "too large" in refused(work.desk, SendFile(work.case_id, ME, work.large.key))
    assert "no such file" in refused(work.desk, SendFile(work.case_id, ME, "elsewhere/1"))
    assert "intake-bot attachment" in refused(
        work.desk, SendFile(work.case_id, Actor("terminal", "Ben"), work.file.key)
    )
    work.desk.practice = replace(work.desk.practice, largest_file_sent=None)
    assert "No file is sent" in refused(work.desk, SendFile(work.case_id, ME, work.file.key))
    assert work.waiting(Kind.FILE) == 0


@pytest.mark.parametrize(
    ("given", "ending"),
    [("a.PDF", "pdf"), ("a.pdf.exe", "bin"), ("Mr Hartwell", "bin"), ("../../x.html", "bin"), ("a.p\u202edf", "bin")],
)
def test_a_name_is_never_the_senders(given: str, ending: str) -> None:
    assert files.name_for("LADO-26-7KMQ4D", CaseFile("M/1", 3, given, 1, fits=True)) == f"LADO-26-7KMQ4D-3.{ending}"
