"""The sandbox's inside: reads a frame, works, answers with JSON, until its input closes.

It is started as ``python -m intake_bot.sandboxed WORK MEMORY_MIB`` and knows no secret, no database and no socket, but that
the work of verifying senders asks the name servers.
"""

from __future__ import annotations

import base64
import json
import resource
import sys
from collections.abc import Callable
from typing import Any

from intake_bot.sandbox import HEADER

Work = Callable[[dict[str, Any], bytes], dict[str, Any]]


def main() -> None:
    work, memory_mib = sys.argv[1], int(sys.argv[2])
    limit = memory_mib * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve({"read": _reader, "triage": _triager, "verify": _verifier}[work]())


def serve(work: Work) -> None:
    """Answer frames on standard input until it closes."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        sizes = source.read(HEADER.size)
        if len(sizes) < HEADER.size:
            return
        head_size, body_size = HEADER.unpack(sizes)
        request = json.loads(source.read(head_size))
        body = source.read(body_size)
        answer = json.dumps(_answer(work, request, body)).encode()
        sink.write(HEADER.pack(len(answer), 0) + answer)
        sink.flush()


def _answer(work: Work, request: dict[str, Any], body: bytes) -> dict[str, Any]:
    try:
        return work(request, body)
    except MemoryError:
        return {"error": "out_of_memory"}
    except Exception as fault:  # its text may be content: only its kind goes out, or the code it carries
        return {"error": str(getattr(fault, "code", None) or type(fault).__name__)}


def _reader() -> Work:
    from intake_bot.mail.limits import Limits
    from intake_bot.mail.reading import attachment_bytes, read

    limits = Limits()
    # The first reading loads the HTML and quotation libraries: better now than with somebody's mail.
    read(
        b"From: a@b.example\r\nContent-Type: text/html\r\n\r\n<p>warm</p>",
        envelope_from="",
        envelope_to=(),
        authserv_id=None,
        own_addresses=frozenset(),
        limits=limits,
    )

    def work(request: dict[str, Any], body: bytes) -> dict[str, Any]:
        if request.get("warm"):
            return {}
        if "attachment" in request:
            content = attachment_bytes(body, request["attachment"], limits, sha256=request["sha256"])
            return {"content": base64.b64encode(content).decode()}
        reading = read(
            body,
            envelope_from=request["envelope_from"],
            envelope_to=request["envelope_to"],
            authserv_id=request["authserv_id"],
            own_addresses=frozenset(request["own_addresses"]),
            limits=limits,
            own_letters=request.get("own_letters", ()),
        )
        return {"reading": reading.to_json()}

    return work


def _triager() -> Work:
    from triage import engine

    loaded = engine.load()

    def work(request: dict[str, Any], body: bytes) -> dict[str, Any]:
        if request.get("warm"):
            return {}
        suggest = loaded.suggest_by_rules if request.get("rules_alone") else loaded.suggest
        suggestion = suggest(body.decode("utf-8", "replace"), subject=request["subject"], sender=request["sender"])
        return suggestion.to_json()

    return work


def _verifier() -> Work:
    from intake_bot.mail.verdicts import ask_dns, verdict

    def work(request: dict[str, Any], body: bytes) -> dict[str, Any]:
        if request.get("warm"):
            return {}
        found = verdict(body, client=request["client"], mail_from=request["mail_from"], resolve=ask_dns)
        return {"trust": found}

    return work


if __name__ == "__main__":
    main()
