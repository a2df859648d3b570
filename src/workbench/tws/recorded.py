"""Prices from a file of recorded bars, daily or finer, as CSV or Parquet."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.tws.hours import NEW_YORK, Hours, zone
from workbench.tws.refused import SimulatorRefused

TIMES = ("date", "session", "ts", "time", "timestamp", "datetime")
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Series:
    """The bars of one symbol: ``at`` in seconds since 1970 (the date's midnight in UTC for daily bars)."""

    at: NDArray[np.int64]
    prices: NDArray[np.float64]  # shape (bars, 4): open, high, low, close
    volume: NDArray[np.int64]


class Recorded:
    """Recorded bars as a path: each runs from its open by its extremes to its close within its own time."""

    def __init__(self, series: Mapping[str, Series], seed: int) -> None:
        self.series = dict(series)
        self.seed = seed
        self.daily = all((one.at % 86_400 == 0).all() for one in series.values())
        self.days = frozenset(self.date_of(at) for one in series.values() for at in np.unique(one.at).tolist())

    def date_of(self, at: int) -> date:
        """Return the session of a bar."""
        return datetime.fromtimestamp(at, UTC if self.daily else zone(NEW_YORK)).date()

    def mids(self, symbol: str, day: date, seconds: int) -> NDArray[np.float64]:
        """Return the middle price of each second; where nothing is recorded, the last known price stands still."""
        one = self.series[symbol]
        if self.daily:
            row, known = self.row_of(one, day)
            start = midnight(day)
            if known:
                return self.run(one.prices[row], seconds, symbol, start)
            return np.full(seconds, one.prices[max(row - 1, 0), 3])
        opens = Hours().open_of(day)
        first, last = np.searchsorted(one.at, [opens, opens + seconds])
        before = one.prices[max(first - 1, 0), 3] if first else one.prices[0, 0]
        path: NDArray[np.float64] = np.full(seconds, before)
        inside = one.at[first:last] - opens
        for number, begin in enumerate(inside.tolist()):
            end = int(inside[number + 1]) if number + 1 < len(inside) else seconds
            row = first + number
            path[begin:end] = self.run(one.prices[row], end - begin, symbol, int(one.at[row]))
        return path

    @staticmethod
    def row_of(one: Series, day: date) -> tuple[int, bool]:
        """Return where a day's bar stands, or would stand."""
        row = int(np.searchsorted(one.at, midnight(day)))
        return row, row < len(one.at) and int(one.at[row]) == midnight(day)

    def recorded(self, symbol: str, day: date) -> tuple[float, float, float, float, int] | None:
        """Return a daily bar as it stands in the file."""
        one = self.series[symbol]
        row, known = self.row_of(one, day)
        if not self.daily or not known:
            return None
        opened, high, low, close = one.prices[row].tolist()
        return opened, high, low, close, int(one.volume[row])

    def run(self, prices: NDArray[np.float64], seconds: int, symbol: str, salt: int) -> NDArray[np.float64]:
        """Return a path that touches open, both extremes and close; the seed says which extreme comes first."""
        opened, high, low, close = prices.tolist()
        up_first = zlib.crc32(f"{self.seed} {symbol} {salt}".encode()) & 1
        corners = [opened, high, low, close] if up_first else [opened, low, high, close]
        knots = np.rint(np.array([0, 1, 2, 3]) * (seconds - 1) / 3)
        path: NDArray[np.float64] = np.interp(np.arange(seconds), knots, corners)
        return path


def midnight(day: date) -> int:
    """Return when a date begins in UTC: the time of its daily bar."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def read_bars(file: Path, seed: int) -> Recorded:
    """Read bars with the columns symbol, a time, open, high, low and close."""
    columns = columns_of(file)
    known = {name.lower(): name for name in columns}
    when = next((known[name] for name in TIMES if name in known), None)
    missing = [name for name in ("symbol", *PRICES) if name not in known]
    if when is None or missing:
        need = ", ".join(missing or ["a time: " + " or ".join(TIMES)])
        raise SimulatorRefused(f"{file}: no column {need}; a market file has symbol, date (or ts), {', '.join(PRICES)}")
    symbols = np.asarray(columns[known["symbol"]], dtype=str)
    times = seconds_of(columns[when], file, when)
    try:
        prices = np.column_stack([np.asarray(columns[known[name]], dtype=float) for name in PRICES])
        volume = np.asarray(columns[known["volume"]], dtype=float) if "volume" in known else np.zeros(len(prices))
    except ValueError as error:
        raise SimulatorRefused(f"{file}: a price or volume is not a number: {error}") from None
    good = np.isfinite(prices).all(axis=1) & (prices > 0).all(axis=1)
    if not good.any():
        raise SimulatorRefused(f"{file}: no bar with four positive prices among {len(prices)} rows")
    symbols, times, prices, volume = symbols[good], times[good], prices[good], np.nan_to_num(volume[good])
    series = {}
    for symbol in np.unique(symbols).tolist():
        mine = np.flatnonzero(symbols == symbol)
        mine = mine[np.argsort(times[mine], kind="stable")]
        series[symbol] = Series(at=times[mine], prices=prices[mine], volume=volume[mine].astype(np.int64))
    return Recorded(series, seed)


def columns_of(file: Path) -> dict[str, list[object]]:
    """Return the columns of a CSV or Parquet file."""
    if not file.is_file():
        raise SimulatorRefused(f"{file}: no such market file; give a CSV or Parquet file of bars")
    if file.suffix == ".parquet":
        import pyarrow.parquet as parquet  # only where such a file is used: the simulator itself needs numpy alone

        table = parquet.ParquetFile(file).read()
        return {name: table.column(name).to_pylist() for name in table.column_names}
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.reader(lines))
    if len(rows) < 2:
        raise SimulatorRefused(f"{file}: {len(rows)} lines; a market file has a header and bars")
    return {name: [row[at] for row in rows[1:]] for at, name in enumerate(rows[0])}


def seconds_of(values: Iterable[object], file: Path, column: str) -> NDArray[np.int64]:
    """Return times as seconds since 1970; those without a zone are UTC."""
    found = []
    for value in values:
        try:
            when = value if isinstance(value, date) else datetime.fromisoformat(str(value))
        except ValueError:
            raise SimulatorRefused(f"{file}: {column} {value!r} is not a date or time in ISO form") from None
        if not isinstance(when, datetime):
            when = datetime(when.year, when.month, when.day, tzinfo=UTC)
        found.append(int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()))
    return np.asarray(found, dtype=np.int64)
