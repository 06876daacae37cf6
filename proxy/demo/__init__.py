"""`midstream demo`: a self-contained tour over real TLS against a loopback stand-in provider.

The stand-in plays the providers (`stand_in`), midstream runs as a user would run it (`served`), a scripted agent asks
through the official SDKs (`agent`). What is shown is data (`scenes`), how it looks is `report`, what the audit log and
the budgets say of it is `ledger`. This module only strings them together; it imports the SDKs when it is called.
"""


def main(*, as_json: bool = False) -> int:
    """Play every scene and print it; the exit status is 1 when one of its checks fails.

    Raises proxy.demo.served.StartError when midstream does not start.
    """
    from proxy.demo.tour import tour

    return tour(as_json=as_json)
