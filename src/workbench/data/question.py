"""What a reader asks of the lake, checked before anything is read: which names, from when to when, as of when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from datetime import time as clock

import polars as pl

from workbench.data.datasets import Dataset, dataset
from workbench.data.table import Moment
from workbench.errors import InputRefused, NoData, told

When = date | datetime | str | None


def names(contract: Dataset, symbols: Iterable[str] | None) -> list[str] | None:
    """Return the symbols, or series, asked for as a list; None: all of them."""
    if symbols is None:
        return None
    what = f"{contract.name}: symbols"
    if isinstance(symbols, str):
        raise InputRefused(f"{what} '{symbols}' is one text; write a list: ['{symbols}']")
    if not isinstance(symbols, Iterable):
        raise InputRefused(f"{what} {told(symbols)} is no list; write a list of texts, such as ['TEC01']")
    listed = list(symbols)
    for symbol in listed:
        if not isinstance(symbol, str):
            raise InputRefused(f"{what} holds {told(symbol)}; write a list of texts, such as ['TEC01']")
    if not listed:
        raise NoData(f"{contract.name}: the universe is empty; name at least one {contract.symbol}")
    return listed


def span(contract: Dataset, start: When, end: When) -> tuple[Moment | None, Moment | None]:
    """Return start and end in the type of the dataset's event time; an end that is a day includes the whole day."""
    first, last = _bound(contract, start, "start"), _bound(contract, end, "end")
    if first is not None and last is not None and first > last:
        raise InputRefused(f"{contract.name}: start {start} is after end {end}; swap them")
    return first, last


def as_of_moment(contract: Dataset, as_of: datetime | str | None) -> datetime | None:
    """Return ``as_of`` in UTC."""
    if as_of is None:
        return None
    moment = _parsed(contract.name, as_of, "as_of", "a moment, such as 2020-06-30T22:00:00Z")
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InputRefused(
            f"{contract.name}: as_of {as_of} has no time zone; write a moment, such as 2020-06-30T22:00:00Z"
        )
    return moment.astimezone(UTC)


def pinned(versions: Mapping[str, int] | None) -> dict[str, int]:
    """Return the versions asked for by dataset; a dataset that is not named is read as it is now."""
    if versions is None:
        return {}
    if not isinstance(versions, Mapping):
        raise InputRefused(f"bars: versions {told(versions)} is no mapping; write {{'prices_daily': 3}}")
    return {dataset(name).name: version for name, version in versions.items()}


def _bound(contract: Dataset, when: When, side: str) -> Moment | None:
    if when is None:
        return None
    moment = _parsed(contract.name, when, side, "YYYY-MM-DD")
    daily = contract.columns[contract.time] == pl.Date
    if daily:
        return moment.date() if isinstance(moment, datetime) else moment
    if not isinstance(moment, datetime):
        return datetime.combine(moment, clock.min if side == "start" else clock.max, UTC)
    if moment.tzinfo is None:
        raise InputRefused(
            f"{contract.name}: {side} {when} has no time zone; write 2020-06-30T13:30:00Z, or only the day"
        )
    return moment.astimezone(UTC)


def _parsed(name: str, when: date | datetime | str, what: str, accepted: str) -> Moment:
    if isinstance(when, date) and when == when:  # pandas' NaT counts as a date and equals nothing
        return when
    if not isinstance(when, str):
        raise InputRefused(f"{name}: {what} {told(when)} is not a date; write {accepted}")
    try:
        return date.fromisoformat(when) if len(when) == 10 else datetime.fromisoformat(when)
    except ValueError as error:
        raise InputRefused(f"{name}: {what} '{when}' is not a date; write {accepted}") from error
