"""Bars as one feature may read them: what it did not declare raises, so that nothing is kept by less than it came from.

It keeps people from an oversight, not from getting round it: other bars that a closure holds are not seen.

>>> declared(bars, "spread", ("high", "low")).close
InputRefused: feature spread: compute reads 'close', but its inputs are high, low; add 'close' to inputs
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from workbench.errors import InputRefused, told
from workbench.types import FIELDS, Bars

FRAMES = (*FIELDS, "traded_close")
SECTORS = "sectors"


class Undeclared(InputRefused, AttributeError):
    """To ``hasattr`` and to ``getattr`` with a default, what was not declared is not there."""


class Declared(Bars):
    """Bars without the fields that a feature did not declare: to read one raises; days, symbols and market are there.

    ``dataclasses.replace`` cannot raise for a field that it only carries along: it gives plain bars, with NaN there.
    """

    _whole: Bars
    _feature: str
    _inputs: tuple[str, ...]

    def __new__(cls, **given: Any) -> Any:
        """Return plain bars of what ``dataclasses.replace`` gives."""
        frames = {name: given[name] for name in FRAMES if name in given}
        return over(frames, {name: value for name, value in given.items() if name not in frames})

    def __getattr__(self, name: str) -> Any:
        """Refuse what was not declared: only fields that were are attributes."""
        if name not in (*FRAMES, SECTORS):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        known = name in FIELDS or name == SECTORS
        instead = f"add '{name}' to inputs" if known else "no feature may read it, as it is not adjusted; use 'close'"
        raise Undeclared(
            f"feature {self._feature}: compute reads '{name}', but its inputs are "
            f"{', '.join(self._inputs) or 'none'}; {instead}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how a copy is made, here or in another process."""
        return declared, (self._whole, self._feature, self._inputs)

    def __repr__(self) -> str:
        return f"<bars of {len(self.symbols)} symbols over {len(self)} rows, read: {', '.join(self._inputs)}>"

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, in column order."""
        return self._whole.symbols

    @property
    def index(self) -> pd.DatetimeIndex:
        """The session dates or bar starts."""
        return self._whole.index

    def __len__(self) -> int:
        return len(self._whole)

    @property
    def readable(self) -> tuple[str, ...]:
        """The frames that were declared."""
        return tuple(name for name in FRAMES if name in self._inputs)

    def select(self, symbols: Iterable[str]) -> Bars:
        """Return the bars of some symbols, as far as they may be read."""
        return self.of(self._whole.select(symbols))

    def of(self, bars: Bars) -> Declared:
        """Return other bars, as far as these may be read."""
        return declared(bars, self._feature, self._inputs)

    def _rows(self, rows: slice) -> Bars:
        return self.of(self._whole._rows(rows))


def check_inputs(inputs: object) -> None:
    """Refuse inputs of which one is no field of the bars."""
    if isinstance(inputs, str) or not isinstance(inputs, Iterable):
        raise InputRefused(f"features: inputs is {told(inputs)}; write a tuple of fields, such as ('close',)")
    unknown = [name for name in inputs if name not in (*FIELDS, SECTORS)]
    if unknown:
        raise InputRefused(f"features: input '{unknown[0]}' is none of {', '.join((*FIELDS, SECTORS))}")


def declared(bars: Bars, feature: str, inputs: tuple[str, ...]) -> Declared:
    """Return the bars as the feature of this name may read them; nothing is copied, and nothing checked again."""
    made: Declared = object.__new__(Declared)
    open_ = {each.name: each for each in fields(bars) if each.name in (*inputs, "market")}
    for name, value in {
        **{name: getattr(bars, name) for name in open_},
        "_whole": bars,
        "_feature": feature,
        "_inputs": tuple(inputs),
        "__dataclass_fields__": open_,  # what dataclasses.replace and fields() see of it
    }.items():
        object.__setattr__(made, name, value)
    return made


def readable(bars: Bars) -> tuple[str, ...]:
    """Return the frames that may be read: all, unless they are those of a feature."""
    return bars.readable if isinstance(bars, Declared) else FRAMES


def regrouped(bars: Bars, frames: Mapping[str, pd.DataFrame]) -> Bars:
    """Return the bars with these frames, over other rows, in the place of those that may be read."""
    if not isinstance(bars, Declared):
        return Bars(**frames, market=bars.market, sectors=bars.sectors)
    return bars.of(over(frames, {"market": bars.market, SECTORS: bars._whole.sectors}))


def over(frames: Mapping[str, pd.DataFrame], more: Mapping[str, Any]) -> Bars:
    """Return bars of these frames, NaN in each that is missing."""
    if not frames:
        raise InputRefused("bars: none of their frames may be read, so there is nothing to copy; add 'close' to inputs")
    one = next(iter(frames.values()))
    nothing = pd.DataFrame(np.nan, one.index, one.columns) if len(frames) < len(FRAMES) else one
    whole: dict[str, Any] = {**dict.fromkeys(FRAMES, nothing), **frames, **more}
    return Bars(**whole)
