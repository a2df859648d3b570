"""The engine: what is kept is not computed again, what is new is, and both together equal everything at once."""

import copy
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tests.data.by_hand import put
from workbench.data.lake import Lake
from workbench.errors import InputRefused, NoData
from workbench.features import technical
from workbench.features.alpha158 import alpha158
from workbench.features.catalog import name_of, named
from workbench.features.columns import Columns
from workbench.features.crosssection import neutral, ranked
from workbench.features.declared import declared
from workbench.features.dense import kept_bars
from workbench.features.digest import feature_digest
from workbench.features.engine import Engine, evaluate
from workbench.features.fingerprint import Fingerprint
from workbench.features.intraday import Intraday
from workbench.features.store import MOST
from workbench.features.timeframe import resampled, weekly
from workbench.sessions import Calendar
from workbench.types import Bars

ROWS = 420
KNOWN = {"known_at": pl.lit(datetime(2020, 12, 1, tzinfo=UTC), pl.Datetime("us", "UTC")), "source": pl.lit("test")}
SESSIONS = Calendar().sessions("2021-01-04", "2023-12-29")[: ROWS + 5]
DAILY = 380
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


def dividend(symbol, session):
    told = {"session": [session.date()], "symbol": [symbol], "kind": ["dividend"], "value": [0.31]}
    return pl.DataFrame(told).with_columns(**KNOWN)


@dataclass(frozen=True)
class Typed:
    """A feature of a user's, who says nothing of symbols."""

    name: str = "typed"
    inputs: tuple[str, ...] = ("close",)
    lookback: int = 1

    def compute(self, bars):
        return bars.close.rank(axis=1)


@pytest.fixture
def lake(tmp_path):
    return made(tmp_path / "lake", ROWS)


@pytest.fixture
def shorter(tmp_path):
    return made(tmp_path / "lake", DAILY)


def made(folder, rows):
    lake = Lake(folder, "sample")
    put(lake, "prices_daily", market(rows))
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
    # One symbol of nine is computed anew.
    assert found.rows_computed["Alpha158"] == ceil(touched / 9)
    assert found.rows_computed["momentum_5"] == ceil(sum(str(quarter) == "2021Q2" for quarter in quarters) / 9)
    np.testing.assert_array_equal(found.columns.values, evaluate(few, lake.bars()).values)
    # What was known before the correction is still there, and still right.
    before = engine.evaluate(few, as_of="2021-05-28T22:00:00Z")
    np.testing.assert_array_equal(before.columns.values, evaluate(few, lake.bars(as_of="2021-05-28T22:00:00Z")).values)


def test_a_split_recomputes_its_symbol_and_what_looks_across_symbols(lake, tmp_path):
    engine = Engine(lake, tmp_path / "features")
    few = [technical.momentum(5), ranked(technical.momentum(5)), weekly(technical.momentum(2)), Typed()]
    before = engine.evaluate(few).columns
    split = {"session": [SESSIONS[ROWS - 2].date()], "symbol": ["SYM1"], "kind": ["split"], "value": [2.0]}
    put(
        lake,
        "actions",
        pl.DataFrame(split).with_columns(**KNOWN),
    )
    after = engine.evaluate(few)
    one = ceil(ROWS / 9)
    assert after.rows_computed == {
        "momentum_5": one, "momentum_5_rank": ROWS, "momentum_2_week": one, "typed": ROWS
    }  # fmt: skip
    assert not np.array_equal(before.values, after.columns.values, equal_nan=True)
    np.testing.assert_array_equal(after.columns.values, evaluate(few, lake.bars()).values)
    assert set(engine.evaluate(few).rows_computed.values()) == {0}


