"""Which runtime learns of the proxy and of the CA through which variable: a table, and the environment made of it.

Only names and values; nothing here reads the environment or writes files.
"""

from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

Gives = Literal["bundle", "ca"]


class Trust(NamedTuple):
    """A variable that names a file of certificates. `gives`: all roots, or the one to add to its own."""

    variable: str
    gives: Gives
    covers: str


TRUST: Final = (
    Trust("SSL_CERT_FILE", "bundle", "OpenSSL: Python, openai, anthropic, httpx, aiohttp, Ruby; Go; Rust; Codex CLI"),
    Trust("REQUESTS_CA_BUNDLE", "bundle", "Python requests, boto3"),
    Trust("CURL_CA_BUNDLE", "bundle", "curl, Python requests"),
    Trust("AWS_CA_BUNDLE", "bundle", "boto3, AWS CLI"),
    Trust("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "bundle", "gRPC"),
    Trust("HTTPLIB2_CA_CERTS", "bundle", "httplib2 (older Google clients)"),
    Trust("CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", "bundle", "gcloud"),
    Trust("NIX_SSL_CERT_FILE", "bundle", "programs from nixpkgs, which read it before SSL_CERT_FILE"),
    Trust("GIT_SSL_CAINFO", "bundle", "git"),
    Trust("PIP_CERT", "bundle", "pip"),
    Trust("npm_config_cafile", "bundle", "npm"),
    Trust("CARGO_HTTP_CAINFO", "bundle", "cargo"),
    Trust("BUNDLE_SSL_CA_CERT", "bundle", "Ruby's bundler"),
    Trust("NODE_EXTRA_CA_CERTS", "ca", "Node: Claude Code, Gemini CLI, opencode, qwen-code"),
    Trust("CODEX_CA_CERTIFICATE", "ca", "Codex CLI"),
    Trust("DENO_CERT", "ca", "Deno"),
)
"""Measured with real clients, except bundler, gcloud, httplib2 and Nix, which are their documentation's word.

Not covered by any variable: Java (its own key store: `keytool -importcert`), browsers, and what pins certificates.
"""

PROXY_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
"""Each is set in both cases: curl reads only `http_proxy` in lower case, others only upper case."""

SWITCHES: Final = {"NODE_USE_ENV_PROXY": "1"}
"""Node 24 and later ignore HTTPS_PROXY without it; older Node ignores HTTPS_PROXY in its own `fetch` altogether."""

LOOPBACK: Final = "localhost,127.0.0.1,::1"


def environment(proxy_url: str, ca: Path, bundle: Path) -> dict[str, str]:
    """Every variable that makes a client use the proxy at `proxy_url` and trust its CA.

    An inherited NO_PROXY would be a way around the policy, so it is always replaced. It is empty while the proxy
    is on this machine's loopback: requests to local model and tool servers pass it too, and it reaches the same
    loopback as the client. A proxy elsewhere does not, so then NO_PROXY is the loopback.
    """
    files = {"bundle": str(bundle.absolute()), "ca": str(ca.absolute())}
    variables = {row.variable: files[row.gives] for row in TRUST} | SWITCHES
    for name, value in _proxy(proxy_url).items():
        variables |= {name: value, name.lower(): value}
    return variables


def _proxy(url: str) -> dict[str, str]:
    direct = "" if urlsplit(url).hostname in LOOPBACK.split(",") else LOOPBACK
    return dict.fromkeys(PROXY_VARIABLES, url) | {"NO_PROXY": direct}
