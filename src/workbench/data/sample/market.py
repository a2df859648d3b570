"""The sample market: fictional companies with a known truth, generated from a seed, in the lake's own shapes.

>>> market = generate(SampleParams(years=2))
>>> market.prices_daily.head(1)      # symbol, session, open, high, low, close, volume, known_at
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import polars as pl

from workbench.data.datasets import UTC_TIME, dataset
from workbench.data.sample.economy import macro_rows
from workbench.data.sample.events import event_rows
from workbench.data.sample.intraday import MINUTES, session_bars
from workbench.data.sample.tape import NOTICE, Tape, tape
from workbench.data.sample.truth import BENCHMARK_SECTOR, SECTORS
from workbench.params import SampleParams
from workbench.sessions import Calendar

_FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class SampleMarket:
    """Every dataset of one sample market, each row with the moment it became known."""

    symbols: pl.DataFrame
    prices_daily: pl.DataFrame
    prices_5min: pl.DataFrame
    actions: pl.DataFrame
    macro: pl.DataFrame
    events: pl.DataFrame


def generate(params: SampleParams) -> SampleMarket:
    """Return the whole sample market; the same parameters always give the same rows."""
    return SampleMarket(**{name: build(params) for name, build in BUILDERS.items()})


@lru_cache(maxsize=2)
def _tape(params: SampleParams) -> Tape:
    return tape(params, Calendar())


@lru_cache(maxsize=2)
def symbols(params: SampleParams) -> pl.DataFrame:
    """Return who is listed; a delisting is a second row, known 20 sessions before the last one."""
    printed, calendar = _tape(params), Calendar()
    who, days = printed.companies, printed.sessions.date
    rows = [(printed.symbols[-1], "Sample Market Fund", BENCHMARK_SECTOR, "benchmark", days[0], None, 0)]
    for column, (symbol, name) in enumerate(zip(who.symbols, who.names, strict=True)):
        sector = tuple(SECTORS.values())[who.sector[column]]
        first, last = int(who.first[column]), int(who.last[column])
        rows.append((symbol, name, sector, "stock", days[first], None, first))
        if last < len(days) - 1:
            rows.append((symbol, name, sector, "stock", days[first], days[last], last - NOTICE))
    known = [
        calendar.opens(days[row[-1]]) if row[5] is None else printed.closes[row[-1]].to_pydatetime() for row in rows
    ]
    values = [(*row[:-1], at) for row, at in zip(rows, known, strict=True)]
    return pl.DataFrame(values, schema=_schema("symbols"), orient="row").sort("symbol", "known_at")


@lru_cache(maxsize=2)
def prices_daily(params: SampleParams) -> pl.DataFrame:
    """Return daily bars as traded, each known at its session's close."""
    printed = _tape(params)
    order = np.argsort(printed.symbols)
    columns, rows = np.nonzero(~np.isnan(printed.close.T[order]))
    columns = order[columns]
    frame = {
        "symbol": pl.Series(printed.symbols).gather(columns),
        "session": pl.Series(printed.sessions.to_numpy()).cast(pl.Date).gather(rows),
        **{field: getattr(printed, field)[rows, columns] for field in _FIELDS},
        "known_at": _times(printed.closes).gather(rows),
    }
    return pl.DataFrame(frame, schema=_schema("prices_daily"))


@lru_cache(maxsize=2)
def prices_5min(params: SampleParams) -> pl.DataFrame:
    """Return the last sessions' 5-minute bars as traded, each known when it ends."""
    printed, calendar = _tape(params), Calendar()
    fields = np.stack([getattr(printed, field) for field in _FIELDS])
    beta = np.append(printed.companies.beta, 1.0)
    parts = []
    for row in range(len(printed.sessions) - params.intraday_sessions, len(printed.sessions)):
        day = printed.sessions[row]
        traded = np.flatnonzero(~np.isnan(printed.close[row]))
        starts = calendar.minutes(day, MINUTES)
        bars = session_bars(params.seed, day, len(starts), fields[:, row, traded], beta[traded])
        parts.append(
            pl.DataFrame(
                {
                    "symbol": pl.Series(printed.symbols).gather(np.tile(traded, len(starts))),
                    "ts": _times(starts).gather(np.repeat(np.arange(len(starts)), len(traded))),
                    **dict(zip(_FIELDS, bars.reshape(len(_FIELDS), -1), strict=True)),
                }
            )
        )
    known = (pl.col("ts") + pl.duration(minutes=MINUTES)).alias("known_at")
    if not parts:
        return pl.DataFrame(schema=_schema("prices_5min"))
    return pl.concat(parts).with_columns(known).sort("symbol", "ts")


@lru_cache(maxsize=2)
def actions(params: SampleParams) -> pl.DataFrame:
    """Return splits and dividends by ex-date, each known from its announcement 20 sessions earlier."""
    printed = _tape(params)
    days, closes = printed.sessions.date, printed.closes.to_pydatetime()
    rows = [
        (printed.symbols[action.column], days[action.ex], action.kind, action.value, closes[action.announced])
        for action in printed.actions
    ]
    return pl.DataFrame(rows, schema=_schema("actions"), orient="row").sort("symbol", "session")


@lru_cache(maxsize=2)
def macro(params: SampleParams) -> pl.DataFrame:
    """Return the macro series as released and revised."""
    return macro_rows(params.seed, _tape(params), Calendar())


@lru_cache(maxsize=2)
def events(params: SampleParams) -> pl.DataFrame:
    """Return each company's earnings, known when they are published."""
    return event_rows(params, _tape(params))


BUILDERS = {
    "symbols": symbols,
    "prices_daily": prices_daily,
    "prices_5min": prices_5min,
    "actions": actions,
    "macro": macro,
    "events": events,
}


def _times(index: pd.DatetimeIndex) -> pl.Series:
    return pl.Series(index.tz_convert(None).to_numpy()).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _schema(name: str) -> dict[str, pl.DataType | type[pl.DataType]]:
    return {**dataset(name).columns, "known_at": UTC_TIME}
