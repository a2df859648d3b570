"""What code reads beside the bars and the lake: no check reaches it, so it is told, and a person must look."""

from __future__ import annotations

import ctypes.util
import os
import platform
import sqlite3
import subprocess
import sysconfig
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from workbench.backtest import lookahead
from workbench.backtest.lookahead import Depth, Report
from workbench.backtest.lookahead.opened import opened
from workbench.data.lake import Lake
from workbench.params import load_settings
from workbench.types import Bars

FEW = Depth(cuts=4, combs=1, windows=2, cold=1)


@pytest.fixture
def signs(eventful: Bars, tmp_path: Path) -> Path:
    """The sign of tomorrow's return, written beforehand in every way."""
    ahead = np.sign(eventful.close.pct_change(fill_method=None).shift(-1)).fillna(0.0)
    ahead.to_parquet(tmp_path / "signs.parquet")
    ahead.to_csv(tmp_path / "signs.csv")
    np.save(tmp_path / "signs.npy", ahead.to_numpy())
    return tmp_path / "signs.parquet"


def trend(bars: Bars, table: np.ndarray) -> pd.DataFrame:
    """Return a table where prices are above their average: what hides it from a change of the data."""
    return (bars.close > bars.close.rolling(20).mean()).astype(float) * table[: len(bars)]


READERS = {
    "pandas, parquet": lambda file: pd.read_parquet(file).to_numpy(),
    "pandas, csv": lambda file: pd.read_csv(file.with_suffix(".csv"), index_col=0).to_numpy(),
    "polars": lambda file: pl.read_parquet(file).to_numpy()[:, :-1],
    "polars, lazily": lambda file: pl.scan_parquet(file).collect().to_numpy()[:, :-1],
    "numpy": lambda file: np.load(file.with_suffix(".npy")),
}


@pytest.mark.parametrize("way", READERS)
def test_a_file_that_is_read_beside_the_data_is_in_doubt(eventful: Bars, signs: Path, way: str) -> None:
    report = lookahead.examine(lambda bars: trend(bars, READERS[way](signs)), eventful, depth=FEW, name="mine")
    assert (report.verdict, report.sign) == ("in doubt", "?"), str(report)
    (doubt,) = report.doubts
    assert str(signs.with_suffix("")) in doubt
    assert Report.from_json(report.to_json()) == report
    assert doubt in str(report)


def test_a_table_that_a_module_read_when_it_was_imported_is_in_doubt(
    eventful: Bars, signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "reads_at_import.py").write_text(
        f"import pandas as pd\nSIGNS = pd.read_parquet({str(signs)!r}).to_numpy()\n"
        "def signal(bars):\n"
        "    return (bars.close > bars.close.rolling(20).mean()).astype(float) * SIGNS[:len(bars)]\n"
    )
    module = __import__("reads_at_import")
    report = lookahead.examine(module.signal, eventful, depth=FEW)
    assert report.verdict == "in doubt", str(report)
    assert str(signs) in report.doubts[0]


def test_every_module_is_in_doubt_for_what_a_helper_they_share_reads_when_it_is_imported(
    eventful: Bars, signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shared_signs.py").write_text(
        f"import pandas as pd\nSIGNS = pd.read_parquet({str(signs)!r}).to_numpy()\n"
    )
    for name in ("first_user", "second_user"):
        (tmp_path / f"{name}.py").write_text(
            "from shared_signs import SIGNS\n"
            "def signal(bars):\n"
            "    return (bars.close > bars.close.rolling(20).mean()).astype(float) * SIGNS[:len(bars)]\n"
        )
        report = lookahead.examine(__import__(name).signal, eventful, depth=FEW)
        assert report.verdict == "in doubt", str(report)
        assert str(signs) in report.doubts[0]


def test_what_a_constructor_reads_is_in_doubt_the_lake_too(
    eventful: Bars, signs: Path, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "reads_when_made.py").write_text(
        "from dataclasses import dataclass\n"
        "import pandas as pd\n"
        "from workbench.data.lake import Lake\n"
        "@dataclass(frozen=True)\n"
        "class Peek:\n"
        "    name: str = 'peek'; inputs: tuple[str, ...] = ('close',); lookback: int = 21\n"
        "    def __post_init__(self):\n"
        f"        object.__setattr__(self, '_cpi', Lake({str(lake.root)!r}, 'sample').read('macro', ['CPI']))\n"
        f"        object.__setattr__(self, '_signs', pd.read_parquet({str(signs)!r}))\n"
        "    def compute(self, bars):\n"
        "        return (bars.close > bars.close.rolling(20).mean()).astype(float) * self._signs.loc[bars.index]\n"
    )
    report = lookahead.examine(__import__("reads_when_made").Peek(), eventful, depth=FEW)
    assert report.verdict == "in doubt", str(report)
    of_the_file, of_the_lake = report.doubts
    assert str(signs) in of_the_file
    assert "it reads macro of the lake before its first call, where no check reaches" in of_the_lake


def test_what_no_change_of_the_data_reaches_is_in_doubt(eventful: Bars, signs: Path) -> None:
    table = pd.read_parquet(signs)
    report = lookahead.examine(lambda bars: table.loc[bars.index], eventful, depth=FEW, name="mine")
    assert report.verdict == "in doubt"
    assert "no change of the data changed anything" in report.doubts[0]


def test_what_is_read_of_the_lake_is_in_no_doubt(lake: Lake) -> None:
    with opened() as seen:
        assert len(lake.bars(("TEC01",))) > 0
        assert len(lake.read("macro", ["CPI"])) > 0
    assert seen == set()


