"""What the tests of pictures share: a walk-forward as small as the question, and the texts of a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from workbench.backtest.result import WalkForward


@pytest.fixture
def texts() -> Callable[[Figure], list[str]]:
    """Return every text that is drawn, tick labels included."""

    def read(figure: Figure) -> list[str]:
        figure.canvas.draw()
        found = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
        return [text for text in found if text]

    return read


@pytest.fixture
def small(walk_forward_made) -> Callable[[Sequence[float]], WalkForward]:
    """Return the maker of a walk-forward whose equity takes these values from 30 December 2021 on, day by day."""

    def make(values: Sequence[float]) -> WalkForward:
        index = pd.date_range("2021-12-30", periods=len(values), freq="D")
        equity = pd.Series(np.asarray(values, dtype=float), index=index)
        simulation = replace(
            walk_forward_made.simulation,
            equity=equity,
            returns=equity / equity.shift(fill_value=100.0) - 1.0,
            positions=pd.DataFrame({"AAA00": 0.0}, index=index),
            costs=pd.DataFrame({"commission": 0.0, "spread": 0.0}, index=index),
            orders=walk_forward_made.simulation.orders.iloc[:0],
            trades=walk_forward_made.simulation.trades.iloc[:0],
            cash=100.0,
        )
        folds = walk_forward_made.folds.head(1).assign(test_start=index[0], test_end=index[-1])
        benchmark = pd.Series(0.0, index=index, name="benchmark")
        return replace(walk_forward_made, simulation=simulation, folds=folds, benchmark=benchmark)

    return make