def test_day_by_day_a_dividend_computes_its_own_symbol_anew_and_nothing_else(shorter, tmp_path):
    """Fifteen days of daily use: on ten of them one symbol's past is adjusted."""
    lake = shorter
    engine, few = Engine(lake, tmp_path / "features"), [alpha158(), technical.momentum(21), technical.rsi(14)]
    engine.evaluate(few)
    for day in range(15):
        rows = DAILY + day + 1
        put(lake, "prices_daily", market(rows))
        paid = day % 3 != 0
        if paid:
            put(lake, "actions", dividend(f"SYM{day % 9}", SESSIONS[rows - 1]))
        found = engine.evaluate(few)
        # a row of all symbols is new; the past of one of nine is adjusted, all but the day itself
        most = 1 + ceil((rows - 1) / 9) if paid else 1
        assert all(1 <= count <= most for count in found.rows_computed.values())
        assert found.rows_computed["rsi_14"] == most
        expected = evaluate(few, lake.bars())
        np.testing.assert_array_equal(found.columns.values[:-1], expected.values[:-1])
        np.testing.assert_allclose(found.columns.values[-1], expected.values[-1], rtol=1e-6)
        again = engine.evaluate(few)
        assert set(again.rows_computed.values()) == {0}
        np.testing.assert_array_equal(again.columns.values, found.columns.values)
    for folder in (tmp_path / "features" / "sample").iterdir():
        labels = Counter(file.name.split("-")[0] for file in folder.glob("*Q*.npy"))
        assert max(labels.values(), default=0) <= MOST


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_the_pieces_equal_the_whole(shorter, tmp_path, seed):
    lake, chance, engine = shorter, np.random.default_rng(seed), Engine(shorter, tmp_path / "features")
    rows, corrected = DAILY, 0
    for _ in range(9):
        asked: dict[str, object] = {}
        match chance.choice(["days", "dividend", "correction", "as_of", "symbols", "start", "damage"]):
            case "days":
                rows = min(rows + int(chance.integers(1, 5)), ROWS + 5)
                put(lake, "prices_daily", market(rows))
            case "dividend":
                for name in chance.choice(9, size=int(chance.integers(1, 4)), replace=False):
                    put(lake, "actions", dividend(f"SYM{name}", SESSIONS[int(chance.integers(20, rows))]))
            case "correction":
                corrected += 1
                place = pl.col("session") == SESSIONS[int(chance.integers(rows))].date()
                wrong = market(rows).filter(place & (pl.col("symbol") == f"SYM{chance.integers(9)}"))
                later = pl.col("known_at") + timedelta(days=3 + corrected)
                put(lake, "prices_daily", wrong.with_columns(close=pl.col("close") * 1.005, known_at=later))
            case "as_of":
                asked["as_of"] = f"{SESSIONS[int(chance.integers(100, rows))]:%Y-%m-%d}T23:00:00Z"
            case "symbols":
                asked["symbols"] = [f"SYM{name}" for name in chance.choice(9, size=5, replace=False)]
            case "start":
                asked["start"] = SESSIONS[int(chance.integers(rows - 60, rows))]
            case "damage":
                files = sorted((tmp_path / "features").rglob("*Q*.npy"))
                for file in chance.choice(files, size=min(3, len(files)), replace=False) if files else []:
                    Path(file).write_bytes(Path(file).read_bytes()[:-16])
        found = engine.evaluate(LIBRARY, **asked)
        start = asked.pop("start", None)
        whole = at_once(lake, **asked)
        same(found.columns, whole if start is None else whole.rows(int(whole.index.searchsorted(start))))


@pytest.mark.parametrize("feature", [each for each in named("SYM0").values() if getattr(each, "by_symbol", False)])
def test_what_looks_at_each_symbol_alone_gives_one_symbol_the_same_to_the_bit(feature, lake):
    bars = lake.bars()
    whole = evaluate([feature], bars)
    for some in (["SYM4"], ["SYM7", "SYM2", "SYM5"]):
        np.testing.assert_array_equal(evaluate([feature], bars.select(some)).values, whole.of(some).values)


