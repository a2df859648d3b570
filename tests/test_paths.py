"""A checkout is worked on by its own code, wherever it lies and whatever its folder is called."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.test_quality import SESSIONS, market, stage, validate
from workbench.data.lake import Lake
from workbench.doctor import examine
from workbench.errors import InputRefused, ParamsRefused
from workbench.params import Paths
from workbench.paths import require_own_code

ROOT = Path(__file__).parents[1]


def a_checkout(folder: Path, *, code: bool) -> Path:
    (folder / "params").mkdir(parents=True)
    (folder / "params" / "base.yaml").write_text("")
    if code:
        (folder / "src" / "workbench").mkdir(parents=True)
    return folder


def test_a_copied_checkout_is_not_worked_on_by_the_code_it_was_copied_from(tmp_path, monkeypatch):
    copied = a_checkout(tmp_path / "copied", code=True)
    monkeypatch.chdir(copied)
    with pytest.raises(ParamsRefused, match=r"but you work in .*copied, which has other code"):
        require_own_code()
    done = subprocess.run(
        [sys.executable, "-m", "workbench.cli", "doctor"], capture_output=True, text=True, check=False, cwd=copied
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: this is the code of ")


def test_a_copy_with_the_very_same_code_is_worked_on(tmp_path, monkeypatch):
    copied = a_checkout(tmp_path / "copied", code=False)
    shutil.copytree(ROOT / "src", copied / "src", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(copied)
    require_own_code()
    with (copied / "src" / "workbench" / "clock.py").open("a") as file:
        file.write("# edited\n")
    with pytest.raises(ParamsRefused, match="which has other code"):
        require_own_code()


def test_a_folder_of_settings_alone_is_worked_on_by_any_code(tmp_path, monkeypatch):
    monkeypatch.chdir(a_checkout(tmp_path / "live", code=False))
    require_own_code()
    monkeypatch.chdir(tmp_path)
    require_own_code()


@pytest.mark.parametrize("name", ["100 % mine", "klon #1 漢", "a?b&c=d", "it's here"])
def test_a_folder_may_be_called_anything(tmp_path, name):
    paths = Paths(a_checkout(tmp_path / name, code=False))
    lake = Lake(paths.lake, "real")
    stage(lake, market())
    validate(lake)
    assert Lake(paths.lake, "real").read("prices_daily", ["S01"], SESSIONS[0], SESSIONS[0]).height == 1
    (paths.root / "mlruns").mkdir()
    with contextlib.closing(sqlite3.connect(paths.mlruns / "mlflow.db")) as runs:
        runs.execute("create table runs (lifecycle_stage)")
        runs.execute("insert into runs values ('active')")
        runs.commit()
    assert {one.what: one for one in examine(paths)}["runs"].found == "1 in mlruns/mlflow.db"
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_folder_that_delta_takes_for_two_is_refused_before_anything_is_written(tmp_path):
    paths = Paths(a_checkout(tmp_path / "feature%2Fx", code=False))
    with pytest.raises(InputRefused, match=r"'%2F'.* move the checkout to a folder without it"):
        stage(Lake(paths.lake, "real"), market())
    assert not paths.data.exists()
