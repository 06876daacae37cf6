"""Finding the machine's roots and writing the bundle."""

import ssl
from pathlib import Path

import certifi
import pytest

from certs.bundle import BundleError, system_roots, write_bundle
from certs.ca import ensure


def test_ssl_cert_file_comes_first(tmp_path: Path) -> None:
    own = ensure(tmp_path).certificate
    assert system_roots({"SSL_CERT_FILE": str(own)}) == own


def test_a_wrong_ssl_cert_file_is_one_sentence(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    with pytest.raises(BundleError, match=r"SSL_CERT_FILE names .*empty\.pem, which is not a readable file"):
        system_roots({"SSL_CERT_FILE": str(empty)})


def test_without_variables_a_distribution_path_or_certifi_serves(tmp_path: Path) -> None:
    own = ensure(tmp_path).certificate
    assert system_roots({}, (tmp_path / "absent.pem", own)) == own
    assert system_roots({}, (tmp_path / "absent.pem",)) == Path(certifi.where())


def test_the_bundle_holds_the_roots_and_ours(tmp_path: Path) -> None:
    own = ensure(tmp_path).certificate
    bundle = write_bundle(own, tmp_path / "ca-bundle.pem", Path(certifi.where()))
    context = ssl.create_default_context(cafile=str(bundle))
    roots = ssl.create_default_context(cafile=certifi.where())
    assert len(context.get_ca_certs()) == len(roots.get_ca_certs()) + 1
    assert bundle.stat().st_mode & 0o777 == 0o644


def test_our_ca_is_not_added_twice(tmp_path: Path) -> None:
    own = ensure(tmp_path).certificate
    first = write_bundle(own, tmp_path / "ca-bundle.pem", Path(certifi.where())).read_bytes()
    assert write_bundle(own, tmp_path / "again.pem", tmp_path / "ca-bundle.pem").read_bytes() == first


def test_a_bundle_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    own = ensure(tmp_path).certificate
    with pytest.raises(BundleError, match="cannot be written"):
        write_bundle(own, tmp_path / "absent" / "ca-bundle.pem", Path(certifi.where()))
