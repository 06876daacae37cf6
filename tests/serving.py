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

GUARDED = f"""version: 1
{IDENTITY}
rules:
  - id: secrets-stay-home
    at: [pre_llm_request, post_llm_response, pre_tool_execution, post_tool_execution]
    find: [secret]
    verdict: modify
    edit: redact
  - id: pii-by-placeholder
    at: pre_llm_request
    find: [pii]
    verdict: modify
    edit: pseudonymise
  - id: no-injected-instructions
    at: post_tool_execution
    find: [injection]
    verdict: modify
    edit: strip
  - id: no-dotenv
    at: pre_tool_execution
    when: tool.arguments.exists(k, string(tool.arguments[k]).matches('(^|/)[.]env([.]|$)'))
    verdict: deny
    reason: credential files stay on the machine
  - id: no-payroll
    at: post_tool_execution
    tools: [payroll, "*/payroll"]
    verdict: deny
    reason: ask the platform team first
"""
"""What most tests want of a policy: redaction both ways, placeholders, stripping, a denied call, a denied result."""

NOTICE = "credential files stay on the machine"
"""What its denial of a call says."""

REASON = "ask the platform team first"
DENYING = f"""version: 1
{IDENTITY}
rules:
  - id: no-requests
    at: pre_llm_request
    verdict: deny
    reason: {REASON}
"""
"""Refuses every request, saying `REASON`."""
