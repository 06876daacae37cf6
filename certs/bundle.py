"""The bundle for clients that replace their roots by one file: the system's roots plus the deployment's CA.

Finds the roots without any variable set (`env -i`). Which client is told of the bundle how stands in `trust`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import certifi

from certs.ca import Authority, ensure, write_atomically

SYSTEM_ROOTS: Final = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian, Ubuntu, Alpine, Arch, Gentoo
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),  # Fedora, RHEL
    Path("/etc/pki/tls/certs/ca-bundle.crt"),  # older Fedora, RHEL, Amazon Linux
    Path("/etc/ssl/ca-bundle.pem"),  # SUSE
    Path("/etc/ssl/cert.pem"),  # macOS, BSD, Alpine
)
"""Where Go's crypto/x509 (root_linux.go, root_bsd.go) looks, in that order."""

_MARK: Final = b"-----BEGIN CERTIFICATE-----"


class BundleError(Exception):
    """No bundle can be made; the message is one sentence for people."""


def system_roots(environ: Mapping[str, str], places: tuple[Path, ...] = SYSTEM_ROOTS) -> Path:
    """The file of roots this machine trusts: SSL_CERT_FILE, else the distribution's, else certifi's.

    Raises BundleError when SSL_CERT_FILE names no readable PEM file: whoever set it meant that one.
    """
    if own := environ.get("SSL_CERT_FILE"):
        if not _holds_certificates(Path(own)):
            raise BundleError(f"SSL_CERT_FILE names {own}, which is not a readable file of PEM certificates")
        return Path(own)
    return next((path for path in places if _holds_certificates(path)), Path(certifi.where()))


def prepare(state: Path, environ: Mapping[str, str]) -> Authority:
    """The CA of the directory `state`, made if need be, with a fresh `ca-bundle.pem` beside it."""
    authority = ensure(state)
    write_bundle(authority.certificate, authority.bundle, system_roots(environ))
    return authority


def write_bundle(authority: Path, destination: Path, roots: Path) -> Path:
    """Write roots and CA certificate to `destination` in one step (0644); returns it."""
    own = authority.read_bytes()
    # The bundle of an outer midstream may be the roots of an inner one: our own CA is not added twice.
    known = roots.read_bytes()
    data = known if own.strip() in known else known.rstrip(b"\n") + b"\n" + own
    try:
        write_atomically(destination, data, 0o644)
    except OSError as error:
        raise BundleError(f"{destination} cannot be written: {error.strerror or error}") from error
    return destination


def _holds_certificates(path: Path) -> bool:
    try:
        return _MARK in path.read_bytes()
    except OSError:
        # Absent or unreadable is the answer asked for here: the next place is tried.
        return False
