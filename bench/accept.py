"""How fast mail is accepted, beside Postfix and beside an aiosmtpd that keeps nothing: ``make bench-accept``.

``--servers mailman-lmtp,noop-lmtp,ours-lmtp`` compares LMTP, with Mailman 3 from the virtual environment $BENCH_MAILMAN.

Needs Debian's ``postfix`` package for smtp-source and for Postfix itself, and root, which Postfix's master asks for. Starts
each server on a port of its own in a throw-away folder and loads them in turn, round by round, so that a slow minute of a
shared machine meets all of them: what is compared is the ratio within a round. Ours is the whole ``intake-bot serve``, which
encrypts, commits and syncs each message before its 250 and files the messages meanwhile. Figures are this machine's alone.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

# Below the range that the kernel takes for outgoing connections.
SINK, POSTFIX, NOOP, OURS, NOOP_LMTP, OURS_LMTP, MAILMAN = 12626, 12625, 12628, 12629, 12630, 12631, 12632
LENGTH = 4096
RECIPIENT = "lado@bench.example"
NOOP_SERVER = """
import asyncio, sys
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP

class Noop:
    async def handle_DATA(self, server, session, envelope):
        return "250 OK"

async def main():
    kind = LMTP if sys.argv[2] == "lmtp" else SMTP
    server = await asyncio.get_running_loop().create_server(lambda: kind(Noop()), "127.0.0.1", int(sys.argv[1]))
    print("ready", flush=True)
    await server.serve_forever()

loop = sys.argv[3]
if loop == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--sessions", default="1,10,50")
    parser.add_argument("--servers", default="noop,postfix,ours")
    parser.add_argument("--database", default="", help="a PostgreSQL url for ours; default: SQLite")
    parser.add_argument("--loop", default="uvloop", choices=("asyncio", "uvloop"), help="for noop and ours alike")
    options = parser.parse_args()
    names = options.servers.split(",")
    if shutil.which("smtp-source") is None:
        sys.exit("smtp-source is not installed (Debian: postfix)")
    rates: dict[tuple[int, str], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="intake-bot-accept-") as name, ExitStack() as stack:
        Path(name).chmod(0o755)
        if "postfix" in names:
            stack.enter_context(postfix(Path(name)))
        for number in range(options.rounds):
            for sessions in map(int, options.sessions.split(",")):
                for server in names[number % len(names) :] + names[: number % len(names)]:
                    with started(server, Path(name) / f"{server}-{number}-{sessions}", options) as (port, lmtp):
                        rate = load(port, sessions, options.messages, lmtp=lmtp)
                    rates.setdefault((sessions, server), []).append(rate)
                    print(f"round {number + 1}  {sessions:3} sessions  {server:10} {rate:7.0f}/s", file=sys.stderr)
    for (sessions, server), found in rates.items():
        line = (
            f"{sessions:3} sessions  {server:10} {statistics.median(found):6.0f}/s ({min(found):.0f}-{max(found):.0f})"
        )
        for peer in ("noop", "postfix", "noop-lmtp", "mailman-lmtp"):
            if (sessions, peer) in rates and server.startswith("ours"):
                ratios = [one / other for one, other in zip(found, rates[sessions, peer], strict=True)]
                line += f"  to {peer} {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        print(line)


@contextmanager
def started(server: str, folder: Path, options: argparse.Namespace) -> Iterator[tuple[int, bool]]:
    """A port that listens, and whether it speaks LMTP."""
    lmtp = server.endswith("-lmtp")
    if server == "postfix":
        yield POSTFIX, False
        return
    if server == "mailman-lmtp":
        port = MAILMAN
        command, environment, ready = mailman(folder)
    elif server.startswith("noop"):
        port = NOOP_LMTP if lmtp else NOOP
        command = [sys.executable, "-c", NOOP_SERVER, str(port), "lmtp" if lmtp else "smtp", options.loop]
        environment = dict(os.environ)
        ready = re.compile("ready")
    else:
        port = OURS_LMTP if lmtp else OURS
        command = [sys.executable, "-m", "intake_bot", "serve", "--data", str(folder / "data")]
        environment = os.environ | {
            "XDG_CONFIG_HOME": str(folder / "config"),
            "INTAKE_BOT_MAIL_PORT": str(port),
            "INTAKE_BOT_MAIL_PROTOCOL": "lmtp" if lmtp else "smtp",
            "INTAKE_BOT_TRIAGE_ENABLED": "false",
            "INTAKE_BOT_DATABASE_URL": options.database,
            "INTAKE_BOT_SERVICE_EVENT_LOOP": options.loop,
        }
        ready = re.compile("taking mail")
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        if server == "mailman-lmtp":
            wait_for_port(port)
        else:
            wait_for(process, ready)
        if server.startswith("ours"):
            time.sleep(2)  # its children load what they need
        yield port, lmtp
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(process: subprocess.Popen[bytes], ready: re.Pattern[str]) -> None:
    """Read what it prints until it says so, and then for as long as it lives, so that it never waits for a reader."""
    assert process.stdout is not None
    printed = ""
    while not ready.search(printed):
        if not select.select([process.stdout], [], [], 30)[0]:
            sys.exit("a server does not start")
        chunk = os.read(process.stdout.fileno(), 65536)
        if not chunk:
            sys.exit(f"a server ended: {printed}")
        printed += chunk.decode()
    drain: Callable[[], bytes] = process.stdout.read
    threading.Thread(target=drain, daemon=True).start()


