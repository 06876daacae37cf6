"""State shared by workers: the `Store` protocol and `open_store`, which picks one by URL.

What a store promises is `base`; the two that keep the promise are `sqlite` and `redis`, held to one contract test.
Policies, agents and prices are not known here.
"""

from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from proxy.store.base import (
    RESERVATION_TTL,
    Amounts,
    Closing,
    Exhausted,
    Granted,
    Ledger,
    LedgerKey,
    Limits,
    Standing,
    Store,
    StoreError,
)
from proxy.store.redis import RedisStore
from proxy.store.sqlite import SqliteStore

__all__ = [
    "RESERVATION_TTL",
    "Amounts",
    "Closing",
    "Exhausted",
    "Granted",
    "Ledger",
    "LedgerKey",
    "Limits",
    "Standing",
    "Store",
    "StoreError",
    "open_store",
    "without_password",
]

DATABASE = "midstream.db"
_REDIS_SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}


async def open_store(url: str | None, state_dir: Path) -> Store:
    """Open the store that `url` names, ready for use.

    None is SQLite at `state_dir`/midstream.db; otherwise `sqlite:///absolute/path`, `redis://`, `rediss://` (TLS),
    `valkey://` or `valkeys://` (TLS), a standalone server or any node of a cluster.
    Raises StoreError, naming the URL without its password, for a URL it cannot read and a server it cannot reach.
    """
    if url is None:
        return await SqliteStore.open(state_dir / DATABASE)
    parts = _split(url)
    if parts.scheme == "sqlite":
        return await SqliteStore.open(_database_path(parts))
    if parts.scheme in _REDIS_SCHEMES and parts.hostname:
        address = parts._replace(scheme=_REDIS_SCHEMES[parts.scheme]).geturl()
        return await RedisStore.open(address, name=without_password(url))
    raise StoreError(
        f"store {without_password(url)}: not a store URL (sqlite:///PATH, redis://HOST, rediss://HOST, valkey://HOST)"
    )


def without_password(url: str) -> str:
    """The URL as it may be shown: `redis://user:***@host/0`. Query values go too, they can hold a password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(unreadable URL)"
    user, secret, host = parts.netloc.rpartition("@")
    login = f"{user.split(':', 1)[0]}:***@" if secret and ":" in user else user + secret
    return parts._replace(netloc=login + host, query="***" if parts.query else "", fragment="").geturl()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it is what checks it
    except ValueError as error:
        raise StoreError(f"store {without_password(url)}: not a store URL (bad host or port)") from error
    return parts


def _database_path(parts: SplitResult) -> Path:
    """`sqlite:///var/lib/m.db` -> /var/lib/m.db. A host would be a forgotten slash, so it is refused."""
    if parts.netloc or len(parts.path) < 2:
        raise StoreError(f"store {parts.geturl()}: SQLite needs an absolute path after three slashes: sqlite:///PATH")
    return Path(parts.path)
