"""The last prices of every symbol that was asked for, from raw ticks; what cannot be a price is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from workbench.live.ib.translation import price
from workbench.trading import Quote

BID, ASK, LAST = 1, 2, 4
DELAYED = {66: BID, 67: ASK, 68: LAST}
# The shares at a price, or traded at it: where they change, the price still holds.
SIZES = {0: BID, 3: ASK, 5: LAST, 69: BID, 70: ASK, 71: LAST}
DELAY = timedelta(minutes=15)


@dataclass
class Line:
    """One subscription: what it said last, and when by this machine's steady clock."""

    symbol: str
    prices: dict[int, float | None]
    begun: float
    heard: float = 0.0
    traded: int = 0  # seconds since 1970, by the exchange
    delayed: bool = False
    refused: str = ""


class Board:
    """All lines by request id; only the connection's thread touches it."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self.lines: dict[int, Line] = {}
        self._steady = steady

    def add(self, request: int, symbol: str) -> None:
        """Begin a line."""
        self.lines[request] = Line(symbol, {}, self._steady())

    def clear(self) -> None:
        """Forget everything: the subscriptions are gone."""
        self.lines.clear()

    def blank(self) -> None:
        """Keep the lines and forget the prices: nobody knows whether they hold."""
        for line in self.lines.values():
            line.prices, line.traded = {}, 0

    def ticked(self, request: int, kind: int, value: float) -> None:
        """Take a price; one that is none wipes what was there."""
        line = self.lines.get(request)
        if line is None:
            return
        own = DELAYED.get(kind, kind)
        if own in (BID, ASK, LAST):
            line.delayed = kind in DELAYED
            line.prices[own] = price(value)
            line.heard = self._steady()

    def sized(self, request: int, kind: int, size: float) -> None:
        """Take a change of the shares at a price that is known: it was heard again."""
        line = self.lines.get(request)
        if line is not None and size > 0 and line.prices.get(SIZES.get(kind, 0)) is not None:
            line.heard = self._steady()

    def stamped(self, request: int, seconds: int) -> None:
        """Take the time of the last trade."""
        if line := self.lines.get(request):
            line.traded = max(line.traded, seconds)
            line.heard = self._steady()

    def refused(self, request: int, text: str) -> None:
        """Remember that there will be no prices."""
        if line := self.lines.get(request):
            line.refused, line.prices = text, {}

    def known(self) -> dict[str, Line]:
        """Return the lines by symbol."""
        return {line.symbol: line for line in self.lines.values()}

    def waits(self, symbols: Iterable[str], seconds: float) -> bool:
        """Whether a line is so young that its first prices may still be on their way."""
        wanted, young = set(symbols), self._steady() - seconds
        return any(
            line.symbol in wanted and line.begun > young and not line.refused and line.prices.keys() < {BID, ASK, LAST}
            for line in self.lines.values()
        )

    def quote(self, symbol: str, now: datetime) -> Quote:
        """Return the quote of a symbol, timed by the broker's clock."""
        line = self.known().get(symbol)
        if line is None or not line.prices:
            return Quote(symbol, None, None, None, now)
        at = now - timedelta(seconds=self._steady() - line.heard)
        traded = datetime.fromtimestamp(line.traded, UTC)
        if at < traded <= now:
            at = traded
        if line.delayed:
            at -= DELAY
        return Quote(symbol, line.prices.get(BID), line.prices.get(ASK), line.prices.get(LAST), at)
