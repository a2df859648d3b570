import ast
import errno
from pathlib import Path

import pytest

from workbench.errors import CannotWrite, InputRefused
from workbench.params import Paths
from workbench.scaffold import new_strategy


def test_three_files_are_written_and_nothing_else(tmp_path):
    files = new_strategy("breakout", Paths(tmp_path))
    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()) == [
        "params/strategies/breakout.yaml",
        "src/workbench/strategies/breakout.py",
        "tests/strategies/test_breakout.py",
    ]
    assert len(files) == 3
    for file in files:
        if file.suffix == ".py":
            ast.parse(file.read_text())
            assert "$" not in file.read_text()


def test_nothing_is_overwritten(tmp_path):
    paths = Paths(tmp_path)
    new_strategy("breakout", paths)
    mine = tmp_path / "src/workbench/strategies/breakout.py"
    mine.write_text("# my idea\n")
    with pytest.raises(InputRefused, match=r"strategies/breakout.py exists already"):
        new_strategy("breakout", paths)
    assert mine.read_text() == "# my idea\n"


@pytest.mark.parametrize("name", ["", "Break", "2nd", "a-b", "x" * 60, "../x"])
def test_a_name_that_cannot_be_a_file_is_refused(tmp_path, name):
    with pytest.raises(InputRefused, match="use 3 to 41 lower-case letters"):
        new_strategy(name, Paths(tmp_path))


def test_a_word_of_python_is_refused(tmp_path):
    with pytest.raises(InputRefused, match="strategy name 'class': Python keeps that word for itself; choose another"):
        new_strategy("class", Paths(tmp_path))


@pytest.mark.parametrize("name", ["none", "true", "bars", "strategy_refused"])
def test_a_name_whose_class_would_hide_another_is_refused(tmp_path, name):
    with pytest.raises(InputRefused, match="choose another"):
        new_strategy(name, Paths(tmp_path))


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "params").write_text("a file where a folder should be")
    with pytest.raises(CannotWrite, match="nothing was written"):
        new_strategy("breakout", Paths(tmp_path))
    assert not list(tmp_path.rglob("*.py"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "src").write_text("a file where a folder should be")
    with pytest.raises(CannotWrite, match=r"^src/workbench/strategies/breakout.py: .*; nothing was written$"):
        new_strategy("breakout", Paths(tmp_path))


def test_a_file_system_that_refuses_the_clean_up_too_is_one_line(tmp_path, monkeypatch):
    def read_only(self, missing_ok=False):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "unlink", read_only)
    (tmp_path / "params").write_text("a file where a folder should be")
    left = "delete what is left: src/workbench/strategies/breakout.py"
    with pytest.raises(CannotWrite, match=f"^params/strategies/breakout.yaml: .*; {left}$"):
        new_strategy("breakout", Paths(tmp_path))
