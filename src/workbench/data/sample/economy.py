"""The macro series: policy rate, 10-year yield, CPI, unemployment and a volatility index, as released and revised.

The months before the first session are simulated too, so that a year of history is known when the market starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl

from workbench.data.datasets import dataset
from workbench.data.sample.process import CRISIS
from workbench.data.sample.streams import Array, steady, stream
from workbench.data.sample.tape import Tape
from workbench.data.sample.truth import SESSIONS_PER_YEAR
from workbench.sessions import Calendar

SERIES = ("POLICY_RATE", "YIELD_10Y", "CPI", "UNEMPLOYMENT", "VOLINDEX")
_NEW_YORK = ZoneInfo("America/New_York")
_UTC = ZoneInfo("UTC")
_MORNING, _AFTERNOON = time(8, 30), time(14, 0)
_MONTHS_BEFORE = 12
_MEETS_IN = (1, 3, 5, 6, 7, 9, 11, 12)
_INFLATION_AIM, _JOBLESS_AIM, _NEUTRAL_RATE = 2.2, 4.8, 2.8  # percent

Row = tuple[str, date, float, datetime]


@dataclass(frozen=True)
class _Month:
    first: date
    price_level: float
    jobless: float
    rate: float
    meeting: date | None


def macro_rows(seed: int, tape: Tape, calendar: Calendar) -> pl.DataFrame:
    """Return every release and revision that was known when the market's last session closed."""
    start = (tape.sessions[0] - pd.DateOffset(months=_MONTHS_BEFORE)).date().replace(day=1)
    days = calendar.sessions(start, tape.sessions[-1].date())
    draw = stream(seed, "economy")
    months = _months(draw, days, tape)
    rows = [*_decisions(months), *_prices(draw, months, days), *_jobs(draw, months, days)]
    rows += _yields(draw, months, tape)
    rows += _volatility_index(seed, tape)
    end = tape.closes[-1].to_pydatetime()
    known = [row for row in rows if row[3] <= end]
    schema = {**dataset("macro").columns, "known_at": pl.Datetime("us", "UTC")}
    return pl.DataFrame(known, schema=schema, orient="row").sort("series", "period", "known_at")


def _months(draw: np.random.Generator, days: pd.DatetimeIndex, tape: Tape) -> list[_Month]:
    """Simulate the economy: a crisis costs jobs and holds prices down, and the policy rate answers both."""
    troubled = pd.Series(tape.process.regime == CRISIS, index=tape.sessions).astype(float).reindex(days).fillna(0.0)
    inflation, jobless, rate, level, months = 2.2, 5.0, 2.5, 100.0, []
    shares = troubled.groupby(days.to_numpy().astype("datetime64[M]")).mean()
    for start, share in zip(pd.DatetimeIndex(shares.index), shares.to_numpy(), strict=True):
        luck = draw.standard_normal(3)
        inflation += 0.05 * (_INFLATION_AIM - inflation) - 0.15 * share + 0.22 * luck[0]
        jobless = float(np.clip(jobless + 0.03 * (_JOBLESS_AIM - jobless) + 0.30 * share + 0.09 * luck[1], 2.5, 15.0))
        level *= 1.0 + inflation / 1200.0 + 0.0006 * luck[2]
        first = start.date()
        meeting = _third_wednesday(first, days) if first.month in _MEETS_IN else None
        if meeting is not None:
            aim = _NEUTRAL_RATE + 1.5 * (inflation - _INFLATION_AIM) - 1.2 * (jobless - _JOBLESS_AIM)
            rate += float(np.clip(round((aim - rate) / 2.0 / 0.25) * 0.25, -0.75 if share > 0.5 else -0.5, 0.5))
            rate = max(rate, 0.0)
        months.append(_Month(first, level, jobless, rate, meeting))
    return months


def _decisions(months: list[_Month]) -> list[Row]:
    return [
        ("POLICY_RATE", month.meeting, month.rate, _in_utc(month.meeting, _AFTERNOON))
        for month in months
        if month.meeting is not None
    ]


