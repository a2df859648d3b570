"""Every number of some bars as a running sum of digests, so that any rows of each symbol are named by one difference.

A number is mixed with its field and its day into 64 bits, and these are added up from row to row: the name of a
symbol's rows changes with any of its numbers, with a day more or less, and with nothing of another symbol.
"""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from workbench.features.declared import SECTORS
from workbench.types import FIELDS, Bars

Words = NDArray[np.uint64]
_ODD = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)
# Rows worked on at once: they stay in the processor's cache.
_AT_ONCE = 32


class Fingerprint:
    """The bars' names: ``rows`` of each symbol, for the fields that a feature reads."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        self._running: dict[str, Words] = {}

    def rows(self, fields: tuple[str, ...], first: int, last: int) -> Words:
        """Return a word for each symbol that tells its rows from ``first`` up to, not including, ``last``."""
        found = self._sectors.copy() if SECTORS in fields else self._names.copy()
        for name in FIELDS:
            if name in fields:
                running = self._sums(name)
                found += running[last] - running[first]
        return found

    def present(self, first: int, last: int) -> NDArray[np.bool_]:
        """Return which symbols have a bar in these rows."""
        found: NDArray[np.bool_] = self._bars_until[last] > self._bars_until[first]
        return found

    @cached_property
    def _bars_until(self) -> NDArray[np.int32]:
        there = np.isfinite(self.bars.close.to_numpy(dtype=float))
        found = np.zeros((len(there) + 1, there.shape[1]), np.int32)
        np.cumsum(there, axis=0, out=found[1:])
        return found

    @cached_property
    def _names(self) -> Words:
        return _words([repr(symbol) for symbol in self.bars.symbols])

    @cached_property
    def _sectors(self) -> Words:
        return _words([repr((symbol, self.bars.sectors.get(symbol))) for symbol in self.bars.symbols])

    def _sums(self, name: str) -> Words:
        if name not in self._running:
            values = getattr(self.bars, name).to_numpy(dtype=float)
            days = self.bars.index.to_numpy().astype("datetime64[s]").astype(np.int64).view(np.uint64)
            keys = _mixed(days * _ODD + np.uint64(FIELDS.index(name) + 1))[:, None]
            sums = np.zeros((len(values) + 1, values.shape[1]), np.uint64)
            for first in range(0, len(values), _AT_ONCE):
                some = np.ascontiguousarray(values[first : first + _AT_ONCE]).view(np.uint64)
                part = sums[first + 1 : first + 1 + len(some)]
                np.cumsum(_mixed(some ^ keys[first : first + len(some)]), axis=0, out=part)
                part += sums[first]
            self._running[name] = sums
        return self._running[name]


def _mixed(words: Words) -> Words:
    """Mix the bits of each word in place, so that words that are alike have nothing in common."""
    words ^= words >> _HALF
    words *= _ODD
    words ^= words >> _HALF
    words *= _ODD
    words ^= words >> _HALF
    return words


def _words(texts: list[str]) -> Words:
    return np.array(
        [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) for text in texts], np.uint64
    )
