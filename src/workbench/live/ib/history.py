"""Past bars from the broker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from ib_async import BarData, Contract

from workbench.errors import BrokerError, DataRefused, Disconnected, NoData, Unanswered
from workbench.live.ib.connection import Connection
from workbench.live.ib.translation import amount, price

NEW_YORK = ZoneInfo("America/New_York")


@dataclass(frozen=True)
class Candle:
    """One bar; a daily one is timed at midnight in New York of its session."""

    at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float


async def read_history(
    connection: Connection, contract: Contract, duration: str, size: str, seconds: float
) -> tuple[Candle, ...]:
    """Return bars, each of them whole; one that is not stops all."""
    ib = connection.ib
    what = f"history of {contract.symbol} ({duration} of {size})"
    try:
        bars = await connection.ask(
            what,
            lambda: ib.reqHistoricalDataAsync(contract, "", duration, size, "TRADES", True, 2, timeout=0),
            seconds,
        )
    except (Disconnected, Unanswered):
        raise
    except BrokerError as error:
        if "pacing" in str(error).lower():
            raise Unanswered(f"{error}; the broker allows 60 requests in ten minutes: wait, then ask again") from error
        raise NoData(str(error)) from error
    if not bars:
        raise NoData(f"{what}: the broker has none")
    return tuple(candle_of(bar, what) for bar in bars)


def candle_of(bar: BarData, what: str) -> Candle:
    """Return a bar whose prices can be prices, and whose high and low hold the others."""
    at = bar.date
    start = at.astimezone(UTC) if isinstance(at, datetime) else datetime.combine(at, time(), NEW_YORK).astimezone(UTC)
    volume = amount(bar.volume)
    sound = all(price(one) is not None for one in (bar.open, bar.high, bar.low, bar.close))
    if not (sound and bar.low <= min(bar.open, bar.close) and bar.high >= max(bar.open, bar.close)) or volume is None:
        raise DataRefused(
            f"{what}: bar {at} has open {bar.open:g}, high {bar.high:g}, low {bar.low:g}, close {bar.close:g}; "
            f"it cannot be, ask again"
        )
    return Candle(start, bar.open, bar.high, bar.low, bar.close, volume)