def _prices(draw: np.random.Generator, months: list[_Month], days: pd.DatetimeIndex) -> list[Row]:
    """Release each month's index in the middle of the next, revise it a month later, and once more a year later."""
    rows: list[Row] = []
    for place, month in enumerate(months):
        first, second = month.price_level * (1.0 + draw.normal(0.0, (0.0006, 0.0002)))
        values = (first, second, month.price_level)
        rows += _releases("CPI", months, days, place, zip((1, 2, 13), values, strict=True), digits=3, day=12)
    return rows


def _jobs(draw: np.random.Generator, months: list[_Month], days: pd.DatetimeIndex) -> list[Row]:
    """Release each month's rate early in the next month, and revise it a month later where it was wrong."""
    rows: list[Row] = []
    for place, month in enumerate(months):
        values = (month.jobless + draw.normal(0.0, 0.06), month.jobless)
        rows += _releases("UNEMPLOYMENT", months, days, place, zip((1, 2), values, strict=True), digits=1, day=4)
    return rows


def _releases(
    series: str,
    months: list[_Month],
    days: pd.DatetimeIndex,
    place: int,
    values: zip[tuple[int, float]],
    digits: int,
    day: int,
) -> list[Row]:
    rows: list[Row] = []
    for later, value in values:
        if place + later >= len(months):
            break
        rounded = round(float(value), digits)
        if rows and rows[-1][2] == rounded:
            continue
        release = _on_or_after(months[place + later].first.replace(day=day), days)
        if release is not None:
            rows.append((series, months[place].first, rounded, _in_utc(release, _MORNING)))
    return rows


def _yields(draw: np.random.Generator, months: list[_Month], tape: Tape) -> list[Row]:
    """Let the 10-year yield follow the policy rate half-way, with a wandering premium that shrinks in a crisis."""
    decided = pd.Series({pd.Timestamp(m.meeting): m.rate for m in months if m.meeting is not None})
    rate = decided.reindex(decided.index.union(tape.sessions)).ffill().reindex(tape.sessions).to_numpy()
    premium = 1.0 + 0.6 * steady(draw.standard_normal((len(rate), 1)), half_life=150)[:, 0]
    fear = pd.Series(0.5 * (tape.process.regime == CRISIS)).ewm(halflife=10).mean().to_numpy()
    values = (0.5 * rate + 0.5 * _NEUTRAL_RATE + premium - fear).clip(0.2).round(3)
    return _daily("YIELD_10Y", tape, values)


def _volatility_index(seed: int, tape: Tape) -> list[Row]:
    """Quote what the market's volatility promises for the next month, with a premium, and jumpy when prices fall."""
    moves = tape.process
    now = moves.market_volatility * np.sqrt(SESSIONS_PER_YEAR)
    nerves = 0.6 * stream(seed, "volatility_index").standard_normal(len(now))
    nerves -= 0.8 * moves.market / moves.market_volatility
    noise = 0.10 * steady(nerves[:, None], half_life=4)[:, 0]
    values = (100.0 * (0.75 * now + 0.25 * 0.155) * 1.12 * np.exp(noise)).round(2)
    return _daily("VOLINDEX", tape, values)


def _daily(series: str, tape: Tape, values: Array) -> list[Row]:
    """Publish at the close, the moment the session's bars are known too."""
    known = tape.closes.to_pydatetime()
    days = tape.sessions.date
    return [(series, day, float(value), at) for day, value, at in zip(days, values, known, strict=True)]


def _third_wednesday(first: date, days: pd.DatetimeIndex) -> date | None:
    return _on_or_after(first.replace(day=15 + (2 - first.replace(day=15).weekday()) % 7), days)


def _on_or_after(day: date, days: pd.DatetimeIndex) -> date | None:
    place = int(days.searchsorted(pd.Timestamp(day)))
    return days[place].date() if place < len(days) else None


def _in_utc(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, _NEW_YORK).astimezone(_UTC)