def test_what_looks_across_symbols_never_says_that_it_looks_at_each_alone(lake):
    bars = lake.bars()
    for feature in named("SYM0").values():
        if not isinstance(feature, Intraday) and not getattr(feature, "by_symbol", False):
            one = evaluate([feature], bars.select(["SYM0", "SYM4"])).of(["SYM4"])
            assert not np.array_equal(one.values, evaluate([feature], bars).of(["SYM4"]).values, equal_nan=True)
    assert not weekly(ranked(technical.momentum(4))).by_symbol


@pytest.mark.parametrize("name", ["open", "high", "low", "close", "volume"])
def test_a_fingerprint_tells_any_number_of_a_symbols_rows_and_none_of_others(lake, name):
    bars = lake.bars()
    fields = ("open", "high", "low", "close", "volume")
    before = Fingerprint(bars).rows(fields, 100, 160)
    frame = getattr(bars, name).copy()
    frame.iloc[130, 4] = np.nextafter(frame.iloc[130, 4], np.inf)
    changed = Fingerprint(replace(bars, **{name: frame}))
    assert (changed.rows(fields, 100, 160) != before).tolist() == [place == 4 for place in range(9)]
    others = tuple(each for each in fields if each != name)
    assert (changed.rows(others, 100, 160) == Fingerprint(bars).rows(others, 100, 160)).all()
    assert (changed.rows(fields, 131, 160) == Fingerprint(bars).rows(fields, 131, 160)).all()


def test_a_fingerprint_tells_days_sectors_and_the_order_of_numbers(lake):
    bars = lake.bars()
    before = Fingerprint(bars).rows(("close",), 100, 160)
    assert (Fingerprint(bars).rows(("close",), 100, 159) != before).all()
    swapped = bars.close.copy()
    swapped.iloc[[120, 121]] = swapped.iloc[[121, 120]].to_numpy()
    assert (Fingerprint(replace(bars, close=swapped)).rows(("close",), 100, 160) != before).all()
    other = replace(bars, sectors={**bars.sectors, "SYM3": "C"})
    told = Fingerprint(bars).rows(("close", "sectors"), 100, 160)
    assert np.flatnonzero(Fingerprint(other).rows(("close", "sectors"), 100, 160) != told).tolist() == [3]
    assert len({*before.tolist(), *told.tolist()}) == 18


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


@dataclass(frozen=True)
class Undeclared:
    """A feature that reads a field, whatever it declares."""

    reads: str
    name: str = "sly"
    inputs: tuple[str, ...] = ("close",)
    lookback: int = 1

    def compute(self, bars):
        found = getattr(bars, self.reads)
        return bars.close * 0 + len(found) if self.reads == "sectors" else found


@dataclass(frozen=True)
class Sliced(Undeclared):
    """One that reads it after it has cut the bars, or made weeks of them."""

    cut: str = "between"

    def compute(self, bars):
        some = {
            "between": lambda: bars.between(bars.index[0], bars.index[-1]),
            "until": lambda: bars.until(bars.index[-1]),
            "select": lambda: bars.select(bars.symbols),
            "weeks": lambda: resampled(bars, "week")[0],
            "copy": lambda: copy.deepcopy(bars),
        }[self.cut]()
        return super().compute(some)


@dataclass(frozen=True)
class Doubled:
    """One that hands changed bars to another, and reads no more than it declares."""

    name: str = "doubled"
    inputs: tuple[str, ...] = ("close",)
    lookback: int = 7

    def compute(self, bars):
        return technical.momentum(1).compute(replace(bars, close=bars.close * bars.close))


