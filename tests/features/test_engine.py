"""The engine: what is kept is not computed again, what is new is, and both together equal everything at once."""

import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tests.data.by_hand import put
from workbench.data.lake import Lake
from workbench.errors import InputRefused, NoData
from workbench.features import technical
from workbench.features.alpha158 import alpha158
from workbench.features.crosssection import neutral, ranked
from workbench.features.dense import kept_bars
from workbench.features.digest import feature_digest
from workbench.features.engine import Engine, evaluate
from workbench.features.timeframe import weekly
from workbench.sessions import Calendar

ROWS = 420
KNOWN = {"known_at": pl.lit(datetime(2020, 12, 1, tzinfo=UTC), pl.Datetime("us", "UTC")), "source": pl.lit("test")}
SESSIONS = Calendar().sessions("2021-01-04", "2023-12-29")[: ROWS + 5]
LIBRARY = [
    alpha158(),
    technical.momentum(21),
    technical.rsi(14),
    ranked(technical.volatility(10)),
    neutral(technical.momentum(5)),
    weekly(technical.distance(4)),
]


def market(rows):
    symbols = 9
    chance = np.random.default_rng(12)
    close = np.round(50 * np.exp(np.cumsum(chance.normal(0, 0.02, (len(SESSIONS), symbols)), axis=0)), 2)[:rows]
    volume = np.round(chance.lognormal(12, 1, (len(SESSIONS), symbols)))[:rows]
    table = pl.DataFrame(
        {
            "symbol": np.tile([f"SYM{number}" for number in range(symbols)], rows),
            "session": pl.Series([day.date() for day in SESSIONS[:rows]]).gather(np.repeat(np.arange(rows), symbols)),
            "open": np.round(close * 0.999, 2).ravel(),
            "high": np.round(close * 1.01, 2).ravel(),
            "low": np.round(close * 0.99, 2).ravel(),
            "close": close.ravel(),
            "volume": volume.ravel(),
        }
    )
    known = (pl.col("session").cast(pl.Datetime("us")) + timedelta(hours=21)).dt.replace_time_zone("UTC")
    return table.with_columns(known_at=known, source=pl.lit("test"))


@pytest.fixture
def lake(tmp_path):
    lake = Lake(tmp_path / "lake", "sample")
    put(lake, "prices_daily", market(ROWS))
    told = {"session": [SESSIONS[0].date()], "symbol": ["OTHER"], "kind": ["split"], "value": [2.0]}
    put(lake, "actions", pl.DataFrame(told).with_columns(**KNOWN))
    listed = [
        {"symbol": f"SYM{number}", "name": "x", "sector": "AB"[number % 2], "kind": "stock"} for number in range(9)
    ]
    put(
        lake,
        "symbols",
        pl.DataFrame(listed).with_columns(listed=pl.lit(SESSIONS[0].date()), delisted=pl.lit(None, pl.Date), **KNOWN),
    )
    return lake


def at_once(lake, **asked):
    return evaluate(LIBRARY, lake.bars(**asked))


def same(found, expected):
    assert found.names == expected.names
    assert found.symbols == expected.symbols
    assert found.index.equals(expected.index)
    windows = len(alpha158().names)
    np.testing.assert_array_equal(found.values[:windows], expected.values[:windows])
    np.testing.assert_allclose(found.values[windows:], expected.values[windows:], rtol=1e-6, atol=1e-9)


def test_the_second_time_nothing_is_computed(lake, tmp_path):
    engine = Engine(lake, tmp_path / "features")
    first = engine.evaluate(LIBRARY)
    assert set(first.rows_computed.values()) == {ROWS}
    same(first.columns, at_once(lake))
    again = engine.evaluate(LIBRARY)
    assert set(again.rows_computed.values()) == {0}
    np.testing.assert_array_equal(first.columns.values, again.columns.values)


def test_new_days_alone_are_computed_and_equal_the_whole(lake, tmp_path):
    engine = Engine(lake, tmp_path / "features")
    engine.evaluate(LIBRARY)
    for rows, new in ((ROWS + 1, 1), (ROWS + 4, 3)):
        put(lake, "prices_daily", market(rows))
        found = engine.evaluate(LIBRARY)
        assert set(found.rows_computed.values()) == {new}
        same(found.columns, at_once(lake))


