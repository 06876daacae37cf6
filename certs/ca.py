"""The deployment's CA: made once with `cryptography`, kept in the state directory, reused while it is valid.

    DIR/ca.pem                         the certificate alone, for clients to trust (0644)
    DIR/ca-key.pem                     its private key (0600)
    DIR/private/mitmproxy-ca.pem       key and certificate in one file, as mitmproxy's `confdir` wants it (0700, 0600)

Leaves are mitmproxy's business; bundles and variables stand in `bundle` and `trust`.
"""

import fcntl
import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import NameOID

logger = logging.getLogger(__name__)

LIFETIME: Final = timedelta(days=3650)
"""As long as mkcert's and mitmproxy's roots: every renewal has to reach every client's trust."""
BACKDATED: Final = timedelta(days=2)
"""For clients whose clocks are slow."""
SOON: Final = timedelta(days=30)


class CAError(Exception):
    """The CA cannot be made or used; the message is one sentence for people."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A usable CA on disk. `notice`, logged too, is a sentence for the operator: it was renewed or will soon expire."""

    certificate: Path
    key: Path
    confdir: Path
    expires: datetime
    notice: str | None = None

    @property
    def bundle(self) -> Path:
        """Where the system's roots and this CA stand together, once `bundle.prepare` wrote them."""
        return self.certificate.with_name("ca-bundle.pem")


def ensure(state: Path, now: datetime | None = None) -> Authority:
    """The CA of `state` (an existing directory): the one that is there, or a new one if there is none or it expired.

    Raises CAError when the files are damaged, do not belong together, or cannot be written.
    """
    now = now or datetime.now(UTC)
    try:
        with _locked(state):
            notice = _made_or_kept(state, now)
            if notice:
                logger.warning("%s", notice)
            certificate, key = _load(state)
            _write(_combined(state), _key_pem(key) + _pem(certificate), 0o600)
    except OSError as error:
        raise CAError(f"the CA in {state} cannot be read or written: {error.strerror or error}") from error
    return Authority(
        state / "ca.pem", state / "ca-key.pem", _combined(state).parent, certificate.not_valid_after_utc, notice
    )


def write_atomically(path: Path, data: bytes, mode: int) -> None:
    """Replace `path` by `data` in one step, with these permissions from the first byte on."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _made_or_kept(state: Path, now: datetime) -> str | None:
    certificate, key = state / "ca.pem", state / "ca-key.pem"
    if not certificate.exists() and not key.exists():
        _make(state, now)
        return None
    if missing := next((path for path in (certificate, key) if not path.exists()), None):
        raise CAError(f"{missing} is missing: restore it, or remove ca.pem and ca-key.pem in {state} to have a new CA")
    expires = _load(state)[0].not_valid_after_utc
    if expires <= now:
        _make(state, now)
        return f"the CA had expired on {expires:%Y-%m-%d}, a new one was made: clients must trust {certificate} anew"
    if expires - now < SOON:
        return f"the CA {certificate} expires on {expires:%Y-%m-%d}: a new one is made at the first start after that"
    return None


def _make(state: Path, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    # The key goes first: a crash in between is seen as a missing certificate, never as a certificate nobody can use.
    _write(state / "ca-key.pem", _key_pem(key), 0o600)
    _write(state / "ca.pem", _pem(_certificate(key, now)), 0o644)


def _certificate(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    # The name is unique, so that a renewed CA is never taken for the old one when chains are built by name.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "midstream"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"midstream CA {secrets.token_hex(4)}"),
        ]
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
        # RFC 5280 §4.2.1.9 and §4.2.1.3: a CA asserts cA and keyCertSign, both critical; it signs leaves only.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _load(state: Path) -> tuple[x509.Certificate, PrivateKeyTypes]:
    try:
        certificate = x509.load_pem_x509_certificate((state / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key((state / "ca-key.pem").read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise CAError(
            f"ca.pem or ca-key.pem in {state} is damaged: restore them, or remove both to have a new CA"
        ) from error
    if key.public_key() != certificate.public_key():
        raise CAError(f"ca-key.pem in {state} is not the key of ca.pem: restore them, or remove both to have a new CA")
    return certificate, key


def _combined(state: Path) -> Path:
    return state / "private" / "mitmproxy-ca.pem"


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if not path.exists() or path.read_bytes() != data:
        write_atomically(path, data, mode)


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    """Two processes that start at once on one directory must end up with one CA."""
    with (state / ".ca.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
