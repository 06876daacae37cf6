"""`make bench`: midstream against stock mitmdump, interleaved in one run, on loopback.

Figures, never assertions: a shared machine's clock proves nothing, the ratio of two proxies in one run says a lot.
"""
