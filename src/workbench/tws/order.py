"""The broker's own facts: an order as it stands, and an execution that never changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

STAGED = "Staged"  # sent with transmit off: the broker keeps it and says nothing
PENDING = "PendingSubmit"
PRESUBMITTED = "PreSubmitted"
SUBMITTED = "Submitted"
FILLED = "Filled"
CANCELLED = "Cancelled"
INACTIVE = "Inactive"
DEAD = frozenset({FILLED, CANCELLED, INACTIVE})
MARKET, LIMIT, STOP, STOP_LIMIT = "MKT", "LMT", "STP", "STP LMT"
TYPES = (MARKET, LIMIT, STOP, STOP_LIMIT)


@dataclass
class Order:
    """An order at the broker. ``perm_id`` names it for ever; a client knows it by its own ``order_id``."""

    perm_id: int
    client_id: int
    order_id: int
    account: str
    symbol: str
    con_id: int
    action: str
    quantity: int
    type: str
    limit: float | None
    aux: float | None
    tif: str
    oca_group: str = ""
    oca_type: int = 0
    parent_id: int = 0  # the parent's order id, as the client gave it
    parent_perm: int = 0
    ref: str = ""
    status: str = STAGED
    why_held: str = ""
    filled: int = 0
    average: float = 0.0
    last_price: float = 0.0
    commission: float = 0.0
    triggered: bool = False
    queue: int = -1  # shares ahead at the limit price; -1 before it is known
    placed: float = 0.0
    done: float = 0.0
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def sign(self) -> int:
        """+1 for a purchase, -1 for a sale."""
        return 1 if self.action == "BUY" else -1

    @property
    def remaining(self) -> int:
        """Shares still to be filled; a cancelled order keeps the number, as at the gateway."""
        return self.quantity - self.filled

    @property
    def dead(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.status in DEAD

    @property
    def is_stop(self) -> bool:
        """Whether it waits for a trigger."""
        return self.type in (STOP, STOP_LIMIT) and not self.triggered

    def row(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Execution:
    """One fill. A correction repeats its ``exec_id`` with the last part counted up."""

    exec_id: str
    perm_id: int
    client_id: int
    order_id: int
    account: str
    symbol: str
    con_id: int
    side: str  # BOT or SLD
    shares: int
    price: float
    at: float
    cumulative: int
    average: float
    commission: float
    realized: float | None
    ref: str
    liquidity: int  # 1 added, 2 removed

    @property
    def root(self) -> str:
        """The id without the revision."""
        return self.exec_id.rpartition(".")[0]

    @property
    def revision(self) -> int:
        """1, and one more for each correction."""
        return int(self.exec_id.rpartition(".")[2])

    @property
    def signed(self) -> int:
        """Shares, negative for a sale."""
        return self.shares if self.side == "BOT" else -self.shares

    def row(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


@dataclass
class Holding:
    """What is held of one symbol; the average cost contains commissions, as the broker's does."""

    symbol: str
    quantity: int = 0
    average: float = 0.0
    realized: float = 0.0

    def take(self, signed: int, price: float, commission: float) -> float:
        """Book one fill and return the profit it realised, after commission."""
        before, after = self.quantity, self.quantity + signed
        fee = commission / abs(signed) if signed else 0.0
        cost = price + fee if signed > 0 else price - fee
        closed = min(abs(before), abs(signed)) if before * signed < 0 else 0
        realized = closed * (cost - self.average) * (1 if before > 0 else -1)
        if before * signed >= 0:
            self.average = (self.average * abs(before) + cost * abs(signed)) / abs(after) if after else 0.0
        elif before * after < 0:
            self.average = cost
        elif after == 0:
            self.average = 0.0
        self.quantity = after
        self.realized += realized
        return realized


def latest(executions: list[Execution]) -> list[Execution]:
    """Return the executions that hold: of each, the highest revision, in the order of the first."""
    found: dict[str, Execution] = {}
    for execution in executions:
        known = found.get(execution.root)
        if known is None or execution.revision >= known.revision:
            found[execution.root] = execution
    return list(found.values())
