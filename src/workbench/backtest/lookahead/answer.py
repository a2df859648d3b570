"""What a subject returned, as rows × labelled columns, and where two answers differ by more than rounding.

A difference counts beyond ``TOLERANCE`` of the column's largest value in either answer. Sums over the same earlier rows
may be added up in another order when later rows are there (BLAS, FFT, SIMD): such noise is at most some thousand times
2e-16 of the largest number that went in, so it stays three orders of magnitude below 1e-9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.backtest.lookahead.world import World
from workbench.errors import InputRefused
from workbench.features.columns import Columns
from workbench.sessions import Calendar

TOLERANCE, TOLERANCE_SINGLE = 1e-9, 1e-5


@dataclass(frozen=True)
class Label:
    """A column of an answer: what it is, and of which symbol."""

    group: str
    symbol: str = ""

    def __str__(self) -> str:
        return f"{self.group} of {self.symbol}" if self.symbol else self.group


@dataclass(frozen=True)
class Answer:
    """Values at the rows of a world; a row or column that was left out is NaN."""

    labels: tuple[Label, ...]
    values: NDArray[np.floating[Any]]
    missing: float = np.nan  # what a value that was left out means

    @property
    def tolerance(self) -> float:
        """The share of a column's size below which a difference is rounding."""
        return TOLERANCE_SINGLE if self.values.dtype == np.float32 else TOLERANCE


@dataclass(frozen=True)
class Difference:
    """The cells in which two answers differ: row numbers, labels and sizes."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    sizes: NDArray[np.float64]
    labels: tuple[Label, ...]

    def __bool__(self) -> bool:
        return len(self.rows) > 0

    def groups(self) -> list[str]:
        """Return the groups of the columns that differ."""
        return list(dict.fromkeys(self.labels[column].group for column in np.unique(self.columns)))


def read_answer(found: Any, world: World, group: str) -> Answer:
    """Return what the subject gave as an answer; one that has no row a session is refused."""
    if isinstance(found, Columns):
        labels = tuple(Label(name, symbol) for name in found.names for symbol in found.symbols)
        values = found.values.reshape(len(labels), -1).T
        return Answer(labels, _on_rows(values, found.index, world, group))
    if isinstance(found, np.ndarray) and found.shape[:1] == (len(world),):
        symbols = list(world.symbols) if found.shape[1:] == (len(world.symbols),) else None
        found = pd.DataFrame(found, world.index, symbols) if found.ndim == 2 else pd.Series(found, world.index)
    frame, labels = _as_frame(found, world, group)
    if len(set(labels)) < len(labels):
        raise InputRefused(f"{group}: two columns of its answer have the same name; rename one")
    try:
        values = frame.to_numpy(dtype=np.float32 if (frame.dtypes == np.float32).all() else float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InputRefused(f"{group}: its answer holds something that is not a number; return numbers") from error
    return Answer(labels, _on_rows(values, frame.index, world, group))


def _as_frame(found: Any, world: World, group: str) -> tuple[pd.DataFrame, tuple[Label, ...]]:
    """Return a series or frame, long or wide, with a row a session, and what its columns are."""
    long = isinstance(getattr(found, "index", None), pd.MultiIndex)
    if isinstance(found, pd.Series) and not long:
        return found.to_frame(group), (Label(group),)
    if isinstance(found, pd.Series):
        wide = pd.DataFrame(found.unstack(-1))
        return wide, tuple(Label(group, str(symbol)) for symbol in wide.columns)
    if isinstance(found, pd.DataFrame) and long:
        wide = pd.DataFrame(found.unstack(-1))
        return wide, tuple(Label(str(column[0]), str(column[1])) for column in wide.columns.to_flat_index())
    if isinstance(found, pd.DataFrame):
        symbols = set(world.symbols) if world.kind == "bars" else set()
        names = [Label(group, str(c)) if c in symbols else Label(f"{group} {c}") for c in found.columns]
        return found, tuple(names)
    raise InputRefused(f"{group}: it returned {type(found).__name__}; return a frame or a series with a row a session")


def compare(
    first: Answer,
    second: Answer,
    rows: slice,
    *,
    offset: int = 0,
    relative: float | None = None,
    absolute: float = 0.0,
) -> Difference:
    """Return where the answers differ in these rows; NaN equals NaN, and a missing column is NaN.

    Row ``r`` of the first is compared with row ``r - offset`` of the second.
    """
    labels = tuple(dict.fromkeys((*first.labels, *second.labels)))
    ours, theirs = _in_columns(first, labels), _in_columns(second, labels)
    share = max(first.tolerance, second.tolerance) if relative is None else relative
    allowed = absolute + share * np.fmax(_sizes(ours), _sizes(theirs))
    ours, theirs = ours[rows], theirs[rows.start - offset : rows.stop - offset]
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(ours - theirs)
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs)) | (apart <= allowed)
    at, column = np.nonzero(~same)
    sizes = np.nan_to_num(apart[at, column].astype(float), nan=np.inf)
    return Difference(at + rows.start, column, sizes, labels)


def _sizes(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return each column's largest finite value."""
    finite = np.where(np.isfinite(values), np.abs(values), 0.0)
    return np.asarray(finite.max(axis=0, initial=0.0), dtype=float)


def _in_columns(answer: Answer, labels: tuple[Label, ...]) -> NDArray[np.floating[Any]]:
    if answer.labels == labels:
        return answer.values
    place = {label: number for number, label in enumerate(answer.labels)}
    values = np.full((len(answer.values), len(labels)), answer.missing)
    for number, label in enumerate(labels):
        if label in place:
            values[:, number] = answer.values[:, place[label]]
    return values


def _on_rows(values: NDArray[np.floating[Any]], index: pd.Index, world: World, group: str) -> NDArray[np.floating[Any]]:
    """Return the values at the rows of the world, NaN where the answer has no row."""
    if not isinstance(index, pd.DatetimeIndex) or index.has_duplicates:
        raise InputRefused(
            f"{group}: its answer has no row a session: its index is {type(index).__name__}; keep that of the data"
        )
    if world.index.tz is not None and index.tz is None:
        index, closed = _last_bars(index, world.index)
        values = values[closed]
    if index.equals(world.index):
        return values
    strange = index.difference(world.index)
    if len(strange):
        raise InputRefused(
            f"{group}: its answer has a row on {strange[0].date()}, which is no row of the data; label each row by the "
            "session that decides it"
        )
    full = np.full((len(world), values.shape[1]), np.nan, dtype=values.dtype)
    full[world.index.get_indexer(index)] = values
    return full


def _last_bars(days: pd.DatetimeIndex, bars: pd.DatetimeIndex) -> tuple[pd.DatetimeIndex, NDArray[np.bool_]]:
    """Return the last bar of each session, at whose end a number of that session is known, and which have one."""
    closes = Calendar().closing_times(days)
    place = np.maximum(bars.searchsorted(closes) - 1, 0)
    length = bars.to_series().diff().min()
    closed = np.asarray((closes - bars[place] <= length) & (bars[place] < closes))
    return bars[place[closed]], closed
