"""What `embedContent`, `batchEmbedContents` and Vertex' `predict` answer. Only their token counts are of their own."""

from dataclasses import replace

from proxy.codecs import Json, Response
from proxy.codecs.gemini.answer import read_response
from proxy.codecs.gemini.names import member
from proxy.codecs.walk import array, number, table
from proxy.events import Usage


def read_embeddings(document: Json) -> Response:
    """Vectors, or an error."""
    response = read_response(document)
    if response.usage is None and (counted := _counted(document)):
        return replace(response, usage=Usage(input=counted))
    return response


def _counted(document: Json) -> int:
    """Tokens, as Vertex counts them for each text, as whole numbers or not."""
    embedded = [table(table(item).get("embeddings")) for item in array(table(document).get("predictions"))]
    counts = [member(table(item.get("statistics")), "tokenCount") for item in embedded]
    return sum(number(int(count)) for count in counts if isinstance(count, int | float) and 0 < count < 1 << 53)