def test_one_day_reads_its_quarter_and_what_the_windows_look_back_on(lake, tmp_path):
    engine = Engine(lake, tmp_path / "features")
    few = [alpha158(), technical.momentum(21)]
    engine.evaluate(few)
    put(lake, "prices_daily", market(ROWS + 1))
    found = engine.evaluate(few, start=SESSIONS[ROWS].date())
    # 112 calendar days before the quarter's first, 61 sessions being asked for, and the quarter so far.
    quarter = [
        day for day in SESSIONS[: ROWS + 1] if day.quarter == SESSIONS[ROWS].quarter and day.year == SESSIONS[ROWS].year
    ]
    assert len(quarter) + 61 <= found.rows_read <= len(quarter) + 85
    assert found.rows_computed == {"Alpha158": 1, "momentum_21": 1}
    assert list(found.columns.index) == [SESSIONS[ROWS]]
    whole = evaluate(few, lake.bars())
    np.testing.assert_array_equal(found.columns.values[:, :, 0], whole.values[:, :, -1])


def test_a_correction_recomputes_the_quarters_it_touches(lake, tmp_path):
    engine = Engine(lake, tmp_path / "features")
    few = [alpha158(), technical.momentum(5)]
    engine.evaluate(few)
    wrong = market(ROWS).filter((pl.col("session") == SESSIONS[100].date()) & (pl.col("symbol") == "SYM3"))
    right = wrong.with_columns(close=pl.col("close") * 1.005, known_at=pl.col("known_at") + timedelta(days=3))
    assert put(lake, "prices_daily", right).corrected == 1
    found = engine.evaluate(few)
    quarters = [pd.Timestamp(day).to_period("Q") for day in SESSIONS[:ROWS]]
    # Session 100 lies in the second quarter of 2021 and decides the sixty that follow, into the third.
    touched = sum(str(quarter) in ("2021Q2", "2021Q3") for quarter in quarters)
    assert found.rows_computed["Alpha158"] == touched
    assert found.rows_computed["momentum_5"] == sum(str(quarter) == "2021Q2" for quarter in quarters)
    np.testing.assert_array_equal(found.columns.values, evaluate(few, lake.bars()).values)
    # What was known before the correction is still there, and still right.
    before = engine.evaluate(few, as_of="2021-05-28T22:00:00Z")
    np.testing.assert_array_equal(before.columns.values, evaluate(few, lake.bars(as_of="2021-05-28T22:00:00Z")).values)


def test_a_split_that_changes_all_prices_recomputes_them(lake, tmp_path):
    engine = Engine(lake, tmp_path / "features")
    few = [technical.momentum(5)]
    before = engine.evaluate(few).columns
    split = {"session": [SESSIONS[ROWS - 2].date()], "symbol": ["SYM1"], "kind": ["split"], "value": [2.0]}
    put(
        lake,
        "actions",
        pl.DataFrame(split).with_columns(**KNOWN),
    )
    after = engine.evaluate(few)
    assert after.rows_computed == {"momentum_5": ROWS}
    assert not np.array_equal(before.values, after.columns.values, equal_nan=True)


def test_a_damaged_file_counts_as_absent(lake, tmp_path):
    engine = Engine(lake, tmp_path / "features")
    whole = engine.evaluate([technical.momentum(5)]).columns
    files = sorted((tmp_path / "features").rglob("*Q*.npy"))
    content = bytearray(files[0].read_bytes())
    content[-100] ^= 1
    files[0].write_bytes(content)
    files[1].write_bytes(files[1].read_bytes()[:-64])
    found = engine.evaluate([technical.momentum(5)])
    assert 0 < found.rows_computed["momentum_5"] < ROWS
    np.testing.assert_array_equal(found.columns.values, whole.values)
    assert engine.evaluate([technical.momentum(5)]).rows_computed == {"momentum_5": 0}


def test_one_file_a_quarter_stays(lake, tmp_path):
    engine = Engine(lake, tmp_path / "features")
    for rows in range(ROWS, ROWS + 4):
        put(lake, "prices_daily", market(rows))
        engine.evaluate([technical.momentum(5)])
    labels = [file.name.split("-")[0] for file in (tmp_path / "features").rglob("*Q*.npy")]
    assert len(labels) == len(set(labels)) == SESSIONS[: ROWS + 3].to_period("Q").nunique()


def test_kept_bars_are_the_lakes_own_and_follow_its_versions(lake, tmp_path):
    folder = tmp_path / "bars"
    for asked in ({}, {"symbols": ["SYM4", "SYM1"]}, {"start": "2022-01-03"}, {"as_of": "2022-03-01T22:00:00Z"}):
        for _ in range(2):
            found, expected = kept_bars(lake, folder, **asked), lake.bars(**asked)
            assert (found.symbols, found.sectors, found.market) == (expected.symbols, expected.sectors, "sample")
            for name in ("open", "high", "low", "close", "volume", "traded_close"):
                pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name), check_freq=False)
    put(lake, "prices_daily", market(ROWS + 1))
    assert len(kept_bars(lake, folder)) == ROWS + 1
    assert len(kept_bars(lake, folder, versions={"prices_daily": 0})) == ROWS
    for file in folder.glob("*.npy"):
        file.write_bytes(file.read_bytes()[:-8])
    assert len(kept_bars(lake, folder)) == ROWS + 1


