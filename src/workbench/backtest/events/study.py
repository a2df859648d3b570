"""An event study: the average and the cumulative abnormal return by session around events, with intervals.

>>> study = event_study(bars, lake.read("events"), benchmark="MKT00")
>>> study.signed("surprise").car(1, 10)          # what followed the surprise, in its direction
>>> {name: part.car(1, 10) for name, part in study.split("surprise").items()}
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pandas as pd
import polars as pl

from workbench.backtest.events.abnormal import Array, Mask, Model, Windows, measure
from workbench.backtest.events.inference import Codes, Estimate, Means, means
from workbench.errors import DataRefused, InputRefused, NoData, did_you_mean
from workbench.types import Bars

Cluster = Literal["event", "session", "month", "quarter"]
# What an event needs; every other column is kept for groups.
NEEDED = ("symbol", "known_at")


@dataclass(frozen=True)
class Design:
    """How a study was made."""

    model: Model
    benchmark: str | None
    windows: Windows
    cluster: Cluster
    confidence: float
    seed: int

    @property
    def says(self) -> str:
        """What was expected, and what the intervals mean, on one line."""
        return f"{self.expected}; {self.interval}"

    @property
    def expected(self) -> str:
        """What the returns are measured against."""
        first, last = self.windows.estimation
        before = f"sessions {first} to {last}".replace("-", "−")
        return {
            "market": f"market model on {self.benchmark}, alpha and beta of {before}",
            "market_adjusted": f"return over that of {self.benchmark}",
            "mean_adjusted": f"return over its own mean of {before}",
        }[self.model]

    @property
    def interval(self) -> str:
        """What the intervals are."""
        crowd = "each event by itself" if self.cluster == "event" else f"events clustered by {self.cluster}"
        return f"{100 * self.confidence:g} % bootstrap interval, {crowd}"


@dataclass(frozen=True)
class EventStudy:
    """Abnormal returns of the events that could be measured, and why the others could not.

    ``abnormal`` has a row an event and a column a session relative to it; ``events`` the same rows: symbol, known_at,
    session (the first that ended knowing), alpha, beta, residual, estimated, missing, and what else the events said.
    ``dropped`` has symbol, known_at and reason.
    """

    abnormal: pd.DataFrame
    events: pd.DataFrame
    dropped: pd.DataFrame
    design: Design
    market: str

    def __len__(self) -> int:
        return len(self.events)

    @cached_property
    def path(self) -> pd.DataFrame:
        """By session: the average abnormal return, and what it adds up to from the event's eve, each with its interval.

        ``t`` and ``p`` are those of the cumulative one.
        """
        one, total = self._means(self.abnormal), self._means(self.since_eve)
        return pd.DataFrame(
            {
                "average": one.mean,
                "average_low": one.low,
                "average_high": one.high,
                "cumulative": total.mean,
                "low": total.low,
                "high": total.high,
                "t": total.t,
                "p": total.p,
            },
            index=self.abnormal.columns,
        )

    @property
    def since_eve(self) -> pd.DataFrame:
        """The cumulative abnormal return of each event, zero on session -1: before it, what was still to come."""
        total = self.abnormal.cumsum(axis=1)
        return total.sub(total[-1], axis=0) if -1 in total else total

    def car(self, first: int = 0, last: int | None = None) -> Estimate:
        """Return the mean over events of the abnormal returns from one session to another, both included."""
        last = self.design.windows.window[1] if last is None else last
        if not (first in self.abnormal and last in self.abnormal and first <= last):
            low, high = self.design.windows.window
            raise InputRefused(f"car({first}, {last}): give sessions of the window, {low} to {high}, in order")
        found = self._means(self.abnormal.loc[:, first:last].sum(axis=1).to_frame())
        mean, low_, high_, t, p = (float(values[0]) for values in (found.mean, found.low, found.high, found.t, found.p))
        return Estimate(mean, low_, high_, t, p, len(self), len(np.unique(self._clusters)))

    def signed(self, column: str) -> EventStudy:
        """Return the study of what was earned in the direction of a number: its sign times each abnormal return."""
        sign = np.sign(self.numbers(column))
        told = self.where(~np.isnan(sign) & (sign != 0.0))
        signs = sign[~np.isnan(sign) & (sign != 0.0)]
        return replace(told, abnormal=told.abnormal.mul(signs, axis=0))

    def split(self, column: str, buckets: int | None = None) -> dict[str, EventStudy]:
        """Return a study a group: by the sign of a number, by equal buckets of it, or by each value of a text.

        Events without a value are in no group.
        """
        if not pd.api.types.is_numeric_dtype(self._column(column)):
            values = self._column(column)
            told = sorted(values.dropna().unique())
            return {f"{column} {value}": self.where((values == value).to_numpy(dtype=bool)) for value in told}
        numbers = self.numbers(column)
        if buckets is None:
            sides = {f"{column} above 0": numbers > 0, f"{column} below 0": numbers < 0}
            return {name: self.where(mask) for name, mask in sides.items() if mask.any()}
        if not 2 <= buckets <= len(self):
            raise InputRefused(
                f"split: {buckets} buckets of {len(self)} events; ask for 2 or more, and not more than events"
            )
        rank = pd.Series(numbers).rank(method="first")
        number = np.ceil(rank.to_numpy(dtype=float) / float(rank.count()) * buckets)
        return {f"{column} {place} of {buckets}": self.where(number == place) for place in range(1, buckets + 1)}

    def where(self, mask: Mask) -> EventStudy:
        """Return the study of some of its events."""
        if not mask.any():
            raise NoData("event study: no event is left in this group; choose another")
        return replace(
            self,
            abnormal=self.abnormal.loc[mask].reset_index(drop=True),
            events=self.events.loc[mask].reset_index(drop=True),
        )

    def numbers(self, name: str) -> Array:
        """Return a column of the events as numbers."""
        if not pd.api.types.is_numeric_dtype(self._column(name)):
            raise InputRefused(f"event study: '{name}' holds no numbers; split by it instead")
        numbers: Array = self._column(name).to_numpy(dtype=float)
        return numbers

    @property
    def reasons(self) -> pd.Series:
        """How many events were dropped for which reason, numbers in it aside."""
        return self.dropped["reason"].str.replace(r"\d+", "n", regex=True).value_counts()

    @cached_property
    def _clusters(self) -> Codes:
        sessions = pd.DatetimeIndex(self.events["session"])
        frequency = {"session": "D", "month": "M", "quarter": "Q"}
        if self.design.cluster == "event":
            return np.arange(len(sessions), dtype=np.int64)
        codes: Codes = np.asarray(sessions.to_period(frequency[self.design.cluster]).astype("int64"), dtype=np.int64)
        return codes

    def _means(self, values: pd.DataFrame) -> Means:
        return means(values.to_numpy(dtype=float), self._clusters, self.design.confidence, self.design.seed)

    def _column(self, name: str) -> pd.Series:
        if name not in self.events:
            raise InputRefused(f"event study: events have no '{name}'.{did_you_mean(name, map(str, self.events))}")
        return self.events[name]


def event_study(
    bars: Bars,
    events: pl.DataFrame | pd.DataFrame,
    benchmark: str | None = None,
    window: tuple[int, int] = (-10, 20),
    estimation: tuple[int, int] = (-250, -30),
    model: Model = "market",
    cluster: Cluster = "month",
    confidence: float = 0.95,
    seed: int = 0,
) -> EventStudy:
    """Return the study of events on daily bars; an event belongs to the first session that ended knowing of it.

    ``events`` has symbol and known_at (with a time zone), and whatever else groups are made of. ``model`` says what
    was to be expected: ``market`` (alpha and beta of the estimation window), ``market_adjusted`` (the benchmark's
    return) or ``mean_adjusted`` (the symbol's own mean, no benchmark). ``cluster`` says which events share their luck.
    """
    design = Design(model, benchmark, Windows(window, estimation), cluster, confidence, seed)
    _refuse(design, bars)
    table = _table(events)
    known_at = pd.DatetimeIndex(table["known_at"]).tz_convert("UTC")
    found = measure(bars, table["symbol"].tolist(), known_at, design.windows, model, benchmark)
    lost = sorted(found.reasons)
    dropped = table.iloc[lost][list(NEEDED)].assign(reason=[found.reasons[place] for place in lost])
    if not len(found.kept):
        reason = dropped["reason"].mode().iloc[0] if len(dropped) else "there are none"
        raise NoData(f"event_study: none of {len(table)} events can be measured; most often: {reason}")
    # What is measured replaces a column of the same name: a split's own session is not the one that knew of it.
    kept = table.iloc[found.kept].reset_index(drop=True).drop(columns=list(found.facts), errors="ignore")
    return EventStudy(
        abnormal=pd.DataFrame(found.abnormal, columns=pd.Index(design.windows.sessions, name="session")),
        events=pd.concat([kept, found.facts], axis=1),
        dropped=dropped.reset_index(drop=True),
        design=design,
        market=bars.market,
    )


def _refuse(design: Design, bars: Bars) -> None:
    for name, value, known in (("model", design.model, Model), ("cluster", design.cluster, Cluster)):
        if value not in get_args(known):
            raise InputRefused(f"event_study: unknown {name} '{value}'.{did_you_mean(value, get_args(known))}")
    if not 0.5 <= design.confidence < 1.0:
        raise InputRefused(f"event_study: confidence {design.confidence} must be at least 0.5 and below 1")
    if bars.index.tz is not None:
        raise InputRefused("event_study: the bars are intraday; sessions are counted, so give daily bars")
    if design.model == "mean_adjusted":
        if design.benchmark is not None:
            raise InputRefused("event_study: mean_adjusted needs no benchmark; leave it out, or choose model 'market'")
    elif design.benchmark is None:
        raise InputRefused(f"event_study: model '{design.model}' needs a benchmark; name a symbol of the bars")
    elif design.benchmark not in bars.symbols:
        near = did_you_mean(design.benchmark, bars.symbols)
        raise NoData(f"event_study: benchmark '{design.benchmark}' is not in the bars.{near}")


def _table(events: pl.DataFrame | pd.DataFrame) -> pd.DataFrame:
    table = events.to_pandas() if isinstance(events, pl.DataFrame) else events.reset_index(drop=True)
    for name in NEEDED:
        if name not in table:
            raise DataRefused(f"event_study: events have no column '{name}'.{did_you_mean(name, map(str, table))}")
    if not isinstance(table["known_at"].dtype, pd.DatetimeTZDtype):
        raise DataRefused(
            f"event_study: known_at is {table['known_at'].dtype}; it must be times with a zone, for example "
            "pd.to_datetime(days).dt.tz_localize('America/New_York')"
        )
    if table["known_at"].isna().any():
        raise DataRefused(f"event_study: {int(table['known_at'].isna().sum())} events have no known_at; leave them out")
    return table
