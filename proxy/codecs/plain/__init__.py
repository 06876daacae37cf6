"""Formats without conversation or tools: a table of names reads each of them. Pure functions.

`table` reads documents and forms, `stream` what grows, `formats` says which names mean what, and makes the codecs.
"""

from proxy.codecs.plain.formats import CODECS

__all__ = ["CODECS"]
