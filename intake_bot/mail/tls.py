"""The listener's certificate: read at the start, and again whenever its files change, without a restart."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

log = logging.getLogger(__name__)

_Mark = tuple[tuple[int, int, int], ...]


class CertificateProblem(Exception):
    """The certificate and its key cannot be used. The text is ours and names the files."""


class Certificate:
    """A certificate chain and its key, as PEM files. Raises :class:`CertificateProblem` where the first pair is unusable.

    Later pairs that are unusable (one of two files replaced so far, a key that does not match) are passed over: the
    last good one stays in use, and ``problem`` says so until a good one comes.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate, self._key = certificate, key
        self.problem: str | None = None
        self._mark = self._look()
        self._context = load(certificate, key)

    def context(self) -> ssl.SSLContext:
        """The context to use now. Looks at the files' marks each time, and reads them only where these changed."""
        mark = self._look()
        if mark != self._mark:
            # Marked before reading: what is replaced meanwhile is read again next time.
            self._mark = mark
            try:
                self._context = load(self._certificate, self._key)
            except CertificateProblem as problem:
                self.problem = str(problem)
                log.error("the certificate before this one stays in use: %s", problem)
            else:
                self.problem = None
                log.info("a new certificate is in use")
        return self._context

    def _look(self) -> _Mark | None:
        try:
            return tuple(
                (found.st_mtime_ns, found.st_ino, found.st_size)
                for found in (path.stat() for path in (self._certificate, self._key))
            )
        except OSError:
            return None


def load(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's context, TLS 1.2 and later. Raises :class:`CertificateProblem`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client that renegotiates makes us work for nothing.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        # A key with a passphrase would be asked for on the terminal; an empty one fails at once.
        context.load_cert_chain(certificate, key, password="")
    except OSError as fault:  # SSLError is one
        reason = fault.reason if isinstance(fault, ssl.SSLError) else fault.strerror
        raise CertificateProblem(f"{certificate} and {key} cannot be used ({reason or type(fault).__name__})") from None
    return context
