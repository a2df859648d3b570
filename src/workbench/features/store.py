"""Where the engine keeps columns: a file a feature and quarter, named by what it was computed from.

``2024Q4-20241231-<inputs>-<check>.npy`` holds columns × symbols × sessions of the symbols that have a bar in or just
before the quarter. ``<inputs>`` is a digest of every number that decides it; ``<check>`` is computed from its content
and tells a damaged file, which counts as absent. The folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.disk import write_whole, writing
from workbench.types import FIELDS, Bars

SECTORS = "sectors"
Array = np.ndarray


@dataclass(frozen=True)
class Block:
    """The rows of a quarter, from ``first`` up to, not including, ``last``."""

    label: str
    first: int
    last: int


def blocks(index: pd.DatetimeIndex) -> list[Block]:
    """Return the quarters of some sessions."""
    quarters = index.to_period("Q")
    starts = np.flatnonzero(np.r_[True, quarters[1:] != quarters[:-1]])
    ends = np.r_[starts[1:], len(index)]
    return [Block(str(quarters[int(a)]), int(a), int(b)) for a, b in zip(starts, ends, strict=True)]


@dataclass(frozen=True)
class Shelf:
    """The files of one feature, which reads some inputs and looks back over ``lookback`` rows."""

    folder: Path
    inputs: tuple[str, ...]
    lookback: int

    def load(self, block: Block, bars: Bars, out: Array) -> int:
        """Fill ``out``, columns × symbols × the block's rows, and return up to which row of the bars it was known."""
        for file, last, symbols in reversed(list(self._beginnings(block, bars))):  # the longest first
            values = read_checked(file, file.stem.split("-")[-1])
            if values is not None and values.shape == (len(out), len(symbols), last - block.first):
                out[:, symbols, : last - block.first] = values
                return int(last)
        return block.first

    def keep(self, block: Block, bars: Bars, values: Array) -> None:
        """Write the block's values, and take away shorter beginnings of it."""
        symbols, inputs = self._decided_by(block.first, block.last, bars)
        kept = np.ascontiguousarray(values[:, symbols])
        stem = f"{block.label}-{bars.index[block.last - 1]:%Y%m%d}-{inputs}"
        buffer = io.BytesIO()
        np.save(buffer, kept, allow_pickle=False)
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            shorter = [file for file, last, _ in self._beginnings(block, bars) if last < block.last]
            write_whole(self.folder / f"{stem}-{check_of(kept)}.npy", buffer.getvalue(), flushed=True)
            for file in shorter:
                file.unlink(missing_ok=True)

    def _beginnings(self, block: Block, bars: Bars) -> Iterator[tuple[Path, int, Array]]:
        """Yield the files that were computed from these bars, up to which row each goes, and the symbols in it."""
        decided: dict[str, tuple[Array, str]] = {}
        for file in sorted(self.folder.glob(f"{block.label}-*.npy")):
            _, day, inputs, _ = file.stem.split("-")
            last = int(bars.index.searchsorted(pd.Timestamp(day), side="right"))
            if not block.first < last <= block.last or bars.index[last - 1] != pd.Timestamp(day):
                continue
            if day not in decided:
                decided[day] = self._decided_by(block.first, last, bars)
            if inputs == decided[day][1]:
                yield file, last, decided[day][0]

    def _decided_by(self, first: int, last: int, bars: Bars) -> tuple[Array, str]:
        """Return the places of the symbols with a bar in the rows or before, and a digest of all that decides them."""
        begin = max(0, first - self.lookback + 1)
        symbols = np.flatnonzero(np.isfinite(bars.close.to_numpy()[begin:last]).any(axis=0))
        names = bars.symbols  # made anew at each access
        named = [names[place] for place in symbols]
        sectors = [bars.sectors.get(symbol) for symbol in named] if SECTORS in self.inputs else []
        digest = hashlib.sha256(repr([named, sectors, first - begin]).encode())
        digest.update(bars.index[begin:last].to_numpy().astype("datetime64[s]").tobytes())
        for name in FIELDS:
            if name in self.inputs:
                values = getattr(bars, name).to_numpy(dtype=float)[begin:last, symbols]
                digest.update(np.ascontiguousarray(values).data)
        return symbols, digest.hexdigest()[:32]


def read_checked(file: Path, check: str) -> Array | None:
    """Return a file's numbers, mapped, not copied, or None where it is absent or damaged."""
    try:
        values: Array = np.load(file, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return values if check_of(values) == check else None


def check_of(values: Array) -> str:
    """Return the sum of the content's words: as fast as memory, and no file that was cut or zeroed has the same."""
    return f"{int(np.ascontiguousarray(values).view(np.uint32).sum(dtype=np.uint64)):016x}"
