"""Names shared by the tests that drive a running midstream: who speaks, and the policy that knows them."""

from collections.abc import Callable
from hashlib import sha256

from proxy.demo.served import Served

type StartProxy = Callable[..., Served]

AGENT, TOKEN = "builder", "token-for-tests"
IDENTITY = f"""
agents:
  require_identity: true
  list: [{{id: {AGENT}, token_sha256: "{sha256(TOKEN.encode()).hexdigest()}", labels: {{team: core}}}}]
"""
"""A policy fragment under which only `AGENT` with `TOKEN` may speak."""
