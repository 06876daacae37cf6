"""Which AWS requests are bound to their body."""

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from proxy.codecs.sigv4 import signed_body

SUM = "0" * 64
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00"
)


@pytest.mark.parametrize(
    ("headers", "bound"),
    [
        ([("Authorization", SIGNED)], True),
        ([("authorization", SIGNED), ("X-Amz-Content-SHA256", SUM)], True),
        ([("authorization", SIGNED), ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")], True),
        ([("authorization", SIGNED), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")], False),
        ([("authorization", SIGNED), ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")], False),
        ([("authorization", "AWS4-ECDSA-P256-SHA256 Credential=…")], True),
        ([("authorization", "Bearer bedrock-api-key-x")], False),
        ([("authorization", "Basic x"), ("authorization", SIGNED)], True),
        ([("x-amz-content-sha256", SUM)], False),
        ([], False),
    ],
)
def test_headers(headers: list[tuple[str, str]], bound: bool) -> None:
    assert signed_body(headers) is bound


@pytest.mark.parametrize(
    ("query", "bound"),
    [
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00", True),
        ("X-Amz-Signature=00&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", False),
        ("alt=sse", False),
        ("", False),
    ],
)
def test_presigned(query: str, bound: bool) -> None:
    assert signed_body([], query) is bound


def test_what_botocore_signs() -> None:
    request = AWSRequest("POST", "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse", data=b"{}")
    SigV4Auth(Credentials("AKIDEXAMPLE", "secret"), "bedrock", "us-east-1").add_auth(request)
    assert signed_body(request.headers.items())
