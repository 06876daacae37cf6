"""midstream: a byte's path through the proxy.

client bytes -> mitmproxy -> addon -> codec -> events -> engine (policy, detectors) -> decision
             <-           <-       <- edits         <- effects (redact, pseudonymise, budget, audit)

Only the map lives here; every stage is a module of its own (see ARCHITECTURE.md).
"""
