"""Forms (multipart/form-data, RFC 7578): a syntax beside JSON. `scan` finds the parts, `form` reads, `edit` changes."""

from typing import Final

from proxy.codecs.codec import Syntax
from proxy.codecs.multipart.edit import splice
from proxy.codecs.multipart.form import parse, parse_upload

MULTIPART: Final = Syntax(parse, splice)
UPLOADS: Final = Syntax(parse_upload, splice)
"""Forms, JSON, or a file by itself."""

__all__ = ["MULTIPART", "UPLOADS", "parse", "splice"]
