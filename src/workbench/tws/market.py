"""The prices of the simulated exchange, second by second: they follow from seed, symbol and time, from nothing else."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.tws.hours import Hours

Ticks = NDArray[np.int32]
KEPT = 128  # sessions of one symbol in memory, 0.2 MB each
EPOCH = date(2000, 1, 3)
SPAN = 13_000  # weekdays from EPOCH that the walk knows: to the year 2049
DEFAULT_PRICES = {
    "AAPL": 190.0, "AMZN": 170.0, "BAC": 38.0, "DIA": 390.0, "GOOG": 150.0, "IWM": 205.0, "JPM": 195.0, "KO": 60.0,
    "META": 480.0, "MSFT": 410.0, "NVDA": 120.0, "PG": 160.0, "QQQ": 440.0, "SPY": 510.0, "TLT": 93.0, "TSLA": 180.0,
    "XLE": 90.0, "XOM": 115.0,
}  # fmt: skip


@dataclass(frozen=True)
class Instrument:
    """A stock or fund that can be traded; ``tick`` is the smallest step of its price."""

    con_id: int
    symbol: str
    tick: float = 0.01
    exchange: str = "SMART"
    primary: str = "NASDAQ"
    currency: str = "USD"

    def price(self, ticks: int) -> float:
        """Return a number of ticks as money."""
        return round(ticks * self.tick, 6)

    def ticks(self, price: float) -> int:
        """Return a price in ticks, the nearest."""
        return round(price / self.tick)

    def on_tick(self, price: float) -> bool:
        """Whether a price is a whole number of ticks."""
        return abs(price / self.tick - round(price / self.tick)) < 1e-6


@dataclass(frozen=True)
class Book:
    """One second of one symbol, prices in ticks; ``volume`` is what others traded at ``last``."""

    bid: int
    ask: int
    last: int
    bid_size: int
    ask_size: int
    volume: int


@dataclass(frozen=True)
class Path:
    """One session of one symbol, a value per second."""

    mid: Ticks
    noise: NDArray[np.uint32]
    spread_bps: float
    lot: int

    def __len__(self) -> int:
        return len(self.mid)

    def spread(self, mid: Ticks) -> Ticks:
        """Return the spread in ticks, one at least."""
        spread: Ticks = np.maximum(1, np.rint(mid * (self.spread_bps / 1e4))).astype(np.int32)
        return spread

    def last(self, start: int = 0, stop: int | None = None) -> Ticks:
        """Return the last traded prices, at the bid or at the ask."""
        mid = self.mid[start:stop]
        spread = self.spread(mid)
        side = (self.noise[start:stop] & 1).astype(np.int32)
        return (mid - spread // 2 + spread * side).astype(np.int32)

    def volume(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Return the shares traded in each second."""
        return ((self.noise[start:stop] >> 9) & 31).astype(np.int64) * self.lot

    def at(self, second: int) -> Book:
        """Return the book of one second."""
        mid, noise = int(self.mid[second]), int(self.noise[second])
        spread = max(1, int(np.rint(mid * (self.spread_bps / 1e4))))
        bid = mid - spread // 2
        return Book(
            bid=bid,
            ask=bid + spread,
            last=bid + spread * (noise & 1),
            bid_size=((noise >> 1 & 15) + 1) * self.lot,
            ask_size=((noise >> 5 & 15) + 1) * self.lot,
            volume=(noise >> 9 & 31) * self.lot,
        )


class Prices(Protocol):
    """Where the middle prices come from."""

    def mids(self, symbol: str, day: date, seconds: int) -> NDArray[np.float64]:
        """Return the middle price of each second of a session."""

    def recorded(self, symbol: str, day: date) -> tuple[float, float, float, float, int] | None:
        """Return open, high, low, close and volume of a whole session, where the source has them."""


