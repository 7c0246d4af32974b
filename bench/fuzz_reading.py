"""Coverage-guided fuzzing of the reader, from the messages of tests/corpus: ``make fuzz``, or with more time
``make fuzz ARGS="--seconds 3600 --keep DIR"``.

Atheris changes the messages and keeps what reaches new code. Whatever comes, the reader must give a reading or raise
:class:`TooLarge`, within its time; no string may hold a NUL or a lone surrogate; every attachment must be read again to the
same bytes; and reading twice must give the same. The first message that breaks one of these is written to DIR.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["intake_bot.mail", "striprtf", "tnefparse", "compressed_rtf"]):
    from intake_bot.mail.limits import Limits, TooLarge
    from intake_bot.mail.reading import Reading, attachment_bytes, read

CORPUS = Path(__file__).parents[1] / "tests" / "corpus"
LIMITS = Limits(document_seconds=1.0, documents_seconds=2.0, max_document_bytes=4 * 1024 * 1024)
MAX_SEED_BYTES = 32 * 1024
MAX_SECONDS = 8.0
"""Of processor time, with the slowing down that counting coverage brings."""


def one_message(raw: bytes) -> None:
    """Read one message and hold the reader to its promises."""
    started = time.process_time()
    try:
        reading = _read(raw)
    except TooLarge:
        return
    spent = time.process_time() - started
    assert spent < MAX_SECONDS, f"took {spent:.1f} s"
    as_json = reading.to_json()
    as_json.encode("utf-8")  # raises for a lone surrogate
    assert "\\u0000" not in as_json
    assert Reading.from_json(as_json) == reading
    for attachment in reading.attachments[:3] + reading.attachments[-3:]:
        content = attachment_bytes(raw, attachment.part_index, LIMITS, sha256=attachment.sha256)
        assert hashlib.sha256(content).hexdigest() == attachment.sha256
        assert len(content) == attachment.size
    if "DocumentTooSlow" not in reading.defects:
        assert _read(raw) == reading


def _read(raw: bytes) -> Reading:
    return read(
        raw,
        envelope_from="head@oakfield.example",
        envelope_to=["lado@council.example"],
        authserv_id="mx.council.example",
        own_addresses=["lado@council.example"],
        limits=LIMITS,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300, help="how long (default: 300)")
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-findings"), help="where what breaks a promise is written"
    )
    parser.add_argument("files", nargs="*", type=Path, help="messages to hold to the promises once, instead of fuzzing")
    given = parser.parse_args()
    if given.files:
        for path in given.files:
            one_message(path.read_bytes())
        return
    given.keep.mkdir(exist_ok=True)
    seeds = Path(tempfile.mkdtemp(prefix="fuzz-seeds-"))
    for path in CORPUS.glob("*.eml"):
        if path.stat().st_size <= MAX_SEED_BYTES:
            shutil.copy(path, seeds)
    atheris.Setup(
        [
            sys.argv[0],
            str(seeds),
            f"-max_total_time={given.seconds}",
            f"-max_len={MAX_SEED_BYTES}",
            f"-artifact_prefix={given.keep}/",
            "-timeout=30",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ],
        one_message,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
