import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workbench.errors import DataRefused
from workbench.params import SizingParams
from workbench.strategies.sizing import size
from workbench.types import Bars

CAPS = SizingParams(target_volatility=None, max_weight=0.3, max_gross=1.0, max_net=0.5)

INDEX = pd.DatetimeIndex(["2024-07-01", "2024-07-02", "2024-07-03", "2024-07-05", "2024-07-08", "2024-07-09"])
FLAT = Bars(*[pd.DataFrame(10.0, index=INDEX, columns=list("ABCD"))] * 6)


def like(bars, values) -> pd.DataFrame:
    return pd.DataFrame(values, index=bars.index, columns=list(bars.symbols))


@given(raw=arrays(float, (6, 4), elements=st.floats(-3, 3)))
@settings(max_examples=80)
def test_no_cap_is_ever_exceeded(raw):
    weights = size(like(FLAT, raw), FLAT, CAPS).to_numpy()
    assert (np.abs(weights) <= 0.3).all()
    assert (np.abs(weights).sum(axis=1) <= 1.0 + 1e-12).all()
    assert (np.abs(weights.sum(axis=1)) <= 0.5 + 1e-12).all()
    assert (np.sign(weights) * np.sign(raw) >= 0).all()


def test_caps_by_hand(bars_of):
    bars = bars_of(np.full((1, 4), 10.0))
    # 0.9 and 0.9 are cut to 0.3 each; net 0.6 - 0.05 = 0.55 is shrunk to 0.5
    found = size(like(bars, [[0.9, 0.9, -0.05, 0.0]]), bars, CAPS).iloc[0].tolist()
    assert found == pytest.approx([0.3 / 1.1, 0.3 / 1.1, -0.05 / 1.1, 0.0], abs=1e-6)


def test_the_volatility_is_brought_to_the_target(walk):
    sizing = SizingParams(target_volatility=0.08, max_weight=2.0, max_gross=10.0, max_net=1.0)
    raw = like(walk, np.tile([0.2, -0.2] * 6, (len(walk), 1)))
    weights = size(raw, walk, sizing)
    realised = (weights.shift(1) * walk.returns()).sum(axis=1).iloc[80:].std() * np.sqrt(252)
    assert 0.07 < realised < 0.09
    assert (weights.iloc[:63] == 0).all(axis=None)  # no volatility is known yet


def test_weights_on_a_missing_symbol_are_zero_and_infinite_ones_refused(bars_of):
    bars = bars_of([[10.0, np.nan]])
    assert size(like(bars, [[0.1, 0.1]]), bars, CAPS).iloc[0].tolist() == [0.1, 0.0]
    with pytest.raises(DataRefused, match="is inf"):
        size(like(bars_of([[10.0, 10.0]]), [[0.1, np.inf]]), bars_of([[10.0, 10.0]]), CAPS)


def test_misaligned_weights_are_refused(walk):
    with pytest.raises(DataRefused, match="align them first"):
        size(like(walk, 0.0).iloc[1:], walk, CAPS)
