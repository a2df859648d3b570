"""Joins by what was known: each row's ``known_at`` against the moment of the decision it was joined to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
import polars as pl

from workbench.backtest.lookahead.finding import Check, Finding, Report, day
from workbench.errors import DataRefused, InputRefused, did_you_mean
from workbench.sessions import Calendar

# So many facts are named; the others are counted.
NAMED = 10


def examine_join(
    joined: pd.DataFrame | pl.DataFrame,
    *,
    dataset: str = "joined rows",
    key: Sequence[str] = (),
    session: str = "session",
    known_at: str = "known_at",
    decided: Literal["close", "open"] = "close",
    decided_at: str | None = None,
    exchange: str = "XNYS",
) -> Report:
    """Return the rows that were joined to a decision before they were known.

    The decision is made at the ``decided`` of the row's session, or at the time in the column ``decided_at``. ``key``
    are the columns that name a row in the report.

    >>> print(examine_join(prices.join(cpi, how="cross"), dataset="macro", key=("series", "period")))
    """
    frame = joined.to_pandas() if isinstance(joined, pl.DataFrame) else joined
    if session not in frame.columns and frame.index.name == session:
        frame = frame.reset_index()
    when = decided_at or session
    for column in (when, known_at, *key):
        if column not in frame.columns:
            raise InputRefused(
                f"{dataset}: the join has no column '{column}'.{did_you_mean(column, map(str, frame.columns))} Keep it "
                "through the join: without it nobody can tell what was known"
            )
    known = _moments(frame[known_at], dataset, known_at)
    if decided_at is not None:
        decision = _moments(frame[decided_at], dataset, decided_at)
    else:
        decision = _at_session(frame[session], dataset, decided, Calendar(exchange))
    present = known.notna()  # a left join leaves rows for which nothing was found
    late = frame[[*key]].assign(known=known, decision=decision)[present & (known > decision)]
    facts = late.groupby([*key, "known"], sort=False, dropna=False)["decision"].agg(["min", "count"]).reset_index()
    findings = tuple(_finding(dataset, key, fact) for _, fact in facts.head(NAMED).iterrows())
    dates = pd.DatetimeIndex(decision.dropna().unique()).sort_values()
    notes = []
    if len(late):
        notes.append(f"{len(late):,} of {len(frame):,} rows were joined to a decision before they were known")
    if len(facts) > NAMED:
        notes.append(f"{len(facts) - NAMED:,} more facts were used too early; the first {NAMED} are named")
    span = f", {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}" if len(dates) else ""
    return Report(
        name=dataset,
        kind="join",
        params={},
        source="",
        data=f"{len(frame):,} joined rows, {int(present.sum()):,} with something found{span}",
        seed=0,
        checks=(Check("known_at", len(dates), 0),),
        dates=(),
        findings=findings,
        notes=tuple(notes),
    )


def _finding(dataset: str, key: Sequence[str], fact: pd.Series[Any]) -> Finding:
    name = " ".join([dataset, *(_text(fact[column]) for column in key)])
    known, decision, count = fact["known"], fact["min"], fact["count"]
    after = known - decision
    late = (
        f"{after.days} day{'s' if after.days > 1 else ''}"
        if after.days
        else f"{after.total_seconds() / 3600:.1f} hours"
    )
    more = f" (and {count - 1} more)" if count > 1 else ""
    text = (
        f"{name}: known from {_stamp(known)}, {late} after the decision at {_stamp(decision)} that it was joined to"
        f"{more}; join on known_at, or read as_of the decision"
    )
    return Finding("used before known", text, name, f"{decision:%Y-%m-%d}", "known_at", read=_stamp(known))


def _moments(values: pd.Series, dataset: str, column: str) -> pd.Series:
    times = pd.to_datetime(values, utc=False, errors="coerce") if values.dtype == object else values
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        raise DataRefused(f"{dataset}: '{column}' has no time zone; say which: .dt.tz_localize('UTC')")
    return times.dt.tz_convert("UTC").reset_index(drop=True).set_axis(values.index)


def _at_session(values: pd.Series, dataset: str, decided: str, calendar: Calendar) -> pd.Series:
    days = pd.to_datetime(values)
    if getattr(days.dt, "tz", None) is not None:
        raise DataRefused(
            f"{dataset}: sessions have a time zone; give dates, or name the time of decision: decided_at=…"
        )
    found = pd.DatetimeIndex(days.dropna().dt.normalize().unique()).sort_values()
    if not len(found):
        raise DataRefused(f"{dataset}: no row has a session; nothing can be checked")
    sessions = calendar.sessions(found[0].date(), found[-1].date())
    strange = found.difference(sessions)
    if len(strange):
        raise DataRefused(
            f"{dataset}: {strange[0].date()} is no session of {calendar.exchange}; name decided_at=… instead"
        )
    opens = pd.DatetimeIndex([calendar.opens(day.date()) for day in found]) if decided == "open" else None
    at = calendar.closing_times(found) if opens is None else opens
    return days.dt.normalize().map(dict(zip(found, at, strict=True))).astype("datetime64[ns, UTC]")


def _stamp(moment: pd.Timestamp) -> str:
    return f"{moment:%Y-%m-%dT%H:%MZ}"


def _text(value: Any) -> str:
    return day(value) if isinstance(value, pd.Timestamp) else str(value)
