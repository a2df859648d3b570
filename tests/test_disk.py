import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from workbench.disk import part, read_json, short, whole, write_json, write_whole, writing
from workbench.errors import CannotWrite

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@pytest.mark.parametrize("flushed", [False, True])
def test_a_file_is_replaced_whole(tmp_path, flushed):
    file = tmp_path / "page.html"
    write_whole(file, "één", flushed=flushed)
    assert file.read_bytes() == "één".encode()
    write_whole(file, b"two", flushed=flushed)
    assert file.read_bytes() == b"two"
    assert [left.name for left in tmp_path.iterdir()] == ["page.html"]


def test_a_block_that_raises_leaves_what_was_there(tmp_path):
    file = tmp_path / "table.parquet"
    file.write_text("before")

    def stop_in_the_middle() -> None:
        with whole(file) as half:
            half.write_text("half")
            assert file.read_text() == "before"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stop_in_the_middle()
    assert file.read_text() == "before"
    assert [left.name for left in tmp_path.iterdir()] == ["table.parquet"]


@needs_full
def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path):
    file = tmp_path / "facts.json"
    write_json(file, {"a": 1})
    part(file).symlink_to("/dev/full")
    with pytest.raises(CannotWrite, match=r"facts\.json: No space left on device; free some space and run again"):
        write_json(file, {"a": 2})
    assert read_json(file) == {"a": 1}
    assert [left.name for left in tmp_path.iterdir()] == ["facts.json"]


def test_paths_in_errors_are_as_seen_from_the_project(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_ROOT", str(tmp_path))
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "base.yaml").touch()
    (tmp_path / "data").write_text("a file where a folder should be")
    place = tmp_path / "data" / "runs"
    with pytest.raises(CannotWrite) as caught, writing(place):
        place.mkdir()
    assert str(caught.value) == "data/runs: Not a directory; check its permissions and run again"
    assert short(Path("/somewhere/else")) == "/somewhere/else"


def test_half_a_file_counts_as_none(tmp_path):
    file = tmp_path / "facts.json"
    assert read_json(file) is None
    file.write_text('{"a"')
    assert read_json(file) is None


def test_threads_that_write_the_same_file_do_not_disturb_one_another(tmp_path):
    file = tmp_path / "same.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write_json(file, {"all": list(range(200))}), range(400)))
    assert read_json(file) == {"all": list(range(200))}
    assert [left.name for left in tmp_path.iterdir()] == ["same.json"]


def test_processes_have_a_part_each(tmp_path):
    code = "import pathlib, sys; from workbench.disk import part; print(part(pathlib.Path(sys.argv[1])))"
    file = tmp_path / "same.json"
    other = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert Path(other.stdout.strip()) != part(file)
    assert part(file).parent == file.parent
    assert str(os.getpid()) in part(file).name
