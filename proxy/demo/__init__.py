"""`midstream demo`: a self-contained tour over real TLS against a loopback stand-in provider.

The stand-in plays the providers (`stand_in`), midstream runs as a user would run it (`served`), a scripted agent asks
through the official SDKs (`agent`). What is shown is data (`scenes`), how it looks is `report`, what the audit log and
the budgets say of it is `ledger`. This module only strings them together; it imports the SDKs when it is called.
"""


class DemoError(Exception):
    """The demo cannot go on; the message is for people."""


def main(*, as_json: bool = False) -> int:
    """Play every scene and print it; the exit status is 1 when one of its checks fails.

    Raises DemoError when midstream does not start or the SDKs are not installed.
    """
    try:
        from proxy.demo.tour import tour
    except ModuleNotFoundError as error:
        raise DemoError(f"the demo needs its SDKs ({error.name}): pip install 'midstream[demo]'") from error
    return tour(as_json=as_json)