@pytest.mark.parametrize("feature", LIBRARY[1:], ids=lambda feature: feature.name)
def test_a_feature_reads_its_inputs_and_nothing_else(feature, lake):
    bars = lake.bars()
    changed = {}
    for name in ("open", "high", "low", "close", "volume"):
        if name not in feature.inputs:
            frame = getattr(bars, name) * 1.7
            frame.iloc[50:55, 2] = np.nan
            changed[name] = frame
    pd.testing.assert_frame_equal(feature.compute(bars), feature.compute(replace(bars, **changed)))


def test_a_digest_follows_parameters_code_and_what_is_inside():
    one = feature_digest(technical.momentum(21))
    assert one == feature_digest(technical.momentum(21))
    others = [
        technical.momentum(22),
        technical.volatility(21),
        ranked(technical.momentum(21)),
        alpha158(),
        alpha158(["MA5"]),
    ]
    assert len({one, *map(feature_digest, others)}) == 6
    frame = pd.DataFrame([[1.0]], index=pd.DatetimeIndex(["2021-01-04"]), columns=["A"])
    assert feature_digest(alpha158(vwap=frame)) != feature_digest(alpha158(vwap=frame + 1.0))


def test_a_feature_typed_into_a_notebook_is_its_code(tmp_path):
    typed = """
from dataclasses import dataclass
from workbench.features.digest import feature_digest
def half(x):
    return x * {factor}
SHIFT = {shift}
@dataclass(frozen=True)
class Mine:
    name: str = "mine"
    inputs: tuple = ("close",)
    lookback: int = 1
    def compute(self, bars):
        return {body} + SHIFT
print(feature_digest(Mine()))
"""
    told = []
    for factor, shift, body in [
        (0.5, 1, "half(bars.close)"),
        (0.5, 1, "half(bars.close)"),
        (0.6, 1, "half(bars.close)"),
        (0.5, 2, "half(bars.close)"),
        (0.5, 1, "bars.close"),
    ]:
        script = typed.format(factor=factor, shift=shift, body=body)
        told.append(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
    assert told[0] == told[1]
    assert len(set(told)) == 4


@pytest.mark.parametrize(
    "importing", ["from mine.maths import twice", "from .maths import twice", "from mine import maths"]
)
def test_a_digest_follows_what_a_package_of_the_users_imports(tmp_path, importing):
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "spread.py").write_text(f"""
from dataclasses import dataclass
{importing}
@dataclass(frozen=True)
class Spread:
    name: str = "spread"
    inputs: tuple = ("close",)
    lookback: int = 1
    def compute(self, bars):
        return {"maths.twice" if importing.endswith("maths") else "twice"}(bars.close)
""")
    ask = (
        "from mine.spread import Spread; from workbench.features.digest import feature_digest as d; print(d(Spread()))"
    )
    told = []
    for factor in (2, 2, 3):
        (package / "maths.py").write_text(f"def twice(x):\n    return {factor} * x\n")
        done = subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True)
        told.append(done.stdout)
    assert told[0] == told[1] != told[2]


def test_a_feature_that_cannot_be_named_is_refused():
    @dataclass(frozen=True)
    class Odd:
        model: object
        name: str = "odd"

    with pytest.raises(InputRefused, match="feature odd: a object among its parameters has no digest"):
        feature_digest(Odd(object()))


def test_wrong_questions_are_refused(lake, tmp_path, walk):
    engine = Engine(lake, tmp_path / "features")
    with pytest.raises(InputRefused, match="nothing to evaluate"):
        evaluate([], walk)
    with pytest.raises(InputRefused, match="is no feature"):
        evaluate(["momentum"], walk)
    with pytest.raises(InputRefused, match="two columns are named 'momentum_5'"):
        evaluate([technical.momentum(5), technical.momentum(5)], walk)
    with pytest.raises(NoData, match="no bar from 2022-09-12 on; the newest is of 2022-09-01"):
        engine.evaluate([technical.momentum(5)], start="2022-09-12")
    columns = evaluate([technical.momentum(5)], walk)
    assert columns.of(["FIN01", "TEC00"]).frame("momentum_5").equals(columns.frame("momentum_5")[["FIN01", "TEC00"]])
    with pytest.raises(InputRefused, match="no symbol 'FIN99'"):
        columns.of(["FIN99"])
    with pytest.raises(InputRefused, match=r"no column 'momentum_6'\. Did you mean 'momentum_5'"):
        columns.frame("momentum_6")
