"""The reading of a raw message: everything that intake needs to know of it, in one pure function.

It runs in a child process, so that a hostile message can at worst end that child; its result crosses as JSON.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from intake_bot.mail.addresses import Mailbox, is_plain, mailboxes, normalised
from intake_bot.mail.answered import history_is_by
from intake_bot.mail.bounces import FailedRecipient, failed_recipients, is_still_trying
from intake_bot.mail.budget import Budget
from intake_bot.mail.containers import SMIME_TYPES
from intake_bot.mail.documents import data_text, document_text
from intake_bot.mail.fields import as_text, decoded, message_id, message_ids
from intake_bot.mail.limits import DocumentFault, Limits, TooLarge, Unreadable
from intake_bot.mail.machine import BOUNCES, MachineMark, answered_ids, is_null_sender, machine_mark
from intake_bot.mail.parts import Part, parse
from intake_bot.mail.quoting import Correspondents, is_forward_subject, is_reply_subject, new_words
from intake_bot.mail.secure_mail import is_archive, is_envelope, is_notice, says_something, speaks_of_password
from intake_bot.mail.text import clean, clean_line, html_to_text, is_html_document, squeezed, words
from intake_bot.mail.trust import Trust, sender_trust

_MAX_DATE_CHARS = 200
_OPENING_CHARS = 20_000
_MAX_ALTERNATIVES = 8
# Types under text/ that hold data, not the writer's prose: attachments, but read where there is nothing else.
_DATA_TEXTS = {"text/calendar", "text/csv", "text/rtf", "text/vcard", "text/x-vcard", "text/directory", "text/xml",
               "text/css", "text/javascript", "text/rfc822-headers", "text/x-amp-html", "text/watch-html"}  # fmt: skip
_PGP_BLOCK = re.compile(r"(?m)^-----BEGIN PGP MESSAGE-----\s*$")
# Files that are never documents; whatever else they are called, they are read by what they begin with.
_NEVER_DOCUMENTS = ("image/", "audio/", "video/", "multipart/", "message/")
# A few words that only say that something is attached.
_COVERING_WORDS = 30


UnreadableKind = Literal["smime", "pgp", "document", "portal"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message. ``size`` in bytes and ``sha256`` are of the decoded content."""

    filename: str
    content_type: str
    size: int
    sha256: str
    part_index: int


