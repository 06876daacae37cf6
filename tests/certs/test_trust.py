"""The variables a client is given."""

from pathlib import Path

from certs.trust import TRUST, environment

CA, BUNDLE = Path("/state/ca.pem"), Path("/state/ca-bundle.pem")


def test_every_row_names_a_variable_once_and_says_what_it_covers() -> None:
    assert len({row.variable for row in TRUST}) == len(TRUST)
    assert all(row.covers for row in TRUST)


def test_every_proxy_variable_is_set_in_both_cases() -> None:
    variables = environment("http://a:t@127.0.0.1:8080", CA, BUNDLE)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        assert variables[name] == variables[name.lower()] == "http://a:t@127.0.0.1:8080"


def test_clients_get_the_bundle_or_our_ca_by_what_they_do_with_it() -> None:
    variables = environment("http://127.0.0.1:8080", CA, BUNDLE)
    assert variables["SSL_CERT_FILE"] == variables["REQUESTS_CA_BUNDLE"] == str(BUNDLE)
    assert variables["NODE_EXTRA_CA_CERTS"] == str(CA)
    assert variables["NODE_USE_ENV_PROXY"] == "1"


def test_an_inherited_no_proxy_is_no_way_around() -> None:
    variables = environment("http://127.0.0.1:8080", CA, BUNDLE)
    assert variables["NO_PROXY"] == variables["no_proxy"] == ""
    assert environment("http://[::1]:8080", CA, BUNDLE)["NO_PROXY"] == ""


def test_a_proxy_elsewhere_leaves_the_loopback_to_its_machine() -> None:
    assert environment("http://proxy.internal:8080", CA, BUNDLE)["no_proxy"] == "localhost,127.0.0.1,::1"


def test_paths_are_absolute_because_children_change_directory() -> None:
    variables = environment("http://127.0.0.1:8080", Path("ca.pem"), Path("ca-bundle.pem"))
    assert all(Path(variables[row.variable]).is_absolute() for row in TRUST)
