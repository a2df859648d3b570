"""What was decided at one moment: what each strategy wanted, by which evidence and data, and the orders that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from datetime import date
from typing import Any

from workbench.live.gate.facts import Asked, Origin
from workbench.orders import Crossing
from workbench.trading import Order, Side


@dataclass(frozen=True)
class Leg:
    """One symbol of a strategy with exits: the side that is held since a session, and between which levels.

    ``out`` is the side that an exit closed: it is stayed out of until the weight was zero or has turned.
    """

    side: int = 0
    opened: str = ""
    stop: float | None = None
    target: float | None = None
    out: int = 0


@dataclass(frozen=True)
class Wanted:
    """What one strategy wanted; ``before`` are the weights that it had reached, ``held`` its own shares then.

    ``closing``: a rollback asked for everything to be closed, and it wanted nothing else. ``flatten`` is the number of
    that rollback, in the decision that found it carried out.
    """

    strategy: str
    pack: str
    version: int
    stage: str
    mode: str
    capital: float
    weights: Mapping[str, float]
    before: Mapping[str, float]
    held: Mapping[str, int]
    closing: bool = False
    flatten: int = 0
    legs: Mapping[str, Leg] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Wanted:
        """Return what the journal kept."""
        legs = {symbol: Leg(**leg) for symbol, leg in data.get("legs", {}).items()}
        return cls(**{**data, "legs": legs})


@dataclass(frozen=True)
class Line:
    """One order of a decision, whose key it has from now on; ``held`` is what the account held of the symbol."""

    key: str
    symbol: str
    signed: int
    price: float
    shares: Mapping[str, int]
    held: int

    @property
    def side(self) -> Side:
        """Which way it goes."""
        return Side.of(self.signed)

    @property
    def quantity(self) -> int:
        """How many shares."""
        return abs(self.signed)

    @property
    def reducing(self) -> bool:
        """Whether it can only shrink what was held."""
        return self.held * self.signed < 0 and self.quantity <= abs(self.held)


@dataclass(frozen=True)
class Decision:
    """Made once for a moment of a session: whoever starts again in between goes on with it.

    ``inputs`` say by what: digest and last time of the bars, table versions, equity, limits. ``unpriced`` are symbols
    that could not be traded for want of a price. ``ending``: the clock asked for it, it closes what ends with the
    session and leaves everything else.
    """

    id: str
    session: date
    wanted: tuple[Wanted, ...]
    lines: tuple[Line, ...]
    crossings: tuple[Crossing, ...] = ()
    unpriced: tuple[str, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    ending: bool = False

    @property
    def data(self) -> dict[str, Any]:
        """The decision as the journal keeps it."""
        return {**{one.name: _plain(getattr(self, one.name)) for one in fields(self)}, "session": str(self.session)}

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Decision:
        """Return a decision that the journal kept."""
        return cls(
            data["id"], date.fromisoformat(data["session"]), tuple(Wanted.read(one) for one in data["wanted"]),
            tuple(Line(**one) for one in data["lines"]), tuple(Crossing(**one) for one in data["crossings"]),
            tuple(data["unpriced"]), data["inputs"], data.get("ending", False),
        )  # fmt: skip

    @property
    def symbols(self) -> frozenset[str]:
        """What it trades, or passes from one strategy to another."""
        return frozenset({line.symbol for line in self.lines} | {one.symbol for one in self.crossings})

    def of(self, strategy: str) -> Wanted | None:
        """Return what one strategy wanted; None where it did not take part."""
        return next((one for one in self.wanted if one.strategy == strategy), None)

    def asked(self, line: Line) -> Asked:
        """Return one order of the decision as the gate is asked about it; repeats of it trade no more than it says."""
        packs = {one.strategy: one.pack for one in self.wanted if one.strategy in line.shares}
        order = Order(line.key, line.symbol, line.side, line.quantity)
        return Asked(order, Origin.STRATEGY, line.shares, packs, f"{self.id}/{line.symbol}", line.quantity)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [asdict(one) if is_dataclass(one) and not isinstance(one, type) else one for one in value]
    return value
