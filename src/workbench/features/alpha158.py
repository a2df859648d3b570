"""The factor library Alpha158: 158 columns of a bar's shape, price levels and rolling statistics, as Qlib defines them.

>>> alpha158().compute(bars).frame("RSQR60")

docs/features.md lists the formulas, what stands for the volume-weighted price, and where and why a number differs from
Qlib's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from workbench.errors import DataRefused, InputRefused, did_you_mean
from workbench.features.columns import Columns
from workbench.features.windows import LONGEST, WINDOWS
from workbench.types import Bars

KBAR = ("KMID", "KLEN", "KMID2", "KUP", "KUP2", "KLOW", "KLOW2", "KSFT", "KSFT2")
PRICE = ("OPEN0", "HIGH0", "LOW0", "VWAP0")
ROLLING = (
    "ROC", "MA", "STD", "BETA", "RSQR", "RESI", "MAX", "MIN", "QTLU", "QTLD", "RANK", "RSV", "IMAX", "IMIN", "IMXD",
    "CORR", "CORD", "CNTP", "CNTN", "CNTD", "SUMP", "SUMN", "SUMD", "VMA", "VSTD", "WVMA", "VSUMP", "VSUMN", "VSUMD",
)  # fmt: skip
NAMES = (*KBAR, *PRICE, *(f"{kind}{window}" for kind in ROLLING for window in WINDOWS))
FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Alpha158:
    """The library, or some of its columns; ``vwap`` is date × symbol and adjusted like the bars."""

    by_symbol: ClassVar[bool] = True
    names: tuple[str, ...] = NAMES
    vwap: pd.DataFrame | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in self.names:
            if name not in NAMES:
                raise InputRefused(f"alpha158: unknown column '{name}'.{did_you_mean(name, NAMES)}")
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise InputRefused(f"alpha158: column '{twice}' is asked for twice; name each once")

    @property
    def inputs(self) -> tuple[str, ...]:
        """The fields of the bars that it reads."""
        return FIELDS

    @property
    def lookback(self) -> int:
        """How many bars up to and including t decide row t."""
        return LONGEST + 1

    def compute(self, bars: Bars, out: np.ndarray | None = None) -> Columns:
        """Return the columns in single precision, as Qlib stores them; ``out`` is memory to use again.

        A row without a bar is NaN in every column.
        """
        from workbench.features.alpha158_kernel import alpha158_rows

        fields = [np.ascontiguousarray(getattr(bars, name).to_numpy(dtype=float)) for name in FIELDS]
        rows, symbols = fields[0].shape
        shape = (len(self.names), symbols, rows)
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise InputRefused(
                f"alpha158: out is {out.dtype} {out.shape}; give float32 {shape}, in C order, or leave it away"
            )
        vwap = np.empty((0, 0)) if self.vwap is None else self._aligned(bars)
        where = np.full(len(NAMES), -1)
        where[[NAMES.index(name) for name in self.names]] = np.arange(len(self.names))

        def work(first: int, last: int) -> Any:
            return alpha158_rows(*fields, vwap, where, first, last, out)

        in_parts(work, symbols)
        return Columns(self.names, bars.symbols, bars.index, out)

    def _aligned(self, bars: Bars) -> np.ndarray:
        assert self.vwap is not None
        absent = [symbol for symbol in bars.symbols if symbol not in self.vwap.columns]
        late = bars.index[~bars.index.isin(self.vwap.index)]
        if absent or len(late):
            what = f"symbol {absent[0]}" if absent else f"row of {late[0]}"
            raise DataRefused(f"alpha158: vwap has no {what}; give one value for every bar, NaN where there is none")
        return np.ascontiguousarray(self.vwap.loc[bars.index, list(bars.symbols)].to_numpy(dtype=float))


def alpha158(names: Iterable[str] = NAMES, vwap: pd.DataFrame | None = None) -> Alpha158:
    """Return the library, or the columns named; without ``vwap`` the typical price stands in."""
    return Alpha158(tuple(names), vwap)


def in_parts(work: Any, count: int) -> None:
    """Call ``work(first, last)`` for parts of ``count`` columns, on every core; the work lets go of the lock."""
    cores = len(os.sched_getaffinity(0))
    # A few parts a core, so that no core waits long; whole cache lines of eight numbers.
    step = max(8, -(-count // (4 * cores)) + 7 & ~7)
    starts = range(0, count, step)
    if len(starts) == 1 or cores == 1:
        work(0, count)
        return
    with ThreadPoolExecutor(max_workers=cores) as pool:
        list(pool.map(lambda first: work(first, min(first + step, count)), starts))
