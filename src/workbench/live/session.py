"""Everything that one session of trading needs, passed in: who trades, by which data, through which broker and journal.

Nothing here or in ``runner`` looks at a clock, a file or a setting by itself, so a replay is the same code::

    desk = Desk(broker, journal, outbox, seats, date(2024, 12, 31), hours, moments=(opens,), data=bars_until,
                limits=lambda: limits, clock=clock, wait=clock_to, pause=lambda seconds: None)
    report = run_session(desk)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np

from workbench.alerts.outbox import Outbox
from workbench.live.broker import Broker
from workbench.live.gate import Hours
from workbench.live.journal.journal import Journal
from workbench.live.limits import Limits
from workbench.strategies.protocol import Strategy
from workbench.trading import Instrument
from workbench.types import FIELDS, Bars


@dataclass(frozen=True)
class Seat:
    """One strategy at the desk: the evidence that it trades by, its share of the equity, and what bounds it.

    ``capital`` is the most that it may have at work, in money; None: its share of the equity alone. ``max_gross`` is
    what its weights may come to without their signs. ``flatten`` is the number of the rollback that asked for what it
    holds to be closed; 0: none did.
    """

    strategy: Strategy
    pack: str
    version: int = 0
    stage: str = "paper"
    mode: str = "active"
    share: float = 1.0
    capital: float | None = None
    max_gross: float = 1.0
    rebalance: str = "on_change"
    model_bps: float | None = None  # what its evidence takes crossing half the spread for
    flatten: int = 0

    @property
    def name(self) -> str:
        """The strategy's name: what its book is kept under."""
        return self.strategy.name

    @property
    def reduce_only(self) -> bool:
        """Whether nothing new may be opened."""
        return self.mode != "active"

    def allotted(self, equity: float) -> float:
        """Return what it may have at work."""
        own = self.share * equity
        return own if self.capital is None else min(own, self.capital)

    def money(self, equity: float) -> float:
        """Return what it sizes its orders by: bounded capital holds all that its weights may come to."""
        own = self.share * equity
        return own if self.capital is None else min(own, self.capital / max(1.0, self.max_gross))


@dataclass(frozen=True)
class Data:
    """The bars that a decision sees and where they come from; ``bad_rows``: the newest ones' share in quarantine.

    ``splits`` has each symbol's last split that is effective by then: today's as well, which is in no bar yet.
    """

    bars: Bars
    versions: Mapping[str, int] = field(default_factory=dict)
    bad_rows: float = 0.0
    splits: Mapping[str, date] = field(default_factory=dict)

    def digest(self, rows: int) -> str:
        """Return the SHA-256 of the last rows: what a strategy with this lookback decides by."""
        found = hashlib.sha256(" ".join(self.bars.symbols).encode())
        found.update(self.bars.index[-rows:].asi8.tobytes())
        for name in FIELDS:
            found.update(np.ascontiguousarray(getattr(self.bars, name).iloc[-rows:].to_numpy(dtype=float)).tobytes())
        return found.hexdigest()


@dataclass
class Desk:
    """One account for one session.

    ``data(moment)`` gives what is known then. ``wait(moment)`` comes back at that moment, or earlier with True where
    something may be sent now; ``pause(seconds)`` lets time pass. ``patience`` is how long fills are waited for before
    what depends on them is sent; ``watch()`` is called meanwhile, while nothing is on its way.
    """

    broker: Broker
    journal: Journal
    outbox: Outbox
    seats: tuple[Seat, ...]
    session: date
    hours: Hours
    moments: tuple[datetime, ...]
    data: Callable[[datetime], Data]
    newest: Callable[[datetime], date | datetime]  # the last bar that must be there at a moment
    limits: Callable[[], Limits]
    clock: Callable[[], datetime]
    wait: Callable[[datetime], bool]
    pause: Callable[[float], None]
    patience: float = 0.0
    ends: datetime | None = None  # when the books are closed; None: with the session
    recompute: bool = True  # whether the closing computes the session's weights again
    instruments: dict[str, Instrument] = field(default_factory=dict)
    watch: Callable[[], object] = lambda: None

    def instrument(self, symbol: str) -> Instrument:
        """Return what the broker says a symbol is; asked once."""
        if symbol not in self.instruments:
            self.instruments[symbol] = self.broker.instrument(symbol)
        return self.instruments[symbol]
