"""The lake as a session sees it: what was known at a moment, up to the last session, or bar, that had ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import pandas as pd
import polars as pl

from workbench.data.datasets import dataset as contract_of
from workbench.data.evidence import BAR_LENGTH
from workbench.data.lake import Lake
from workbench.errors import InputRefused, NoData
from workbench.live.session import Data, Seat
from workbench.params import DataParams
from workbench.sessions import Calendar

DAILY = "prices_daily"


def symbols_of(seats: Sequence[Seat]) -> tuple[str, ...]:
    """Return every symbol that a seat may hold."""
    return tuple(dict.fromkeys(symbol for seat in seats for symbol in seat.strategy.symbols))


def history(lake: Lake, seats: Sequence[Seat], asked: DataParams) -> Data:
    """Return all bars that the settings name, as they are known as of then: what sessions of the past are traded by."""
    if (dataset := dataset_of(seats)) != DAILY:
        raise InputRefused(
            f"{', '.join(seat.name for seat in seats)}: decided by {dataset}, and sessions of the past are rehearsed "
            "on daily bars only; trade it on a paper account of the broker: live.mode=paper"
        )
    bars = lake.bars(symbols_of(seats), start=asked.start, end=asked.end, as_of=asked.as_of)
    return Data(bars, lake.versions(), bad_rows(lake, bars.index[-1].date(), len(bars.symbols)))


def known(lake: Lake, seats: Sequence[Seat], calendar: Calendar, moment: datetime) -> Data:
    """Return the bars that were known at a moment, up to the last one that had ended."""
    dataset = dataset_of(seats)
    last = newest(calendar, moment, dataset)
    bars = lake.bars(symbols_of(seats), end=last, as_of=moment, dataset=dataset)
    bad = bad_rows(lake, last, len(bars.symbols), dataset)
    return Data(bars, lake.versions(), bad, splits(lake, bars.symbols, moment))


def splits(lake: Lake, symbols: Sequence[str], moment: datetime) -> dict[str, date]:
    """Return the day of each symbol's last split that was known, and effective, on the day of a moment."""
    today = pd.Timestamp(moment).tz_convert("America/New_York").date()
    try:
        rows = lake.read("actions", end=today, as_of=moment)
    except NoData:  # none so far
        return {}
    found = rows.filter((pl.col("kind") == "split") & pl.col("symbol").is_in(list(symbols)))
    return dict(found.group_by("symbol").agg(pl.col("session").max()).iter_rows())


def dataset_of(seats: Sequence[Seat]) -> str:
    """Return the prices that all seats decide by: their strategies' ``dataset``, daily ones where none is named."""
    named = {seat.name: str(getattr(seat.strategy, "dataset", DAILY)) for seat in seats}
    if len(set(named.values())) > 1:
        told = ", ".join(f"{name} by {dataset}" for name, dataset in sorted(named.items()))
        raise InputRefused(
            f"{told}: one account decides by one kind of bars; trade them on accounts of their own (live.account)"
        )
    return next(iter(named.values()), DAILY)


def newest(calendar: Calendar, moment: datetime, dataset: str = DAILY) -> date | datetime:
    """Return the last bar that had ended at a moment: a session's date, or the start of a bar of some minutes."""
    day = newest_closed(calendar, moment)
    if dataset not in BAR_LENGTH:
        return day
    length, today = BAR_LENGTH[dataset], pd.Timestamp(moment).tz_convert("America/New_York").date()
    for session in (today, day) if calendar.is_session(today) else (day,):
        starts = calendar.minutes(session, int(length.total_seconds() // 60))
        ended = starts[starts + length <= pd.Timestamp(moment)]
        if len(ended):
            break
    found: datetime = ended[-1].to_pydatetime()
    return found


def newest_closed(calendar: Calendar, moment: datetime) -> date:
    """Return the last session that had closed at a moment."""
    day = pd.Timestamp(moment).tz_convert("UTC").date()
    last = calendar.last(2, day)
    return next(session.date() for session in reversed(last) if calendar.closes(session) <= moment)


def bad_rows(lake: Lake, last: date | datetime, symbols: int, dataset: str = DAILY) -> float:
    """Return which share of a bar's rows is in quarantine."""
    kept_out = lake.quarantine(dataset).filter(pl.col(contract_of(dataset).time) == last)["symbol"].n_unique()
    return kept_out / symbols if symbols else 0.0
