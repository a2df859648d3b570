"""What code reads beside the bars and the lake: no check reaches it, so it is told, and a person must look."""

from __future__ import annotations

import ctypes.util
import os
import platform
import sqlite3
import subprocess
import sys
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
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from workbench.backtest import lookahead
from workbench.backtest.lookahead import Depth, Report
from workbench.backtest.lookahead.environment import stands_in
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


def relative_to_an_open_folder(file: Path) -> None:
    folder = os.open(file.parent, os.O_RDONLY)
    opened_there = os.open(file.name, os.O_RDONLY, dir_fd=folder)
    assert os.read(opened_there, 4)
    os.close(opened_there)
    os.close(folder)


def linked_into_the_place_of_one_of_its_own(file: Path) -> None:
    own = file.with_name("own")
    own.write_bytes(b"")
    own.unlink()
    os.link(file, own)
    assert own.read_bytes()


def moved_into_the_place_of_one_of_its_own(file: Path) -> None:
    (file.parent / "own").write_bytes(b"mine")
    os.link(file, file.with_name("other"))
    (file.parent / "other").replace(file.parent / "own")
    assert (file.parent / "own").read_bytes()


def after_it_could_not_be_emptied(file: Path) -> None:
    with pytest.raises(FileExistsError):
        os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_EXCL)
    assert file.read_bytes()


def after_another_of_its_name_was_made_in_an_open_folder(file: Path) -> None:
    (file.parent / "below").mkdir()
    folder = os.open(file.parent / "below", os.O_RDONLY)
    os.close(os.open(file.name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=folder))
    os.close(folder)
    assert file.read_bytes()


def after_a_lazy_plan_to_write_it(file: Path) -> None:
    pl.LazyFrame({"a": [1.0]}).sink_parquet(file, lazy=True)
    assert len(pl.read_parquet(file))


HIDDEN = (
    relative_to_an_open_folder,
    linked_into_the_place_of_one_of_its_own,
    moved_into_the_place_of_one_of_its_own,
    after_it_could_not_be_emptied,
    after_another_of_its_name_was_made_in_an_open_folder,
    after_a_lazy_plan_to_write_it,
)


@pytest.mark.parametrize("way", HIDDEN, ids=lambda way: way.__name__)
def test_a_file_that_was_there_before_is_told_whatever_was_written_around_it(
    signs: Path, way: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(signs.parent if "after" in way.__name__ else "/")
    with opened() as seen:
        way(signs)
    (told,) = seen
    assert told in (str(signs), str(signs.with_name("own")))


def test_a_project_below_the_folder_of_python_is_no_part_of_the_environment(signs: Path, tmp_path: Path) -> None:
    code = (
        f"import sys\nsys.base_prefix = {str(tmp_path)!r}\n"
        "import numpy as np\nfrom workbench.backtest.lookahead.opened import opened\n"
        f"with opened() as seen:\n    np.load({str(signs.with_suffix('.npy'))!r})\nprint(*seen)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == str(signs.with_suffix(".npy"))


def test_the_project_is_its_own_even_where_libraries_lie_but_not_what_is_installed_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "lib" / "quant"
    (root / "params").mkdir(parents=True)
    (root / "params" / "base.yaml").write_text("")
    monkeypatch.setenv("WORKBENCH_ROOT", str(root))
    libraries = (f"{tmp_path}/lib/", f"{root}/.venv/lib/")
    own = {"lib/numpy/core.py": True, "lib/quant/mine.py": False, "lib/quant/.venv/lib/polars.py": True, "x.py": False}
    assert {file: stands_in(str(tmp_path / file), libraries) for file in own} == own


def test_a_function_of_ones_own_below_a_folder_named_like_a_library_is_no_reader(tmp_path: Path) -> None:
    file = tmp_path / "polars" / "quant" / "mine.py"
    mine = {"__name__": "mine", "__file__": str(file)}
    exec(compile("def read_field(name):\n    return name\n", file, "exec"), mine)
    with opened() as seen:
        mine["read_field"]("high")  # type: ignore[operator]
    assert seen == set()


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


def there_and_back(folder: Path) -> None:
    table = pd.DataFrame({"a": [1.0, 2.0]})
    for _ in range(2):  # anew, and over what it wrote
        table.to_parquet(folder / "pandas.parquet")
        assert len(pd.read_parquet(folder / "pandas.parquet"))
        pl.DataFrame(table).write_parquet(folder / "polars.parquet")
        assert len(pl.read_parquet(folder / "polars.parquet"))
        pl.DataFrame(table).lazy().sink_ipc(folder / "lazy.arrow")
        assert len(pl.scan_ipc(folder / "lazy.arrow").collect())
        pq.write_table(pa.table({"a": [1]}), folder / "arrow.parquet")
        assert len(pq.read_table(folder / "arrow.parquet"))
        np.save(folder / "half.npy", table.to_numpy())
        (folder / "half.npy").replace(folder / "whole.npy")
        assert len(np.load(folder / "whole.npy"))


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


@pytest.mark.parametrize(
    "honest", [scratch, there_and_back, about_the_machine, of_a_library, lambda _: load_settings()]
)
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
