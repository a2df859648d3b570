"""Where the engine keeps columns: files of a feature and quarter, named by what they were computed from.

``2024Q4-20241231-<inputs>-<check>.npy`` holds some symbols up to a day: for each a word that names every number that
decides its rows, then columns × symbols × sessions. What looks at each symbol alone is found symbol by symbol, what
looks across symbols only where nothing of any symbol has changed. ``<check>`` is computed from the content and tells a
damaged file, which counts as absent. The folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.disk import write_whole, writing
from workbench.features.fingerprint import Fingerprint, Words

Array = np.ndarray
# A file of changed symbols alone is written where they are at most one in so many.
FEW = 8
# A quarter has at most so many files; one more, and all symbols are written anew and the oldest files go.
MOST = 8


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
    """The files of one feature, which reads some inputs and looks back over ``lookback`` rows.

    ``by_symbol`` says that a symbol's rows are decided by that symbol alone.
    """

    folder: Path
    inputs: tuple[str, ...]
    lookback: int
    by_symbol: bool = False

    def load(self, block: Block, bars: Fingerprint, out: Array) -> NDArray[np.int64]:
        """Fill ``out``, columns × symbols × the block's rows, and return up to which row each symbol was known.

        A symbol without a bar in the block, or just before it, has nothing to be known.
        """
        there = self._present(block, block.last, bars)
        known = np.where(there, block.first, block.last)
        for file, last in self._files(block, bars):
            if (known == block.last).all():
                break
            for symbols, values in self._matching(file, block, last, bars, len(out)):
                wanted = known[symbols] < last
                out[:, symbols[wanted], : last - block.first] = values if wanted.all() else values[:, wanted]
                known[symbols[wanted]] = last
        return known

    def count(self, block: Block, bars: Fingerprint) -> int:
        """Return how many symbols have a bar in the block or just before it."""
        return int(self._present(block, block.last, bars).sum())

    def keep(self, block: Block, bars: Fingerprint, values: Array, known: NDArray[np.int64]) -> None:
        """Write what was not known of the block: those symbols alone, where they are few, all of them otherwise."""
        there = self._present(block, block.last, bars)
        before = list(self._files(block, bars))
        fresh = known < block.last
        few = self.by_symbol and fresh.sum() * FEW <= there.sum() and len(before) < MOST
        symbols = np.flatnonzero(fresh if few else there)
        kept = np.ascontiguousarray(values[:, symbols], dtype=np.float32)
        names = self._names(block, block.last, bars)[symbols]
        content = np.concatenate([names.view(np.uint32), kept.view(np.uint32).ravel()])
        stem = f"{block.label}-{bars.bars.index[block.last - 1]:%Y%m%d}-{_digest(names)}"
        buffer = io.BytesIO()
        np.save(buffer, content, allow_pickle=False)
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            needless = [] if few else self._needless(block, bars, len(values))
            write_whole(self.folder / f"{stem}-{check_of(content)}.npy", buffer.getvalue(), flushed=True)
            for file in needless:
                file.unlink(missing_ok=True)

    def _needless(self, block: Block, bars: Fingerprint, columns: int) -> list[Path]:
        """Return the files that a new one of all symbols makes needless: its own beginnings, and the oldest of many."""
        others = list(self._files(block, bars))
        found = [
            file
            for file, last in others
            if last < block.last and any(len(each) for each, _ in self._matching(file, block, last, bars, columns))
        ]
        rest = sorted((file for file, _ in others if file not in found), key=_written)
        return found + (rest[: -MOST // 2] if len(others) >= MOST else [])

    def _files(self, block: Block, bars: Fingerprint) -> Iterator[tuple[Path, int]]:
        """Yield the quarter's files that end with one of these sessions, the longest first, and where each ends."""
        index, found = bars.bars.index, []
        for file in self.folder.glob(f"{block.label}-*.npy"):
            day = pd.Timestamp(file.stem.split("-")[1])
            last = int(index.searchsorted(day, side="right"))
            if block.first < last <= block.last and index[last - 1] == day:
                found.append((last, file))
        yield from ((file, last) for last, file in sorted(found, reverse=True))

    def _matching(
        self, file: Path, block: Block, last: int, bars: Fingerprint, columns: int
    ) -> Iterator[tuple[NDArray[np.int64], Array]]:
        """Yield the symbols that a file was computed for from these very numbers, and their values; or nothing."""
        _, _, inputs, check = file.stem.split("-")
        there = np.flatnonzero(self._present(block, last, bars))
        names = self._names(block, last, bars)[there]
        if not self.by_symbol and inputs != _digest(names):
            return
        content = read_checked(file, check)
        size = 2 + columns * (last - block.first)
        if (
            content is None
            or content.dtype != np.uint32
            or content.ndim != 1
            or not len(content)
            or len(content) % size
        ):
            return
        count = len(content) // size
        values = content[2 * count :].view(np.float32).reshape(columns, count, last - block.first)
        stored: Words = content[: 2 * count].view(np.uint64)
        if np.array_equal(stored, names):
            yield there, values
            return
        order = np.argsort(stored)
        place = order[np.minimum(np.searchsorted(stored, names, sorter=order), count - 1)]
        same = stored[place] == names
        yield there[same], values[:, place[same]]

    def _present(self, block: Block, last: int, bars: Fingerprint) -> NDArray[np.bool_]:
        return bars.present(max(0, block.first - self.lookback + 1), last)

    def _names(self, block: Block, last: int, bars: Fingerprint) -> Words:
        return bars.rows(self.inputs, max(0, block.first - self.lookback + 1), last)


def _digest(names: Words) -> str:
    return hashlib.sha256(np.ascontiguousarray(names).tobytes()).hexdigest()[:32]


def _written(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # another process took it away
        return 0.0


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
