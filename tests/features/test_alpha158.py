"""The formulas by numbers worked on paper, windows by plain recomputation, and all columns against pyqlib's own."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.errors import DataRefused, InputRefused
from workbench.features.alpha158 import FIELDS, NAMES, alpha158
from workbench.features.protocol import Family
from workbench.types import Bars

ROOT = Path(__file__).parents[2]
PEER = "WORKBENCH_TEST_PYQLIB"

# Six sessions of one symbol. The window of five that ends in the last session holds the closes 11 12 11 13 14.
OPEN = [10.0, 10.0, 11.0, 12.0, 11.0, 12.0]
HIGH = [11.0, 12.0, 13.0, 12.0, 13.0, 15.0]
LOW = [9.0, 10.0, 11.0, 10.0, 11.0, 11.0]
CLOSE = [10.0, 11.0, 12.0, 11.0, 13.0, 14.0]
VOLUME = [9.0, 99.0, 9.0, 999.0, 99.0, 99.0]

BY_HAND = {
    "KMID": 2 / 12,
    "KLEN": 4 / 12,
    "KMID2": 2 / 4,
    "KUP": 1 / 12,
    "KUP2": 1 / 4,
    "KLOW": 1 / 12,
    "KLOW2": 1 / 4,
    "KSFT": 2 / 12,
    "KSFT2": 2 / 4,
    "OPEN0": 12 / 14,
    "HIGH0": 15 / 14,
    "LOW0": 11 / 14,
    "VWAP0": 40 / 3 / 14,
    "ROC5": 10 / 14,
    "MA5": 12.2 / 14,
    "STD5": np.sqrt(6.8 / 4) / 14,  # deviations from 12.2: -1.2 -0.2 -1.2 0.8 1.8, squares 6.8
    "BETA5": 0.7 / 14,  # places 1 to 5 deviate by -2 to 2: products 7.0, squares 10
    "RSQR5": 49 / 68,
    "RESI5": 0.4 / 14,  # the line reaches 12.2 + 2 * 0.7 = 13.6
    "MAX5": 15 / 14,
    "MIN5": 10 / 14,
    "QTLU5": 13.2 / 14,  # 11 11 12 13 14 at place 3.2
    "QTLD5": 11 / 14,  # at place 0.8
    "RANK5": 1.0,
    "RSV5": 4 / 5,
    "IMAX5": 5 / 5,
    "IMIN5": 1 / 5,  # lows 10 11 10 11 11: the first of the two lowest
    "IMXD5": 4 / 5,
    "CORR5": -1 / np.sqrt(13.6),  # volume + 1 is 10 to the power of 2 1 3 2 2: products -1, squares 2
    "CNTP5": 4 / 5,
    "CNTN5": 1 / 5,
    "CNTD5": 3 / 5,
    "SUMP5": 5 / 6,  # up 1 1 2 1, down 1
    "SUMN5": 1 / 6,
    "SUMD5": 4 / 6,
    "VMA5": 261 / 99,
    "VSTD5": np.sqrt(686_880 / 4) / 99,  # deviations -162 -252 738 -162 -162
    "VSUMP5": 1080 / 2070,  # up 90 990, down 90 900
    "VSUMN5": 990 / 2070,
    "VSUMD5": 90 / 2070,
    "CORD5": np.corrcoef(
        [11 / 10, 12 / 11, 11 / 12, 13 / 11, 14 / 13], np.log([12, 12 / 11, 112, 122 / 111, 2])
    )[0, 1],
    "WVMA5": np.std([9.9, 9 / 11, 83.25, 18.0, 99 / 13], ddof=1) / np.mean([9.9, 9 / 11, 83.25, 18.0, 99 / 13]),
    # Windows that reach before the first session hold what there is: closes 10 11 12 11 13 14.
    "MA60": 71 / 6 / 14,
    "MIN60": 9 / 14,
    "QTLD10": 11 / 14,  # 10 11 11 12 13 14 at place 1.0
    "IMIN20": 1 / 20,
    "CNTP30": 4 / 6,  # the first session has no session before it and counts as not up
    "SUMP10": 5 / 6,
    "ROC10": np.nan,
}  # fmt: skip


@pytest.fixture
def six(bars_of) -> Bars:
    return bars_of(CLOSE, open=columns(OPEN), high=columns(HIGH), low=columns(LOW), volume=columns(VOLUME))


def columns(values):
    return np.array(values)[:, None]


def last(bars, name, row=-1):
    return alpha158().compute(bars).frame(name).iloc[row, 0]


@pytest.mark.parametrize("name", BY_HAND)
def test_a_formula_worked_on_paper(six, name):
    assert last(six, name) == pytest.approx(BY_HAND[name], rel=1e-6, nan_ok=True)


def test_every_kind_of_column_is_worked_on_paper():
    kinds = {name.rstrip("0123456789") for name in NAMES if name not in ("KMID2", "KUP2", "KLOW2", "KSFT2")}
    assert kinds == {name.rstrip("0123456789") for name in BY_HAND}
    assert len(NAMES) == len(set(NAMES)) == 158


def test_equal_values_share_their_rank_and_the_oldest_of_equal_highs_counts(six):
    assert last(six, "RANK5", 3) == pytest.approx(2.5 / 4)  # 10 11 12 and again 11: places 2 and 3
    assert last(six, "IMAX5", 4) == pytest.approx(3 / 5)  # highs 11 12 13 12 13


def test_the_first_session_knows_only_itself(six):
    first = alpha158().compute(six).to_long().iloc[0]
    assert first[["MA5", "RANK60", "QTLU20", "VMA30"]].tolist() == [1.0, 1.0, 1.0, 1.0]
    assert first["IMAX5"] == pytest.approx(1 / 5)
    assert first["CNTP5"] == 0.0
    assert first[["STD5", "BETA5", "RSQR5", "RESI5", "CORR5", "SUMP5", "ROC5", "WVMA5"]].isna().all()


def test_a_price_that_stands_still_has_no_spread_and_no_fit(bars_of):
    bars = bars_of(np.full(80, 33.3))
    table = alpha158().compute(bars).to_long().iloc[-1]
    assert table[[f"STD{w}" for w in (5, 10, 20, 30, 60)]].tolist() == [0.0] * 5
    assert table[["RSQR60", "CORR60", "CORD60"]].isna().all()
    assert table["MA60"] == pytest.approx(1.0, rel=1e-7)


def test_a_given_vwap_is_used(six):
    vwap = pd.DataFrame(columns([10.0, 10.5, 12.0, 11.0, 12.0, 13.5]), index=six.index, columns=list(six.symbols))
    assert alpha158(["VWAP0"], vwap).compute(six).frame("VWAP0").iloc[-1, 0] == pytest.approx(13.5 / 14)
    with pytest.raises(DataRefused, match="vwap has no row of"):
        alpha158(["VWAP0"], vwap.iloc[:3]).compute(six)


def test_a_session_without_a_bar_is_missing_and_the_next_ones_leave_it_out(bars_of):
    gap = [10.0, 11.0, np.nan, 13.0, 12.0]
    table = alpha158().compute(bars_of(gap, volume=columns([1.0, 2.0, np.nan, 4.0, 3.0]))).to_long()
    assert table.iloc[2].isna().all()
    at_end = table.iloc[-1]
    assert at_end["MA5"] == pytest.approx((10 + 11 + 13 + 12) / 4 / 12)
    assert at_end["CNTP5"] == pytest.approx(1 / 4)  # of four bars one is above a bar of the session before
    assert at_end["SUMP5"] == pytest.approx(1 / 2)  # 11 - 10, 12 - 13
    # Places 1 2 4 5 and closes 10 11 13 12: means 3 and 11.5, products 6, squares 10
    assert at_end["BETA5"] == pytest.approx(6 / 10 / 12)


def test_a_symbol_listed_late_equals_itself_alone(walk):
    late = {name: getattr(walk, name).copy() for name in ("open", "high", "low", "close", "volume", "traded_close")}
    for frame in late.values():
        frame.iloc[:431, 2] = np.nan
    whole = alpha158().compute(Bars(**late)).values[:, 2, 431:]
    alone = alpha158().compute(walk.select([walk.symbols[2]]).between(walk.index[431])).values[:, 0]
    np.testing.assert_array_equal(whole, alone)


def test_a_row_needs_the_lookback_and_nothing_else(walk):
    family = alpha158()
    assert isinstance(family, Family)
    whole = family.compute(walk).values
    for row in (300, 511, 512, 513, 599):
        few = family.compute(walk.between(walk.index[row - family.lookback + 1], walk.index[row]))
        np.testing.assert_array_equal(few.values[:, :, -1], whole[:, :, row])


def test_windows_equal_a_plain_recomputation(bars_of):
    chance = np.random.default_rng(5)
    close = np.round(20 * np.exp(np.cumsum(chance.normal(0, 0.02, 700))), 1)
    close[[77, 300, 301, 302, 555]] = np.nan
    volume = np.where(np.isnan(close), np.nan, np.round(chance.lognormal(10, 2, 700)))
    bars = bars_of(close, volume=volume[:, None])
    found = alpha158().compute(bars).to_long().reset_index(drop=True)
    x, v, h = pd.Series(close), pd.Series(volume), bars.high.iloc[:, 0].reset_index(drop=True)
    for w in (5, 10, 20, 30, 60):
        window = x.rolling(w, min_periods=1)
        step = x.diff()
        expected = {
            f"MA{w}": window.mean() / x,
            f"QTLU{w}": window.quantile(0.8) / x,
            f"QTLD{w}": window.quantile(0.2) / x,
            f"RANK{w}": window.rank(pct=True),
            f"MAX{w}": h.rolling(w, min_periods=1).max() / x,
            f"STD{w}": [np.nan if n < 2 else s for n, s in zip(window.count(), plain(x, w, np.std), strict=True)] / x,
            f"VSTD{w}": plain(v, w, np.std) / v,
            f"SUMP{w}": step.clip(lower=0).rolling(w, min_periods=1).sum()
            / (step.abs().rolling(w, min_periods=1).sum() + 1e-12),
            f"BETA{w}": plain(x, w, slope) / x,
        }
        for name, values in expected.items():
            values = pd.Series(values).where(x.notna())
            np.testing.assert_allclose(found[name], values, rtol=2e-6, atol=1e-8, err_msg=name)


def plain(series, window, function):
    """Apply a function to the numbers of each window, and to where they stand, one window after another."""
    found = []
    for end in range(len(series)):
        values = series.to_numpy()[max(0, end - window + 1) : end + 1]
        place = np.flatnonzero(~np.isnan(values))
        if len(place) < 2:
            found.append(np.nan)
        elif function is np.std:
            found.append(np.std(values[place], ddof=1))
        else:
            found.append(function(place, values[place]))
    return np.array(found)


def slope(place, values):
    return np.polyfit(place, values, 1)[0]


def test_some_columns_equal_the_same_columns_of_all(walk):
    some = ["STD20", "KMID", "CORD60"]
    all_, few = alpha158().compute(walk), alpha158(some).compute(walk)
    assert few.names == tuple(some)
    np.testing.assert_array_equal(all_[some].values, few.values)


def test_memory_can_be_used_again(walk):
    first = alpha158(["MA5"]).compute(walk)
    again = alpha158(["MA5"]).compute(walk, out=np.full_like(first.values, 7.0))
    np.testing.assert_array_equal(first.values, again.values)
    with pytest.raises(InputRefused, match=r"out is float64 .*; give float32 \(1, 12, 600\)"):
        alpha158(["MA5"]).compute(walk, out=np.zeros((1, 12, 600)))


def test_a_wrong_name_is_refused():
    with pytest.raises(InputRefused, match=r"unknown column 'RSQ60'. Did you mean 'RSQR60'\?"):
        alpha158(["RSQ60"])
    with pytest.raises(InputRefused, match="'MA5' is asked for twice"):
        alpha158(["MA5", "MA5"])


@pytest.mark.timeout(280)
def test_all_columns_equal_the_output_of_pyqlib(tmp_path):
    python = os.environ.get(PEER)
    if not python:
        pytest.skip(f"set {PEER} to the python of an environment with pyqlib==0.9.7 to compare all 158 columns with it")
    market, gap = awkward_market()
    np.savez(tmp_path / "market.npz", **market)
    script = ROOT / "bench" / "peers" / "pyqlib_features.py"
    ran = subprocess.run(
        [python, str(script), str(tmp_path), "--out", str(tmp_path / "peer.npy")],
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert json.loads(ran.stdout.splitlines()[-1])["columns"] == 158
    peer = np.load(tmp_path / "peer.npy")
    index, symbols = pd.DatetimeIndex(market["days"]), list(market["symbols"])
    frames = {n: pd.DataFrame(market[n], index=index, columns=symbols) for n in FIELDS}
    vwap = pd.DataFrame(market["vwap"], index=index, columns=symbols)
    own = alpha158(vwap=vwap).compute(Bars(**frames, traded_close=frames["close"])).values
    here = np.isfinite(market["close"]).T
    for number, name in enumerate(NAMES):
        compared = here.copy()
        # docs/features.md: a session without a bar is not counted, and cannot be the highest.
        if name.startswith(("IM", "CNT")):
            compared &= ~gap[int(name[4:])].T
        assert compared.sum() > 1500
        a, b = own[number][compared], peer[number][compared]
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5, err_msg=name)


def awkward_market():
    """Return a market in single precision with ties, a flat stretch, no volume, late and early ends, and halts.

    Also for each window where a halt lies inside it.
    """
    chance = np.random.default_rng(5)
    rows, count = 300, 12
    close = 50 * np.exp(np.cumsum(chance.normal(0, 0.015, (rows, count)), 0))
    opened = np.vstack([close[:1], close[:-1]]) * (1 + chance.normal(0, 0.004, (rows, count)))
    close, opened = np.round(close, 1), np.round(opened, 1)
    high = np.maximum(opened, close) + np.round(chance.uniform(0, 0.5, (rows, count)), 1)
    low = np.minimum(opened, close) - np.round(chance.uniform(0, 0.5, (rows, count)), 1)
    volume = np.round(chance.lognormal(12, 1, (rows, count)))
    for field in (opened, high, low, close):
        field[100:140, 3] = close[100, 3]
    volume[50, 4] = 0.0
    listed = np.ones((rows, count), bool)
    listed[:120, 5] = listed[200:, 6] = False
    halted = np.zeros((rows, count), bool)
    halted[80, 7] = halted[150:155, 8] = halted[220:290, 9] = True
    fields = {"open": opened, "high": high, "low": low, "close": close, "volume": volume}
    fields = {n: np.where(listed & ~halted, f, np.nan).astype(np.float32).astype(float) for n, f in fields.items()}
    fields["vwap"] = ((fields["high"] + fields["low"] + fields["close"]) / 3).astype(np.float32).astype(float)
    days = pd.bdate_range("2015-01-01", periods=rows).strftime("%Y-%m-%d").to_numpy().astype("U10")
    symbols = np.array([f"SYM{number:02}" for number in range(count)])
    gap = {w: pd.DataFrame(halted).rolling(w, min_periods=1).max().to_numpy() > 0 for w in (5, 10, 20, 30, 60)}
    return {"days": days, "symbols": symbols, **fields}, gap