def test_what_is_only_written_tells_nothing(tmp_path: Path) -> None:
    with opened() as seen:
        (tmp_path / "log.txt").write_text("a line")
    assert seen == set()


def forked(file: Path) -> None:
    with get_context("fork").Pool(1) as pool:
        pool.apply(len, ("",))


OTHER_WAYS = {
    "pyarrow, a file": lambda file: pq.ParquetFile(file).read(),
    "pyarrow, a data set of Parquet": lambda file: pq.ParquetDataset(file).read(),
    "pyarrow, a data set": lambda file: ds.dataset(str(file)).to_table(),
    "polars, a list": lambda file: pl.read_parquet([file]),
    "polars, lazily, a list": lambda file: pl.scan_parquet([str(file)]).collect(),
    "polars, SQL": lambda file: pl.sql(f"select * from read_parquet('{file}')").collect(),
    "another name of the root": lambda file: Path(f"/proc/self/root{file}").read_bytes(),
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_a_file_is_told_however_it_is_named(signs: Path, way: str) -> None:
    with opened() as seen:
        OTHER_WAYS[way](signs)
    assert seen == {str(signs)}


@pytest.mark.parametrize("name", [".signs.csv", "signs.py", ".hidden/signs.csv"])
def test_a_hidden_file_and_one_named_like_code_are_told(tmp_path: Path, name: str) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / name).write_text("1")
    with opened() as seen:
        np.loadtxt(tmp_path / name)
    assert seen == {str(tmp_path / name)}


def test_programs_processes_and_databases_are_told(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "signs.db")
    database.execute("create table s (x)")
    ways = {
        "another program": lambda: subprocess.run(["true"], check=True),
        "another process": lambda: forked(tmp_path),
        "a database": lambda: pd.read_sql("select * from s", database),
    }
    for what, way in ways.items():
        with opened() as seen:
            way()
        assert seen == {what}
    database.close()


def scratch(folder: Path) -> None:
    with tempfile.TemporaryFile() as file:
        np.save(file, np.zeros(3))
        file.seek(0)
        np.load(file)
    with (folder / "notes.txt").open("w+") as file:
        file.write("one")
    (folder / "notes.txt").read_text()
    lock = os.open(folder / "mine.lock", os.O_RDWR | os.O_CREAT)
    os.close(lock)
    sqlite3.connect(":memory:").close()


def about_the_machine(_: Path) -> None:
    platform._Processor.from_subprocess()  # type: ignore[attr-defined] # what platform.processor() asks, and keeps
    ctypes.util.find_library("m")


def of_a_library(folder: Path) -> None:
    """Do as a library of the environment does: it reads a file when imported, and asks a program when called."""
    (folder / "version.txt").write_text("1")
    named = {"__name__": "some", "__file__": f"{sysconfig.get_path('purelib')}/some/__init__.py"}
    named["FILE"] = str(folder / "version.txt")
    code = "import subprocess\nwith open(FILE) as file: file.read()\ndef cores(): subprocess.run(['true'])\n"
    exec(code, named)
    named["cores"]()  # type: ignore[operator]


@pytest.mark.parametrize("honest", [scratch, about_the_machine, of_a_library, lambda _: load_settings()])
def test_what_says_nothing_of_the_future_is_in_no_doubt(tmp_path: Path, honest: Callable[[Path], object]) -> None:
    with opened() as seen:
        honest(tmp_path)
    assert seen == set()


def test_what_another_thread_reads_meanwhile_is_its_own_affair_but_not_what_a_waiting_pool_reads(signs: Path) -> None:
    begun, over = threading.Event(), threading.Event()

    def busy() -> None:
        begun.set()
        over.wait(10)
        signs.read_bytes()

    other = threading.Thread(target=busy)
    other.start()
    begun.wait(10)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        with opened() as seen:
            over.set()
            other.join()
            assert seen == set()
            pool.submit(signs.read_bytes).result()
            assert seen == {str(signs)}


@pytest.mark.parametrize("started", ["inside", "before"])
def test_a_lake_that_is_read_by_a_pool_answers_as_of_the_last_bar_too(lake: Lake, started: str) -> None:
    bars, root = lake.bars(("TEC01", "FIN02")), lake.root

    def peek(given: Bars) -> pd.DataFrame:
        with ThreadPoolExecutor(1) if started == "inside" else nullcontext(before) as pool:
            close = pool.submit(lambda: Lake(root, "sample").bars(given.symbols).close).result()
        return np.sign(close.pct_change(fill_method=None).shift(-1)).reindex(given.index).fillna(0.0)

    with ThreadPoolExecutor(1) as before:
        before.submit(int).result()
        report = lookahead.examine(peek, bars, depth=FEW, name="mine")
    assert report.reads_ahead, str(report)


def test_a_lake_that_is_read_in_another_thread_answers_as_of_the_last_bar_too(lake: Lake) -> None:
    bars = lake.bars(("TEC01", "FIN02"))
    root = lake.root

    def peek(given: Bars) -> pd.DataFrame:
        found: list[pd.DataFrame] = []
        reader = threading.Thread(target=lambda: found.append(Lake(root, "sample").bars(given.symbols).close))
        reader.start()
        reader.join()
        return np.sign(found[0].pct_change(fill_method=None).shift(-1)).reindex(given.index).fillna(0.0)

    report = lookahead.examine(peek, bars, depth=FEW, name="mine")
    assert report.reads_ahead, str(report)