@dataclass(frozen=True, slots=True)
class DocumentText:
    """The text of a document that came with a message: an attachment, or the message inside one (winmail.dat, .msg)."""

    part_index: int
    filename: str
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a message says. Strings hold neither NUL nor lone surrogates, so that any store and UTF-8 take them.

    ``body_text`` is what the writer wrote this time, ``signature_text`` what was taken off its end (a signature holds the
    referrer's name, role and telephone number), ``full_text`` everything; ``digest`` is equal for two copies of
    the same content, whatever transport did to headers, encodings, line ends and runs of white space. ``answers`` is
    filled for mail that is about other mail (bounces, receipts, vacation replies), ``failed`` for bounces: whom they
    say was not reached. ``documents`` holds the words of attached documents, which are in neither text and not in the
    digest. ``unreadable`` says that the mail's own words, or the only document of a mail with hardly any, are encrypted, or
    that a secure-mail service keeps them (``portal``).
    """

    message_id: str | None
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    date: str | None
    subject: str
    sender: str | None
    sender_name: str
    reply_to: str | None
    recipients: tuple[str, ...]
    to: tuple[str, ...]
    cc: tuple[str, ...]
    body_text: str
    full_text: str
    signature_text: str
    attachments: tuple[Attachment, ...]
    documents: tuple[DocumentText, ...]
    unreadable: UnreadableKind | None
    defects: tuple[str, ...]
    trust: Trust
    machine: MachineMark | None
    digest: str
    answers: tuple[str, ...]
    failed: tuple[FailedRecipient, ...] = ()
    still_trying: bool = False
    """A bounce that is a notice of delay."""
    history_by_us: bool = False
    """The nearest old message under the new words names us as its author."""

    def to_json(self) -> str:
        """One JSON object, which :meth:`from_json` turns back into an equal reading."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Reading:
        """The reading that :meth:`to_json` wrote."""
        data: dict[str, Any] = json.loads(text)
        for name in ("in_reply_to", "references", "recipients", "to", "cc", "defects", "answers"):
            data[name] = tuple(data[name])
        data["attachments"] = tuple(Attachment(**item) for item in data["attachments"])
        data["documents"] = tuple(DocumentText(**item) for item in data["documents"])
        data["failed"] = tuple(FailedRecipient(**item) for item in data["failed"])
        data["machine"] = MachineMark(**data["machine"]) if data["machine"] else None
        return cls(**data)


def read(
    raw: bytes,
    *,
    envelope_from: str,
    envelope_to: Sequence[str],
    authserv_id: str | None,
    own_addresses: Collection[str],
    limits: Limits,
    own_letters: Sequence[str] = (),
) -> Reading:
    """Read a message as it came over SMTP or LMTP, with its envelope.

    Every message that a mail server would pass on gets a reading: what is broken is mended as far as it goes, and
    named in ``defects``. ``authserv_id`` is the one server whose Authentication-Results are believed. ``own_letters`` are
    the templates of our acknowledgement, where they are not this package's: people fill it in and send it back.

    :raises TooLarge: a bound on structure is exceeded (:class:`~intake_bot.mail.limits.Limits`).
    """
    defects: set[str] = set()
    budget = Budget(limits)
    parts = parse(raw, limits, defects, budget)
    top = parts[0].fields
    subject = clean_line(decoded(top.first("subject") or b"", defects), limits.max_subject_chars)
    authors = [mailbox for value in top.all("from") for mailbox in mailboxes(as_text(value), limits.max_addresses)]
    author = _author(parts[0], authors, envelope_from, limits)
    in_reply_to = _ids(parts[0], "in-reply-to", limits)
    references = _ids(parts[0], "references", limits)
    from_addresses = [mailbox.address for mailbox in authors]

    content = _Content(parts, limits, defects)
    full = content.full_text()
    opening = full[:_OPENING_CHARS]
    mark = machine_mark(
        parts,
        envelope_from=envelope_from,
        from_addresses=from_addresses,
        subject=subject,
        opening=opening,
        own_addresses=own_addresses,
        addressed_to=(*envelope_to, *_addresses(parts[0], "to", limits), *_addresses(parts[0], "cc", limits)),
    )
    about_our_mail = mark is not None and not mark.opens_case
    is_bounce = mark is not None and mark.reason in BOUNCES
    body = content.body_text(
        answers=any(top.text(name).strip() for name in ("in-reply-to", "references")) or is_reply_subject(subject),
        forwards=is_forward_subject(subject),
        with_messages=not about_our_mail,
        people=Correspondents(
            written_to={*_addresses(parts[0], "to", limits), *(address.casefold() for address in envelope_to)},
            ours={*own_addresses, *envelope_to},
            writer=_name(author, limits, defects),
            writer_address=author.address if author else "",
            letters=own_letters,
        ),
    )
    attachments = content.attachments()
    documents = () if about_our_mail else content.documents(full, budget)
    return Reading(
        message_id=next((found for value in top.all("message-id") if (found := message_id(value))), None),
        in_reply_to=in_reply_to,
        references=references,
        date=_date(parts[0]),
        subject=subject,
        sender=author.address if author else None,
        sender_name=_name(author, limits, defects),
        reply_to=_reply_to(parts[0], limits),
        recipients=tuple(clean_line(address, 1_000) for address in envelope_to),
        to=_addresses(parts[0], "to", limits),
        cc=_addresses(parts[0], "cc", limits),
        body_text=_cut(body, limits, defects),
        full_text=_cut(full, limits, defects),
        signature_text=_cut("\n".join(content.signatures), limits, defects),
        attachments=attachments,
        documents=documents,
        unreadable=_unreadable(parts, subject, full, documents, defects),
        defects=tuple(sorted(defects)),
        trust=sender_trust(
            (clean_line(as_text(value), 10_000) for value in top.all("authentication-results")),
            authserv_id=authserv_id,
            from_addresses=from_addresses,
        ),
        machine=mark,
        digest=content.digest(subject, full, attachments),
        answers=answered_ids(parts, opening, limits.max_references) if about_our_mail else (),
        failed=failed_recipients(parts, opening, own_addresses) if is_bounce else (),
        still_trying=is_bounce and is_still_trying(parts, opening),
        history_by_us=len(full) > len(body) and history_is_by(full, own_addresses),
    )


def attachment_bytes(raw: bytes, part_index: int, limits: Limits, *, sha256: str = "") -> bytes:
    """The decoded content of the attachment with that ``part_index``, from the raw message again.

    With ``sha256`` it is that content and no other: what lies in containers is numbered as the libraries find it, and
    another version of one, or a busy hour, may find more or less.

    :raises TooLarge: as :func:`read` does.
    :raises Unreadable: there is no such part.
    """
    parts = parse(raw, limits, set())
    nearest = sorted(parts, key=lambda part: part.index != part_index)
    for part in nearest if sha256 else nearest[:1]:
        content = part.content(set())
        if hashlib.sha256(content).hexdigest() == sha256 or (not sha256 and part.index == part_index):
            return content
    raise Unreadable("no_such_part")


@dataclass(frozen=True, slots=True)
class _Piece:
    """One stretch of text: as it reads, and with quoted lines marked. ``is_message``: it is a message inside this one."""

    plain: str
    marked: str
    is_message: bool = False


@dataclass(slots=True)
class _Content:
    """The texts and files of a message."""

    parts: list[Part]
    limits: Limits
    defects: set[str]
    pieces: list[_Piece] = field(default_factory=list)
    said: set[int] = field(default_factory=set)
    """The parts whose words are in the pieces."""
    signatures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pieces = [piece for piece in self._pieces(self.parts[0]) if piece.plain.strip()]
        if not any(words(piece.plain) for piece in self.pieces):
            self.pieces = self._last_resort() or self.pieces

    def full_text(self) -> str:
        return "\n\n".join(piece.plain.strip("\n") for piece in self.pieces)

    def body_text(self, *, answers: bool, forwards: bool, with_messages: bool, people: Correspondents) -> str:
        """The new words of each stretch; a message that is attached is forwarded, and stays as it is."""
        texts = []
        for piece in self.pieces:
            if piece.is_message:
                if with_messages:
                    texts.append(piece.plain.strip("\n"))
                continue
            new = new_words(piece.marked.strip("\n"), answers=answers, forwards=forwards, people=people)
            # Quotation marks are ours where the text was HTML: they go when nothing else went.
            texts.append(piece.plain.strip("\n") if new.whole else new.text)
            self.signatures += [new.signature] if new.signature else []
        body = "\n\n".join(texts)
        return body if words(body) else self.full_text()

    def attachments(self) -> tuple[Attachment, ...]:
        found: list[Attachment] = []
        for part in self.parts:
            if not self._is_file(part):
                continue
            if len(found) >= self.limits.max_attachments:
                raise TooLarge("too_many_attachments")
            data = part.content(self.defects)
            found.append(
                Attachment(
                    filename=part.safe_filename(self.limits.max_filename_chars),
                    content_type=part.content_type,
                    size=len(data),
                    sha256=hashlib.sha256(data).hexdigest(),
                    part_index=part.index,
                )
            )
        return tuple(found)

    def documents(self, full: str, budget: Budget) -> tuple[DocumentText, ...]:
        """The words of attached documents, and of messages in containers that say more than the mail itself."""
        found: list[DocumentText] = []
        tried = 0
        left = self.limits.max_documents_chars
        known = words(full)
        for part in self.parts:
            if part.index in self.said or part.content_type.startswith(_NEVER_DOCUMENTS) or part.start >= part.end:
                continue
            if part.is_message or part.content_type in SMIME_TYPES:
                continue
            if tried >= self.limits.max_documents or left <= 0:
                self.defects.add("DocumentsCut")
                break
            text = self._document_text(part, budget)
            tried += text is not None
            if text is None and is_archive(part.begin()) and speaks_of_password(full):
                # Whether an archive is locked its header tells only of zip; the sender tells of all.
                self.defects.add("DocumentEncrypted")
            if not text or not words(text):
                continue
            if part.in_container and not self._is_file(part) and _missing(words(text), known) <= 3:
                continue
            if len(text) > left:
                self.defects.add("DocumentsCut")
            found.append(DocumentText(part.index, self._document_name(part), text[:left]))
            left -= len(text)
        return tuple(found)

    def _document_text(self, part: Part, budget: Budget) -> str | None:
        """The text of one document; None for what is no document, or none that can be read."""
        try:
            with budget.document():
                return document_text(
                    part.content(set()),
                    filename=part.filename,
                    content_type=part.content_type,
                    charset=part.parameters.get("charset", ""),
                    limits=self.limits,
                    defects=self.defects,
                )
        except DocumentFault as fault:
            self.defects.add(fault.code)
            return None

    def _document_name(self, part: Part) -> str:
        """The name of the file; for a container's own text that of the container."""
        holder = self.parts[part.parent] if part.in_container and part.parent and not self._is_file(part) else part
        return holder.safe_filename(self.limits.max_filename_chars)

    def digest(self, subject: str, full: str, attachments: Sequence[Attachment]) -> str:
        """SHA-256 over what transport leaves alone. A text file counts by its text, for transport may change its line
        ends and its encoding; a message inside counts by its own text and files, for the same reason.
        """
        marks = [squeezed(subject), squeezed(full)]
        for item in attachments:
            part = self.parts[item.part_index]
            if part.is_message or part.in_container:
                continue
            marks.append(squeezed(part.text(set())) if part.content_type.startswith("text/") else item.sha256)
        hasher = hashlib.sha256()
        for mark in marks:
            data = mark.encode()
            hasher.update(b"%d:" % len(data) + data)
        return hasher.hexdigest()

    def _is_file(self, part: Part) -> bool:
        """Whether the part is kept as an attachment. A text with a name is both: its words are never lost."""
        if part.is_multipart:
            return False
        if part.is_message:
            return part.index > 0
        if part.content_type in {"text/plain", "text/html"} or part.content_type.startswith("multipart/"):
            return part.disposition == "attachment" or bool(part.filename)
        if part.content_type.startswith("text/") and part.content_type not in _DATA_TEXTS:
            return part.disposition == "attachment" or bool(part.filename)
        return part.index > 0 or bool(part.start < part.end)

    def _pieces(self, part: Part) -> list[_Piece]:
        if part.is_multipart:
            children = [self.parts[index] for index in part.children]
            if part.content_type == "multipart/alternative":
                return self._fullest([self._pieces(child) for child in children])
            return [piece for child in children for piece in self._pieces(child)]
        if part.is_message:
            return self._message_pieces(part)
        if part.content_type in SMIME_TYPES and part.children:
            return [piece for index in part.children for piece in self._pieces(self.parts[index])]
        if not part.content_type.startswith(("text/", "multipart/")) or part.content_type in _DATA_TEXTS:
            return []
        is_file = part.disposition == "attachment" or is_envelope(part.content_type, part.filename, part.begin())
        return [] if is_file else [self._text_piece(part)]

    def _text_piece(self, part: Part) -> _Piece:
        self.said.add(part.index)
        text = _without_boundaries(part, part.text(self.defects))
        if part.content_type in _DATA_TEXTS:
            text = data_text(text, part.content_type, self.limits)
        if part.content_type != "text/html" and not is_html_document(text):
            return _Piece(text, text)
        converted = html_to_text(text, self.limits.max_html_chars)
        self.defects.update(converted.defects)
        return _Piece(converted.plain, converted.marked)

    def _message_pieces(self, part: Part) -> list[_Piece]:
        pieces: list[_Piece] = []
        for index in part.children:
            inner = self.parts[index]
            shown = []
            for name in ("From", "To", "Date", "Subject"):
                value = inner.fields.first(name.lower())
                if value is not None:
                    shown.append(f"{name}: {clean_line(decoded(value, self.defects), self.limits.max_subject_chars)}")
            texts = [piece.plain.strip("\n") for piece in self._pieces(inner)]
            text = "\n".join(shown) + "\n\n" + "\n\n".join(texts)
            pieces.append(_Piece(text, text, is_message=True))
        return pieces

    def _fullest(self, alternatives: list[list[_Piece]]) -> list[_Piece]:
        """One of the alternatives (RFC 2046 § 5.1.4), the first with text, unless another says a good deal more.

        The plain text comes first and is what quotations are told by. But many programs leave it empty, or write "see
        the HTML part". Where each has much that the other has not, they are no alternatives and both stay.
        """
        chosen: list[_Piece] = []
        for pieces in alternatives[:_MAX_ALTERNATIVES]:
            theirs = words(" ".join(piece.plain for piece in pieces))
            if not theirs:
                continue
            ours = words(" ".join(piece.plain for piece in chosen))
            if not ours:
                chosen = pieces
                continue
            missing = _missing(theirs, ours)
            if missing > max(3, len(theirs) // 5):
                extra = _missing(ours, theirs)
                # A placeholder may be lost; more than a few words may not.
                chosen = chosen + pieces if extra > max(25, len(ours) // 5) else pieces
        # No program writes so many: whatever these are, they are kept rather than compared.
        return chosen + [piece for pieces in alternatives[_MAX_ALTERNATIVES:] for piece in pieces]

    def _last_resort(self) -> list[_Piece]:
        """Words where none were found in their place: text files, data and what a container says, then what lies
        outside all parts.
        """
        self.said = set()
        inside = [part for part in self.parts if part.content_type.startswith("text/")]
        pieces = [piece for part in inside if words((piece := self._text_piece(part)).plain)]
        if pieces:
            return pieces
        top = self.parts[0]
        if top.content_type.startswith("multipart/") and not any(self._is_file(part) for part in self.parts):
            text = _without_boundaries(top, top.text(self.defects))
            return [_Piece(text, text)] if words(text) else []
        return []


def _without_boundaries(part: Part, text: str) -> str:
    """The text of a multipart in which no part was found, without its boundary lines."""
    boundary = part.parameters.get("boundary", "")
    if not boundary or not part.content_type.startswith("multipart/"):
        return text
    return "\n".join(line for line in text.split("\n") if line.rstrip() not in {f"--{boundary}", f"--{boundary}--"})


def _missing(theirs: list[str], ours: list[str]) -> int:
    known = set(ours)
    return sum(word not in known for word in theirs)


def _ids(part: Part, name: str, limits: Limits) -> tuple[str, ...]:
    found = [token for value in part.fields.all(name) for token in message_ids(value, limits.max_references)]
    return tuple(dict.fromkeys(found))


def _date(part: Part) -> str | None:
    return clean_line(part.fields.text("date"), _MAX_DATE_CHARS) or None


def _author(part: Part, authors: list[Mailbox], envelope_from: str, limits: Limits) -> Mailbox | None:
    """From, else what encoded words hide in it, else Sender (RFC 5322 § 3.6.2), else the envelope's sender."""
    if authors:
        return authors[0]
    for name in ("from", "sender"):
        for value in part.fields.all(name):
            text = as_text(value) if name == "sender" else decoded(value, set())
            if found := mailboxes(text, limits.max_addresses):
                return found[0]
    if is_null_sender(envelope_from):
        return None
    address = normalised(envelope_from.strip().removeprefix("<").removesuffix(">"))
    return Mailbox("", address) if address else None


def _name(author: Mailbox | None, limits: Limits, defects: set[str]) -> str:
    if author is None:
        return ""
    return clean_line(decoded(author.name.encode("utf-8", "replace"), defects), limits.max_name_chars)


def _reply_to(part: Part, limits: Limits) -> str | None:
    for value in part.fields.all("reply-to"):
        found = mailboxes(as_text(value), limits.max_addresses)
        if found:
            return found[0].address if is_plain(found[0].address) else None
    return None


def _addresses(part: Part, name: str, limits: Limits) -> tuple[str, ...]:
    found = [mailbox for value in part.fields.all(name) for mailbox in mailboxes(as_text(value), limits.max_addresses)]
    return tuple(dict.fromkeys(mailbox.address for mailbox in found))[: limits.max_addresses]


def _cut(text: str, limits: Limits, defects: set[str]) -> str:
    if len(text) > limits.max_text_chars:
        defects.add("TextCut")
        text = text[: limits.max_text_chars]
    return clean(text)


def _not_forwarded(parts: Sequence[Part]) -> Iterator[Part]:
    """The parts of the message itself, without those of messages inside it. A part stands behind the one that holds it."""
    forwarded: set[int] = set()
    for part in parts:
        if part.parent is not None and (parts[part.parent].is_message or part.parent in forwarded):
            forwarded.add(part.index)
        else:
            yield part


def _unreadable(
    parts: Sequence[Part], subject: str, full: str, documents: Sequence[DocumentText], defects: set[str]
) -> UnreadableKind | None:
    """Encrypted mail (RFC 8551, RFC 3156, or PGP in the text), mail that is hardly more than an encrypted document, and
    the notice of a message that is to be collected elsewhere.

    Looked for in multiparts too, into which gateways move it, one to add a banner and the next a footer, and in containers;
    not in what is forwarded.
    """
    for part in _not_forwarded(parts):
        protocol = part.parameters.get("protocol", "").lower()
        if part.content_type == "multipart/encrypted":
            return "smime" if "pkcs7" in protocol else "pgp"
        if part.content_type == "application/pgp-encrypted":
            return "pgp"
        is_smime = part.content_type in SMIME_TYPES or part.filename.lower().endswith("smime.p7m")
        # With children it was only signed, and has been read.
        if is_smime and not part.children and part.parameters.get("smime-type", "").lower() != "certs-only":
            return "smime"
    if _PGP_BLOCK.search(full):
        return "pgp"
    if any(says_something(document.text) for document in documents):
        return None
    if "DocumentEncrypted" in defects and (len(words(full)) <= _COVERING_WORDS or not says_something(full)):
        return "document"
    return "portal" if is_notice(subject, full) and _leads_elsewhere(parts) else None


def _leads_elsewhere(parts: Sequence[Part]) -> bool:
    """Whether there is a link, in the text or behind it, or a page attached."""
    texts = [part for part in parts if part.content_type.startswith("text/")]
    return any(re.search(r"(?i)https?:|\bwww\.", part.text(set())) for part in texts)
