"""HTTP that can wait, be bounded, and be cut off: mitmproxy's HTTP layer with its streams replaced.

A guarded response body passes through a sans-io guard (`stream`); where the guard needs a decision that must be
awaited, the stream yields a blocking hook (`hooks`), sends keepalives, and other flows go on. Bodies that are too large
get the addon's answer. Whatever ends badly ends as an abort (TCP reset or RST_STREAM, `ends`), never as a clean end of
body, and with nothing that was held. `swap` puts it in mitmproxy's place. What is decided, and what a refusal says,
does not live here (`addon`).
"""
