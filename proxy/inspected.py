"""What the addon keeps on a flow: its inspection, its bookkeeping, its tape. Names and data only."""

from dataclasses import dataclass
from typing import Final

from proxy.exchange import Exchange
from proxy.inspection import Inspection
from proxy.session import Session

TAPE: Final = "midstream.tape"
"""flow.metadata: the `Tape` of a flow that is recorded."""
STATE = "midstream.state"
"""flow.metadata: the `Inspected` of a flow that a codec reads."""


@dataclass(slots=True)
class Inspected:
    """A flow that is read: its inspection, and what must be settled when it ends."""

    inspection: Inspection
    session: Session

    @property
    def exchange(self) -> Exchange:
        """What is decided of it."""
        return self.inspection.exchange