@pytest.mark.parametrize("reads", ["open", "high", "low", "volume", "sectors"])
def test_what_a_feature_reads_and_did_not_declare_is_refused_by_name(reads, lake, tmp_path):
    told = f"feature sly: compute reads '{reads}', but its inputs are close; add '{reads}' to inputs"
    with pytest.raises(InputRefused, match=f"^{told}$"):
        Engine(lake, tmp_path / "features").evaluate([Undeclared(reads)])
    with pytest.raises(InputRefused, match=f"^{told}$"):
        evaluate([Undeclared(reads)], lake.bars())
    assert not list((tmp_path / "features").rglob("*Q*.npy"))
    honest = Undeclared(reads, inputs=("close", reads))
    assert Engine(lake, tmp_path / "features").evaluate([honest]).rows_computed == {"sly": ROWS}


def test_what_was_not_declared_is_not_there_to_code_that_asks_whether_it_is(lake):
    bars = declared(lake.bars(), "sly", ("close",))
    assert hasattr(bars, "close")
    assert not hasattr(bars, "volume")
    assert getattr(bars, "volume", None) is None


@pytest.mark.parametrize("cut", ["between", "until", "select", "weeks", "copy"])
def test_bars_that_a_feature_cut_itself_hide_the_same_fields(cut, lake):
    with pytest.raises(InputRefused, match="feature sly: compute reads 'volume'"):
        evaluate([Sliced("volume", cut=cut)], lake.bars())
    with pytest.raises(InputRefused, match="feature sly_week: compute reads 'volume'"):
        evaluate([weekly(Undeclared("volume"))], lake.bars())


def test_prices_as_printed_are_for_no_feature(lake):
    with pytest.raises(InputRefused, match=r"reads 'traded_close', .*no feature may read it.*; use 'close'"):
        evaluate([Undeclared("traded_close")], lake.bars())


def test_revised_volumes_reach_the_feature_that_declares_them(lake, tmp_path):
    engine, honest = Engine(lake, tmp_path / "features"), Undeclared("volume", inputs=("volume",))
    before = engine.evaluate([honest]).columns.frame("sly")
    wrong = market(ROWS).filter(pl.col("session") == SESSIONS[100].date())
    halved = wrong.with_columns(volume=pl.col("volume") / 2, known_at=pl.col("known_at") + timedelta(days=3))
    put(lake, "prices_daily", halved)
    after = engine.evaluate([honest]).columns.frame("sly")
    np.testing.assert_allclose(after.iloc[100], before.iloc[100] / 2, rtol=1e-6)
    np.testing.assert_array_equal(after.drop(after.index[100]), before.drop(before.index[100]))


def test_bars_that_a_feature_changes_keep_nothing_of_what_it_did_not_declare(lake):
    bars = lake.bars()
    squared = bars.close**2
    expected = (squared / squared.shift(1) - 1.0).to_numpy(dtype=np.float32)
    np.testing.assert_allclose(evaluate([Doubled()], bars).frame("doubled"), expected, rtol=1e-5)
    changed = replace(declared(bars, "doubled", ("close",)), close=squared)
    assert changed.volume.isna().all(axis=None)
    assert changed.traded_close.isna().all(axis=None)
    assert not changed.sectors


def five_minutes():
    """One session of New York, from 13:30 to 20:00 in UTC."""
    index = pd.date_range("2024-07-02 13:30", periods=78, freq="5min", tz="UTC")
    close = pd.DataFrame({"A": 50.0 + 0.1 * np.arange(78)}, index=index)
    return Bars(close - 0.05, close + 0.1, close - 0.1, close, close * 0.0 + 1e3, close, "sample")


@pytest.mark.parametrize("feature", named("SYM0").values(), ids=name_of)
def test_every_family_reads_no_more_than_it_declares(feature, lake):
    bars = five_minutes() if isinstance(feature, Intraday) else lake.bars()
    found = evaluate([feature], bars)
    whole = feature.compute(bars)
    values = whole.values if isinstance(whole, Columns) else whole.to_numpy(dtype=np.float32).T[None]
    np.testing.assert_array_equal(found.values, values)
    assert np.isfinite(found.values).any()


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
