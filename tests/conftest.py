"""Fixtures that many tests share: small markets made by hand or by a plain random walk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.sessions import Calendar
from workbench.types import Bars

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture
def shared() -> Path:
    """Recorded real-world data beside the checkout; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the recorded data folder ../shared/data is not beside this checkout")
    return SHARED


def make_bars(close: np.ndarray, symbols: list[str] | None = None, start: str = "2020-01-02", **fields: object) -> Bars:
    """Return daily bars with these closes; opens equal the close before, highs and lows lie 1 % around."""
    close = np.asarray(close, dtype=float)
    close = close[:, None] if close.ndim == 1 else close
    symbols = symbols or [f"AAA{number:02d}" for number in range(close.shape[1])]
    index = Calendar().sessions(start, "2025-12-31")[: len(close)]
    index = pd.DatetimeIndex(index, freq=None)

    def frame(values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(values, index=index, columns=symbols)

    opened = np.vstack([close[:1], close[:-1]])
    opened = np.where(np.isnan(opened), close, opened)
    opened = np.where(np.isnan(close), np.nan, opened)
    values = {
        "open": opened,
        "high": np.fmax(opened, close) * 1.01,
        "low": np.fmin(opened, close) * 0.99,
        "close": close,
        "volume": np.full_like(close, 1e6),
        "traded_close": close,
    }
    values |= {name: np.asarray(value, dtype=float) for name, value in fields.items() if name in values}
    rest = {name: value for name, value in fields.items() if name not in values}
    return Bars(**{name: frame(value) for name, value in values.items()}, **rest)  # type: ignore[arg-type]


@pytest.fixture
def bars_of() -> Callable[..., Bars]:
    """The maker of bars from closes."""
    return make_bars


@pytest.fixture
def walk() -> Bars:
    """Twelve symbols in three sectors on a random walk of 600 sessions: no effect is in it."""
    random = np.random.default_rng(3)
    market = random.normal(0.0003, 0.008, (600, 1))
    close = 50.0 * np.exp(np.cumsum(market + random.normal(0.0, 0.012, (600, 12)), axis=0))
    symbols = [f"{sector}{number:02d}" for sector in ("TEC", "FIN", "HLT") for number in range(4)]
    names = {"TEC": "Technology", "FIN": "Finance", "HLT": "Health"}
    bars = make_bars(close, symbols, sectors={symbol: names[symbol[:3]] for symbol in symbols}, market="sample")
    return bars