class Walk:
    """A seeded random walk: daily closes first, then a bridge from open to close within each session."""

    def __init__(self, prices: Mapping[str, float], anchor: date, seed: int, daily: float = 0.012) -> None:
        self.prices = dict(prices)
        self.seed = seed
        self.daily = daily
        self.anchor = self.number(anchor)
        self.closes: dict[str, NDArray[np.float64]] = {}

    @staticmethod
    def number(day: date) -> int:
        """Return how many days the walk has taken by a date; weekends count too, so that any calendar fits."""
        return min(max((day - EPOCH).days, 1), SPAN + 5_000)

    def random(self, symbol: str, salt: int) -> np.random.Generator:
        """Return the generator of one symbol and day."""
        return np.random.default_rng([self.seed, zlib.crc32(symbol.encode()), salt])

    def logs(self, symbol: str) -> NDArray[np.float64]:
        """Return the logarithms of the daily closes; the price of the market file or list is that of the anchor."""
        if symbol not in self.closes:
            steps = self.random(symbol, 0).normal(0.0001, self.daily, SPAN + 5_001)
            walk = np.cumsum(steps)
            self.closes[symbol] = np.log(self.prices[symbol]) + walk - walk[self.anchor - 1]
        return self.closes[symbol]

    def mids(self, symbol: str, day: date, seconds: int) -> NDArray[np.float64]:
        number, closes = self.number(day), self.logs(symbol)
        random = self.random(symbol, number)
        first = closes[number - 1] + random.normal(0.0, self.daily / 6)
        if number == self.anchor:
            first = closes[number - 1]  # the first price is the one that was asked for
        walk = np.cumsum(random.normal(0.0, self.daily / np.sqrt(seconds), seconds))
        along = np.arange(1, seconds + 1) / seconds
        mids: NDArray[np.float64] = np.exp(first + walk - along * walk[-1] + along * (closes[number] - first))
        return mids

    def recorded(self, symbol: str, day: date) -> None:
        """Nothing is recorded of a walk: its days are made from its seconds."""


class Market:
    """Instruments with their prices over simulated time."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        prices: Prices,
        hours: Hours,
        seed: int,
        spread_bps: float,
        lot: int,
    ) -> None:
        self.instruments = dict(instruments)
        self.by_id = {instrument.con_id: instrument for instrument in instruments.values()}
        self.prices = prices
        self.hours = hours
        self.seed = seed
        self.spread_bps = spread_bps
        self.lot = lot
        self.kept: OrderedDict[tuple[str, date], Path] = OrderedDict()

    def find(self, symbol: str, con_id: int = 0) -> Instrument | None:
        """Return an instrument by contract id or symbol."""
        return self.by_id.get(con_id) if con_id else self.instruments.get(symbol)

    def path(self, symbol: str, day: date) -> Path:
        """Return one session's prices."""
        key = (symbol, day)
        path = self.kept.get(key)
        if path is None:
            mids = self.prices.mids(symbol, day, self.hours.seconds)
            noise = np.random.default_rng([self.seed, zlib.crc32(symbol.encode()), day.toordinal(), 1])
            path = Path(
                mid=np.maximum(2, np.rint(mids / self.instruments[symbol].tick)).astype(np.int32),
                noise=noise.integers(0, 2**32, len(mids), dtype=np.uint32),
                spread_bps=self.spread_bps,
                lot=self.lot,
            )
            self.kept[key] = path
            while len(self.kept) > KEPT:
                self.kept.popitem(last=False)
        else:
            self.kept.move_to_end(key)
        return path

    def second(self, at: float) -> tuple[date, int]:
        """Return the session and the second in it that hold at a time; after the close, the last one."""
        day = self.hours.last_day(at)
        return day, max(0, min(int(at - self.hours.open_of(day)), self.hours.seconds - 1))

    def book(self, symbol: str, at: float) -> Book:
        """Return the book of a symbol at a time."""
        day, second = self.second(at)
        return self.path(symbol, day).at(second)

    def mark(self, symbol: str, at: float) -> float:
        """Return the last price of a symbol at a time."""
        return self.instruments[symbol].price(self.book(symbol, at).last)

    def previous_close(self, symbol: str, at: float) -> float:
        """Return the last price of the session before the current one."""
        days = self.hours.before(self.hours.last_day(at), 2)
        path = self.path(symbol, days[0])
        return self.instruments[symbol].price(path.at(len(path) - 1).last)


def instruments_of(symbols: Mapping[str, float] | list[str], tick: float = 0.01) -> dict[str, Instrument]:
    """Return instruments with contract ids that follow from their names, each its own."""
    taken: set[int] = set()
    found = {}
    for symbol in sorted(symbols):
        con_id = 100_000 + zlib.crc32(symbol.encode()) % 900_000_000
        while con_id in taken:
            con_id += 1
        taken.add(con_id)
        found[symbol] = Instrument(con_id=con_id, symbol=symbol, tick=tick)
    return found
