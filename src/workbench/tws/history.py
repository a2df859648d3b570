"""Bars of any size, made from the same second-by-second prices that orders are matched against."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from workbench.tws.hours import zone
from workbench.tws.market import Market, Path
from workbench.tws.replies import Bar
from workbench.tws.requests import Unreadable

SIZES = {
    "1 secs": 1, "5 secs": 5, "10 secs": 10, "15 secs": 15, "30 secs": 30, "1 min": 60, "2 mins": 120, "3 mins": 180,
    "5 mins": 300, "10 mins": 600, "15 mins": 900, "20 mins": 1200, "30 mins": 1800, "1 hour": 3600, "2 hours": 7200,
    "3 hours": 10800, "4 hours": 14400, "8 hours": 28800, "1 day": 86400, "1 week": 604800, "1W": 604800,
    "1 month": 2592000, "1M": 2592000,
}  # fmt: skip
DAILY = 86_400
DURATION = re.compile(r"(\d+) ([SDWMY])")
MOST_BARS = 20_000
TRADED = ("TRADES", "ADJUSTED_LAST")
SHOWN = (*TRADED, "MIDPOINT", "BID", "ASK", "BID_ASK")


@dataclass(frozen=True)
class Wanted:
    """A request for bars, read and checked."""

    symbol: str
    size: int
    show: str
    style: int

    @property
    def daily(self) -> bool:
        """Whether a bar is a day or longer, and so is dated and not timed."""
        return self.size >= DAILY


def refuse(text: str) -> Unreadable:
    """Return the gateway's error for a request for history."""
    return Unreadable(321, f"Error validating request.-'bT' : cause - {text}")


class History:
    """Bars of one market."""

    def __init__(self, market: Market) -> None:
        self.market = market

    def wanted(self, symbol: str, size: str, show: str, style: str) -> Wanted:
        """Check a request."""
        if size not in SIZES:
            raise refuse(f"Historical data bar size setting is invalid. Legal ones are: {', '.join(SIZES)}")
        if show not in SHOWN:
            raise refuse(f"Historical data query type is invalid: {show}")
        return Wanted(symbol, SIZES[size], show, int(style or 1))

    def span(self, duration: str, end: float) -> list[date]:
        """Return the sessions of a duration, or refuse its form."""
        match = DURATION.fullmatch(duration)
        if match is None or not int(match[1]):
            raise refuse(f"Historical data request for duration {duration!r}: give a number and S, D, W, M or Y")
        count, unit = int(match[1]), match[2]
        per = {"S": 0, "D": 1, "W": 5, "M": 21, "Y": 252}[unit]
        sessions = count * per or count // max(self.market.hours.seconds, 1) + 2
        return self.market.hours.before(self.market.hours.last_day(end), min(sessions, 252 * 30))

    def bars(self, wanted: Wanted, duration: str, end: float, now: float) -> list[Bar]:
        """Return the bars up to ``end``, and never later than ``now``."""
        end = min(end, now)
        days = self.span(duration, end)
        found: list[Bar] = []
        for day in days:
            found += self.of_day(wanted, day, end)
            if len(found) > MOST_BARS:
                raise Unreadable(162, "Historical Market Data Service error message:Time length exceed max.")
        if duration.endswith("S"):
            found = [bar for bar in found if bar.at > end - int(duration.split()[0])]
        return merge(found, wanted.size) if wanted.size > DAILY else found

    def newest(self, wanted: Wanted, now: float) -> Bar | None:
        """Return the bar that is growing."""
        bars = self.of_day(wanted, self.market.hours.last_day(now), now, only_last=True)
        return bars[-1] if bars else None

    def of_day(self, wanted: Wanted, day: date, end: float, only_last: bool = False) -> list[Bar]:
        """Return the bars of one session up to a time."""
        opened = self.market.hours.open_of(day)
        seconds = min(int(end) - opened + 1, self.market.hours.seconds)
        if seconds <= 0:
            return []
        known = self.market.prices.recorded(wanted.symbol, day)
        if known is not None and wanted.daily and wanted.show in TRADED and seconds == self.market.hours.seconds:
            first, high, low, close, traded = known
            return [Bar(opened, first, high, low, close, traded, round((high + low + close) / 3, 4), 0)]
        path = self.market.path(wanted.symbol, day)
        size = min(wanted.size, self.market.hours.seconds)
        begin = (seconds - 1) // size * size if only_last else 0
        prices = shown(path, wanted.show, begin, seconds) * self.market.instruments[wanted.symbol].tick
        volume = path.volume(begin, seconds)
        starts = np.arange(0, len(prices), size)
        opens, closes = prices[starts], prices[np.minimum(starts + size, len(prices)) - 1]
        highs, lows = np.maximum.reduceat(prices, starts), np.minimum.reduceat(prices, starts)
        shares = np.add.reduceat(volume, starts)
        worth = np.add.reduceat(prices * volume, starts)
        trades = np.add.reduceat(volume > 0, starts)
        return [
            Bar(
                at=opened + begin + int(start),
                open=round(float(opens[row]), 4),
                high=round(float(highs[row]), 4),
                low=round(float(lows[row]), 4),
                close=round(float(closes[row]), 4),
                volume=int(shares[row]),
                average=round(float(worth[row] / shares[row]) if shares[row] else float(closes[row]), 4),
                count=int(trades[row]),
            )
            for row, start in enumerate(starts)
        ]


def shown(path: Path, show: str, start: int, stop: int) -> NDArray[np.float64]:
    """Return the prices of the kind asked for, in ticks."""
    mid = path.mid[start:stop]
    if show in TRADED:
        return path.last(start, stop).astype(np.float64)
    spread = path.spread(mid)
    bid = mid - spread // 2
    if show == "BID":
        return bid.astype(np.float64)
    return (bid + spread).astype(np.float64) if show == "ASK" else bid + spread / 2


def merge(days: list[Bar], size: int) -> list[Bar]:
    """Return weeks or months from days."""
    groups: dict[tuple[int, int], list[Bar]] = {}
    for bar in days:
        when = datetime.fromtimestamp(bar.at, zone("America/New_York")).date()
        key = when.isocalendar()[:2] if size == SIZES["1 week"] else (when.year, when.month)
        groups.setdefault(key, []).append(bar)
    return [
        Bar(
            at=group[0].at,
            open=group[0].open,
            high=max(bar.high for bar in group),
            low=min(bar.low for bar in group),
            close=group[-1].close,
            volume=sum(bar.volume for bar in group),
            average=round(sum(bar.average * bar.volume for bar in group) / max(sum(bar.volume for bar in group), 1), 4),
            count=sum(bar.count for bar in group),
        )
        for group in groups.values()
    ]


def read_end(text: str, now: float) -> float:
    """Return the end that a request names; empty is now."""
    if not text.strip():
        return now
    words = text.replace("-", " ").split()
    try:
        when = datetime.strptime(" ".join(words[:2]), "%Y%m%d %H:%M:%S" if len(words) > 1 else "%Y%m%d")
        name = "UTC" if "-" in text else words[2] if len(words) > 2 else "America/New_York"
        return when.replace(tzinfo=zone({"US/Eastern": "America/New_York"}.get(name, name))).timestamp()
    except (ValueError, KeyError, OSError) as error:
        raise refuse(f"end date/time {text!r}: {error}; use 20260105 16:00:00 America/New_York") from None
