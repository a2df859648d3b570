"""Splits and dividends: how prices as traded become comparable over time.

The backward method of CRSP and Yahoo. The newest prices stay as traded; everything before an ex-date is multiplied by

    split      1 / (new shares per old share)             and volume by the inverse
    dividend   1 - dividend / (close before the ex-date)

so that close-to-close returns are what a holder earned who reinvested the dividend. Where both fall on one day the
split goes first, and the dividend is per new share, as it is paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from workbench.errors import DataRefused

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Factors:
    """What prices and volumes as traded are multiplied by, date × symbol; None where nothing has to change."""

    price: Matrix | None
    volume: Matrix | None


def factors(days: npt.NDArray[np.datetime64], symbols: Sequence[str], close: Matrix, actions: pl.DataFrame) -> Factors:
    """Return the factors for bars at ``days``, ascending, given the actions that are effective.

    ``close`` is as traded, NaN where there is no bar. An action applies to every bar before its ``session``.
    """
    column = {symbol: position for position, symbol in enumerate(symbols)}
    wanted = actions.filter(pl.col("symbol").is_in(list(symbols)))
    row = np.searchsorted(days, wanted["session"].to_numpy().astype(days.dtype))
    wanted = wanted.with_columns(
        row=pl.Series(row, dtype=pl.Int64),
        column=pl.col("symbol").replace_strict(column, return_dtype=pl.Int64),
    ).filter(pl.col("row") > 0)
    if wanted.is_empty():
        return Factors(None, None)
    splits = _placed(wanted, "split", close.shape)
    dividends = wanted.filter(pl.col("kind") == "dividend")
    steps = np.ones_like(close) if splits is None else 1.0 / splits
    if len(dividends):
        at, of = dividends["row"].to_numpy(), dividends["column"].to_numpy()
        before = _last_known(close, at - 1, of)
        per_old_share = dividends["value"].to_numpy() * (1.0 if splits is None else splits[at - 1, of])
        share = np.where(np.isnan(before), 0.0, per_old_share / before)
        if (share >= 1.0).any():
            worst = int(np.argmax(share))
            raise DataRefused(
                f"actions: {symbols[of[worst]]} paid a dividend of {dividends['value'][worst]:g} on "
                f"{dividends['session'][worst]}, not below the close before it, {before[worst]:g}; "
                "publish a correction of the action or of the price"
            )
        np.multiply.at(steps, (at - 1, of), 1.0 - share)
    return Factors(_backward(steps), None if splits is None else _backward(splits))


def _placed(actions: pl.DataFrame, kind: str, shape: tuple[int, ...]) -> Matrix | None:
    chosen = actions.filter(pl.col("kind") == kind)
    if chosen.is_empty():
        return None
    steps = np.ones(shape)
    # A step stands in the last row that it applies to; the backward product carries it to all rows before.
    np.multiply.at(steps, (chosen["row"].to_numpy() - 1, chosen["column"].to_numpy()), chosen["value"].to_numpy())
    return steps


def _backward(steps: Matrix) -> Matrix:
    return np.multiply.accumulate(steps[::-1], axis=0)[::-1]


def _last_known(close: Matrix, row: npt.NDArray[np.int64], column: npt.NDArray[np.int64]) -> Matrix:
    """Return the last close that is not NaN at or before each row; NaN where there is none."""
    here = close[row, column]
    for position in np.flatnonzero(np.isnan(here)):
        seen = close[: row[position] + 1, column[position]]
        known = np.flatnonzero(~np.isnan(seen))
        if len(known):
            here[position] = seen[known[-1]]
    return here
