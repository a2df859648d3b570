"""A market with everything that can be read ahead: splits, halts, a listing, delistings, uneven volume."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.data.by_hand import put
from workbench.data.lake import Lake
from workbench.data.sample import SampleSource
from workbench.data.source import Request
from workbench.params import SampleParams
from workbench.sessions import Calendar
from workbench.types import Bars

SYMBOLS = [f"{sector}{number:02d}" for sector in ("TEC", "FIN", "HLT") for number in range(4)]
ROWS = 600


def make_eventful(rows: int = ROWS, seed: int = 3) -> Bars:
    """Return 12 symbols on a walk with opens, highs and lows of their own.

    TEC03 is delisted after row 399, HLT02 after row 519, FIN03 is listed in row 200, FIN01 is halted in row 300 and
    HLT00 in the rows 350 to 352, TEC00 was split 2:1 in row 250.
    """
    random = np.random.default_rng(seed)
    moves = random.normal(0.0003, 0.008, (rows, 1)) + random.normal(0.0, 0.012, (rows, 12))
    close = 50.0 * np.exp(np.cumsum(moves, axis=0))
    opened = np.vstack([close[:1], close[:-1]]) * np.exp(random.normal(0.0, 0.004, close.shape))
    fields = {
        "open": opened,
        "high": np.fmax(opened, close) * (1.0 + random.random(close.shape) / 100),
        "low": np.fmin(opened, close) * (1.0 - random.random(close.shape) / 100),
        "close": close,
        "volume": np.exp(random.normal(13.0, 0.6, close.shape)).round(),
        "traded_close": close.copy(),
    }
    fields["traded_close"][:250, 0] *= 2.0
    gone = np.zeros(close.shape, dtype=bool)
    gone[400:, 3] = gone[520:, 10] = gone[:200, 7] = gone[300, 5] = gone[350:353, 8] = True
    index = pd.DatetimeIndex(Calendar().sessions("2020-01-02", "2025-12-31")[:rows], freq=None)
    frames = {name: pd.DataFrame(np.where(gone, np.nan, each), index, SYMBOLS) for name, each in fields.items()}
    names = {"TEC": "Technology", "FIN": "Finance", "HLT": "Health"}
    return Bars(**frames, market="sample", sectors={symbol: names[symbol[:3]] for symbol in SYMBOLS})


@pytest.fixture(scope="session")
def eventful() -> Bars:
    """The market, shared: the guard gives each subject a copy."""
    return make_eventful()


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Lake:
    """Four years of the sample market with its macro series: what is known later is there to be read."""
    source = SampleSource(SampleParams(years=4, symbols_per_sector=3, intraday_sessions=0))
    made = Lake(tmp_path_factory.mktemp("lake") / "lake", "sample")
    for name in ("symbols", "prices_daily", "actions", "macro"):
        put(made, name, source.fetch(Request(name)).rows)
    return made
