"""Write a new strategy: one file of code, one of parameters, one of tests, and nothing else to touch."""

from __future__ import annotations

import contextlib
import keyword
import re
from pathlib import Path
from string import Template

from workbench.errors import CannotWrite, InputRefused
from workbench.params import Paths

CODE = Template('''"""Hold what breaks out: long for a while after a close above all closes of the sessions before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from workbench.errors import StrategyRefused
from workbench.sizing_params import SizingParams
from workbench.strategies.exits import Exits, exits_lookback
from workbench.strategies.sizing import HALT_BARS, size, sizing_lookback
from workbench.types import Bars


@dataclass(frozen=True)
class $cls:
    """Equal shares of equity in every symbol that made a new high of ``window`` sessions within the last ``hold``."""

    symbols: tuple[str, ...]
    window: int = 100
    hold: int = 20
    sizing: SizingParams = SizingParams()
    exits: Exits | None = None
    name: ClassVar[str] = "$name"

    def __post_init__(self) -> None:
        if self.window < 2 or self.hold < 1:
            raise StrategyRefused(f"$name: window {self.window} must be at least 2 and hold {self.hold} at least 1")

    @property
    def lookback(self) -> int:
        """How many bars decide the last weights."""
        own = self.window + self.hold + HALT_BARS + sizing_lookback(self.sizing)
        return max(own, exits_lookback(self.exits))

    def weights(self, bars: Bars) -> pd.DataFrame:
        """close -> new high -> held for a while -> equal shares -> sized."""
        bars = bars.select(self.symbols)
        close = bars.last_close()
        # Your idea goes here. Row t may use rows up to t only: shift(1) looks back, shift(-1) would cheat.
        new_high = close > close.shift(1).rolling(self.window).max()
        held = new_high.rolling(self.hold, min_periods=1).max()
        listed = close.notna().sum(axis=1).clip(lower=1)
        return size(held.div(listed, axis=0), bars, self.sizing)
''')

PARAMS = Template("""question: Does $words pay across all sectors, after costs?
universe: {}                # everything but the benchmark; or {sectors: [Technology]} or {symbols: [TEC01, FIN02]}
params: {window: 100, hold: 20}
grid:                       # every combination is a trial, and every trial counts
  window: [50, 100, 200]
  hold: [10, 20, 40]
""")

TEST = Template('''"""$name by hand, and by the look-ahead guard. Caps are checked in test_strategies.py."""

import numpy as np
import pytest

from workbench.backtest import lookahead
from workbench.errors import StrategyRefused
from workbench.sizing_params import SizingParams
from workbench.strategies.$name import $cls

UNSIZED = SizingParams(target_volatility=None, max_weight=1.0)


def test_it_holds_what_makes_a_new_high_and_lets_go_after_a_while(bars_of):
    close = np.full((40, 2), 100.0)
    close[20:, 0] = 101.0  # one new high at row 20, and none after
    bars = bars_of(close, ["UP", "FLAT"])
    weights = $cls(("UP", "FLAT"), window=10, hold=5, sizing=UNSIZED).weights(bars)
    assert weights["UP"].iloc[19:26].tolist() == [0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.0]
    assert (weights["FLAT"] == 0).all()


def test_it_reads_nothing_ahead_and_no_more_than_its_lookback(walk):
    report = lookahead.examine($cls(walk.symbols, window=20, hold=5), walk)
    assert report.clean, report


def test_nonsense_is_refused():
    with pytest.raises(StrategyRefused, match="window 1 must be at least 2"):
        $cls(("UP",), window=1)
''')


def new_strategy(name: str, paths: Paths) -> list[Path]:
    """Write the three files of a new strategy and return them; nothing is ever overwritten."""
    if keyword.iskeyword(name):
        raise InputRefused(f"strategy name '{name}': Python keeps that word for itself; choose another")
    cls = "".join(part.capitalize() for part in name.split("_"))
    imported = ", ".join(re.findall(r"^from .* import (.*)$", CODE.template, re.MULTILINE)).split(", ")
    if cls in imported or keyword.iskeyword(cls):
        raise InputRefused(f"strategy name '{name}': its class {cls} would hide another of that name; choose another")
    if not re.fullmatch(r"[a-z][a-z0-9_]{2,40}", name):
        raise InputRefused(
            f"strategy name '{name}': use 3 to 41 lower-case letters, digits and _, for example NAME=breakout"
        )
    files = {
        paths.root / "src" / "workbench" / "strategies" / f"{name}.py": CODE,
        paths.params / "strategies" / f"{name}.yaml": PARAMS,
        paths.root / "tests" / "strategies" / f"test_{name}.py": TEST,
    }
    for file in files:
        if file.exists():
            raise InputRefused(f"{paths.short(file)} exists already; choose another name or delete it first")
    names = {
        "name": name,
        "cls": cls,
        "words": name.replace("_", " "),
    }
    written: list[Path] = []
    try:
        for file, text in files.items():
            written.append(file)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.substitute(names))
    except OSError as error:
        for file in written:
            with contextlib.suppress(OSError):  # what could not be written is often not to be deleted either
                file.unlink(missing_ok=True)
        left = ", ".join(paths.short(file) for file in written if file.exists())
        done = f"delete what is left: {left}" if left else "nothing was written"
        raise CannotWrite(f"{paths.short(written[-1])}: {error.strerror}; {done}") from error
    return written