def wait_for_port(port: int) -> None:
    for _ in range(400):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("a server does not start")


def mailman(folder: Path) -> tuple[list[str], dict[str, str], re.Pattern[str]]:
    """Mailman's LMTP runner alone, with one list: it parses, looks the list up and syncs a queue file."""
    binaries = Path(os.environ["BENCH_MAILMAN"]) / "bin"
    folder.mkdir()
    configuration = folder / "mailman.cfg"
    configuration.write_text(
        f"""[mailman]
site_owner: owner@bench.example
layout: bench
[paths.bench]
var_dir: {folder}/var
[database]
class: mailman.database.sqlite.SQLiteDatabase
url: sqlite:///{folder}/var/mailman.db
[mta]
incoming: mailman.mta.null.NullMTA
lmtp_host: 127.0.0.1
lmtp_port: {MAILMAN}
smtp_port: {SINK}
"""
    )
    create = [str(binaries / "mailman"), "--run-as-root", "-C", str(configuration), "create", "-d", RECIPIENT]
    subprocess.run(create, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    return [str(binaries / "runner"), "-C", str(configuration), "-r", "lmtp"], dict(os.environ), re.compile("")


def load(port: int, sessions: int, messages: int, *, lmtp: bool) -> float:
    """Messages a second, a new connection for each, as smtp-source sends them."""
    command = ["smtp-source", "-4", "-s", str(sessions), "-m", str(messages), "-l", str(LENGTH)]
    command += ["-M", "client.example", "-f", "dsl@client.example", "-t", RECIPIENT, "-C", "20"]
    command += [*(["-L"] if lmtp else []), f"127.0.0.1:{port}"]
    began = time.perf_counter()
    subprocess.run(command, check=True, timeout=300)
    return messages / (time.perf_counter() - began)


# ---- a Postfix that touches nothing of the system's own


@contextmanager
def postfix(folder: Path) -> Iterator[None]:
    """A whole Postfix, which relays what it accepts to smtp-sink."""
    sink = subprocess.Popen(["smtp-sink", "-4", "-u", "nobody", f"127.0.0.1:{SINK}", "512"], stdout=subprocess.DEVNULL)
    configuration = folder / "postfix" / "etc"
    for path in (configuration, folder / "postfix" / "spool", folder / "postfix" / "data"):
        path.mkdir(parents=True)
    shutil.chown(folder / "postfix" / "data", "postfix", "postfix")
    (configuration / "main.cf").write_text(
        f"""compatibility_level = 3.6
queue_directory = {folder}/postfix/spool
data_directory = {folder}/postfix/data
maillog_file = {folder}/postfix/maillog
maillog_file_prefixes = {folder}
myhostname = mta.bench.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{SINK}
smtp_dns_support_level = disabled
smtp_host_lookup = native
alias_maps =
alias_database =
smtpd_client_connection_count_limit = 0
smtpd_recipient_restrictions = permit_mynetworks, reject
"""
    )
    (configuration / "master.cf").write_text("".join(f"{line}\n" for line in master_lines()))
    run = ["postfix", "-c", str(configuration)]
    subprocess.run([*run, "start"], check=True, capture_output=True)
    try:
        wait_for_port(POSTFIX)
        yield
    finally:
        subprocess.run([*run, "stop"], check=False, capture_output=True)
        sink.terminate()
        sink.wait()


def master_lines() -> Iterator[str]:
    yield f"127.0.0.1:{POSTFIX} inet n - n - - smtpd"
    public = {"pickup", "cleanup", "qmgr", "flush", "showq", "postlog"}
    for line in (
        "pickup unix 60 1 pickup", "cleanup unix - 0 cleanup", "qmgr unix 300 1 qmgr", "rewrite unix - - trivial-rewrite",
        "bounce unix - 0 bounce", "defer unix - 0 bounce", "trace unix - 0 bounce", "verify unix - 1 verify",
        "flush unix 1000? 0 flush", "proxymap unix - - proxymap", "smtp unix - - smtp", "relay unix - - smtp",
        "showq unix - - showq", "error unix - - error", "retry unix - - error", "discard unix - - discard",
        "anvil unix - 1 anvil", "scache unix - 1 scache", "postlog unix-dgram - 1 postlogd",
    ):  # fmt: skip
        name, kind, wake, most, command = line.split()
        yield f"{name} {kind} {'n' if name in public else '-'} - n {wake} {most} {command}"


if __name__ == "__main__":
    main()
