"""A whole Postfix with a configuration, a queue and a port of its own, which touches nothing of the system's.

It stands where an authority's mail server stands: in front of us, by SMTP or LMTP, and as the relay for what we send. Both
ways TLS is asked for and verified. The settings under test are those that docs/edge.md tells an administrator to make.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

HOST = "mta.elmshire.example"


def absent() -> str | None:
    """Why no Postfix can be started here, or None."""
    if shutil.which("postfix") is None:
        return "postfix is not installed"
    if os.geteuid() != 0:
        return "Postfix's master has to be started by root"
    return None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class OwnPostfix:
    """Mail for ``address`` goes to the port ``intake`` by ``protocol`` (smtp or lmtp), all other to the port ``school``.

    ``folder`` must be one that the user postfix can enter; ``authority`` and ``pair`` are files of PEM.
    """

    def __init__(
        self,
        folder: Path,
        *,
        address: str,
        protocol: str,
        intake: int,
        school: int,
        authority: Path,
        pair: tuple[Path, Path],
    ) -> None:
        # The policy's key is the next hop as the transport writes it, but for LMTP without its "inet:".
        hop = f"[localhost]:{intake}" if protocol == "smtp" else f"localhost:{intake}"
        transport = f"{protocol}:{hop if protocol == 'smtp' else f'inet:{hop}'}"
        os.umask(0o022)  # opening a house in this process closes it to all others, and Postfix runs as another user
        self.port = free_port()
        self._folder = folder / "postfix"
        etc = self._folder / "etc"
        for path in (etc, self._folder / "spool", self._folder / "data"):
            path.mkdir(parents=True)
        shutil.chown(self._folder / "data", "postfix", "postfix")
        (etc / "main.cf").write_text(
            f"""compatibility_level = 3.6
queue_directory = {self._folder}/spool
data_directory = {self._folder}/data
maillog_file = {self._folder}/maillog
maillog_file_prefixes = {self._folder}
myhostname = {HOST}
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
message_size_limit = 60000000
smtputf8_autodetect_classes = all

# As docs/edge.md says.
recipient_delimiter = +
transport_maps = inline:{{ {{ {address} = {transport} }} }}

# What goes on to schools.
relayhost = [127.0.0.1]:{school}
smtp_dns_support_level = disabled
smtp_host_lookup = native
lmtp_dns_support_level = disabled
lmtp_host_lookup = native

# To us and from us: no word without TLS that our own authority vouches for.
smtp_tls_CAfile = {authority}
lmtp_tls_CAfile = {authority}
smtp_tls_policy_maps = inline:{{ {{ {hop} = secure match=localhost }} }}
lmtp_tls_policy_maps = inline:{{ {{ {hop} = secure match=localhost }} }}
smtp_tls_loglevel = 1
lmtp_tls_loglevel = 1
smtpd_tls_cert_file = {pair[0]}
smtpd_tls_key_file = {pair[1]}
smtpd_tls_security_level = may

# Quick to come again: nobody waits for minutes here.
minimal_backoff_time = 2s
maximal_backoff_time = 3s
queue_run_delay = 2s
"""
        )
        public = {"pickup", "cleanup", "qmgr", "flush", "showq", "postlog"}
        with (etc / "master.cf").open("w") as file:
            file.write(f"127.0.0.1:{self.port} inet n - n - - smtpd\n")
            for line in (
                "pickup unix 60 1 pickup", "cleanup unix - 0 cleanup", "qmgr unix 300 1 qmgr",
                "tlsmgr unix 1000? 1 tlsmgr", "rewrite unix - - trivial-rewrite", "bounce unix - 0 bounce",
                "defer unix - 0 bounce", "trace unix - 0 bounce", "verify unix - 1 verify", "flush unix 1000? 0 flush",
                "proxymap unix - - proxymap", "smtp unix - - smtp", "relay unix - - smtp", "lmtp unix - - lmtp",
                "showq unix - - showq", "error unix - - error", "retry unix - - error", "discard unix - - discard",
                "anvil unix - 1 anvil", "scache unix - 1 scache", "postlog unix-dgram - 1 postlogd",
            ):  # fmt: skip
                name, kind, wake, most, command = line.split()
                file.write(f"{name} {kind} {'n' if name in public else '-'} - n {wake} {most} {command}\n")
        self._control = ["postfix", "-c", str(etc)]

    def start(self) -> None:
        subprocess.run([*self._control, "start"], check=True, capture_output=True, timeout=60)
        deadline = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def stop(self) -> None:
        subprocess.run([*self._control, "stop"], check=False, capture_output=True, timeout=60)

    def flush(self) -> None:
        """Try everything in the queue now."""
        subprocess.run(["postqueue", "-c", self._control[2], "-f"], check=True, capture_output=True, timeout=30)

    def queued(self) -> int:
        """How many messages are in the queue. None is corrupt or held in these tests."""
        queues = ("maildrop", "incoming", "active", "deferred")
        return sum(len(files) for queue in queues for _, _, files in os.walk(self._folder / "spool" / queue))

    def log(self) -> str:
        log = self._folder / "maillog"
        return log.read_text() if log.exists() else ""
