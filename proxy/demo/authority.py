"""A throwaway certificate authority for the stand-in provider: one CA, one leaf for every name it answers to.

Lives only as long as the stand-in. Nothing of midstream's own CA (`certs`) is used here: the two must not be confused,
since one is what midstream trusts upstream and the other what agents trust.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOSTS = ("api.openai.com", "api.anthropic.com", "localhost")
_LIFETIME = timedelta(days=2)
_SKEW = timedelta(hours=1)  # clocks of containers differ a little


class Files(NamedTuple):
    """Where the certificates were written (PEM). `leaf` holds the key, the leaf and the CA."""

    ca: Path
    leaf: Path


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _LIFETIME)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    """RFC 5280 §4.2.1.3: a CA signs certificates, a server signs handshakes. Strict verifiers (Python 3.13) insist."""
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return (
        _builder("midstream stand-in CA", "midstream stand-in CA", key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    public_key: ec.EllipticCurvePublicKey, ca_key: ec.EllipticCurvePrivateKey, hosts: Iterable[str]
) -> x509.Certificate:
    names = [*map(x509.DNSName, hosts), x509.IPAddress(ip_address("127.0.0.1"))]
    return (
        _builder("midstream stand-in provider", "midstream stand-in CA", public_key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def issue(folder: Path, hosts: Iterable[str] = HOSTS) -> Files:
    """Make a CA and a leaf for `hosts` in `folder` (made if missing): `ca.pem` and, private, `leaf.pem`."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_pem = _authority(ca_key).public_bytes(serialization.Encoding.PEM)
    leaf_pem = _leaf(leaf_key.public_key(), ca_key, hosts).public_bytes(serialization.Encoding.PEM)
    key_pem = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = Files(folder / "ca.pem", folder / "leaf.pem")
    files.ca.write_bytes(ca_pem)
    files.leaf.touch(mode=0o600)
    files.leaf.write_bytes(key_pem + leaf_pem + ca_pem)
    return files
