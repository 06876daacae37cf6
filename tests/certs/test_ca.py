"""The CA on disk: made once, reused, renewed, refused when damaged; and a real handshake under it."""

import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from mitmproxy.certs import CertStore

from certs.ca import LIFETIME, CAError, ensure


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_ca_has_its_files_and_permissions(tmp_path: Path) -> None:
    authority = ensure(tmp_path)
    assert authority.certificate == tmp_path / "ca.pem"
    assert (mode(authority.certificate), mode(authority.key)) == (0o644, 0o600)
    assert (mode(authority.confdir), mode(authority.confdir / "mitmproxy-ca.pem")) == (0o700, 0o600)
    assert b"PRIVATE" not in authority.certificate.read_bytes()
    assert authority.notice is None


def test_a_valid_ca_is_reused_without_a_word(tmp_path: Path) -> None:
    first = ensure(tmp_path).certificate.read_bytes()
    again = ensure(tmp_path)
    assert (again.certificate.read_bytes(), again.notice) == (first, None)


def test_an_expired_ca_is_renewed_and_says_so(tmp_path: Path) -> None:
    first = ensure(tmp_path).certificate.read_bytes()
    later = datetime.now(UTC) + LIFETIME + timedelta(days=1)
    renewed = ensure(tmp_path, later)
    assert renewed.certificate.read_bytes() != first
    assert "had expired on" in (renewed.notice or "")
    assert "must trust" in (renewed.notice or "")
    assert renewed.expires > later


def test_an_old_ca_is_kept_with_a_warning(tmp_path: Path) -> None:
    first = ensure(tmp_path)
    warned = ensure(tmp_path, first.expires - timedelta(days=3))
    assert warned.certificate.read_bytes() == first.certificate.read_bytes()
    assert "expires on" in (warned.notice or "")


@pytest.mark.parametrize("name", ["ca.pem", "ca-key.pem"])
def test_half_a_ca_is_refused(tmp_path: Path, name: str) -> None:
    ensure(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(CAError, match=f"{name} is missing: restore it, or remove"):
        ensure(tmp_path)


@pytest.mark.parametrize("name", ["ca.pem", "ca-key.pem"])
def test_a_damaged_ca_is_refused(tmp_path: Path, name: str) -> None:
    ensure(tmp_path)
    (tmp_path / name).write_bytes(b"not PEM")
    with pytest.raises(CAError, match="is damaged"):
        ensure(tmp_path)


def test_a_key_of_another_ca_is_refused(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for state in (mine, other):
        state.mkdir()
        ensure(state)
    (mine / "ca-key.pem").write_bytes((other / "ca-key.pem").read_bytes())
    with pytest.raises(CAError, match=r"is not the key of ca\.pem"):
        ensure(mine)


def test_a_directory_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CAError, match="cannot be read or written"):
        ensure(tmp_path / "absent")


def test_starts_at_once_end_with_one_ca(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(_key(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def _key(state: Path) -> bytes:
    return ensure(state).certificate.read_bytes()


def test_mitmproxy_forges_leaves_that_a_strict_client_accepts(tmp_path: Path) -> None:
    authority = ensure(tmp_path)
    store = CertStore.from_store(authority.confdir, "mitmproxy", 2048)
    leaf = store.get_cert("api.openai.com", [x509.DNSName("api.openai.com")])
    chain = tmp_path / "leaf.pem"
    key = load_pem_private_key((authority.confdir / "mitmproxy-ca.pem").read_bytes(), None)
    assert key.public_key() == store.default_ca.public_key()
    chain.write_bytes(_private_pem(leaf.privatekey) + leaf.cert.to_pem())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain)
    client = ssl.create_default_context(cafile=str(authority.certificate))
    assert client.verify_flags & ssl.VERIFY_X509_STRICT
    assert _handshake(server, client, "api.openai.com") == "api.openai.com"


def _private_pem(key: object) -> bytes:
    from cryptography.hazmat.primitives import serialization as s

    assert hasattr(key, "private_bytes")
    return bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(down, up, server_hostname=name),
        server.wrap_bio(up, down, server_side=True),
    ]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue
    return name
