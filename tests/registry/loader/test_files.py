"""Every file of a candidate: flipped, cut, missing, linked, added, or exchanged while it is read."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from tests.registry.loader.conftest import COUNT, only
from workbench.errors import PackRefused
from workbench.registry.packs.canonical import sha256

# MLflow uses a loader strategy of SQLAlchemy that is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def flipped(content: bytes) -> bytes:
    """Flip one bit so that the file stays of its kind: another digit or letter, or a byte in the middle of a table."""
    digits = [place for place, byte in enumerate(content) if byte in b"0123456789"]
    letters = [place for place, byte in enumerate(content) if byte in b"bcdefghijklmnopqrstuvwxy"]
    places = range(len(content)) if content.startswith(b"PAR1") else digits or letters
    place = places[len(places) // 2]
    return bytes([*content[:place], content[place] ^ 1, *content[place + 1 :]])


@pytest.mark.parametrize("number", range(COUNT))
@pytest.mark.parametrize("attack", ["flipped", "cut", "missing", "linked"])
def test_any_file_flipped_cut_missing_or_linked_is_refused(fresh, tmp_path, number, attack):
    files = sorted(path for path in only(fresh).rglob("*") if path.is_file())
    assert len(files) == COUNT
    file = files[number]
    content = file.read_bytes()
    if attack == "flipped":
        file.write_bytes(flipped(content))
    elif attack == "cut":
        file.write_bytes(content[:-1])
    elif attack == "missing":
        file.unlink()
    else:
        file.rename(tmp_path / "same bytes")
        file.symlink_to(tmp_path / "same bytes")
    said = fresh.refusal()
    named = file.name if file.name == "manifest.json" else file.name[:12]
    counted = attack == "missing" and ("lacks 1 approval" in said or "was taken away" in said)
    exchanged = file.name == "manifest.json" and "it was exchanged" in said  # another manifest is another pack
    assert named in said or counted or exchanged
    assert not list((fresh.project.paths.state / "loader").glob("candidates/*"))


@pytest.mark.parametrize(
    "path",
    ["MLmodel", "pack/parts/model/MLmodel", "pack/parts/model/python_model.pkl", "pack/parts/model.json",
     "code/loader_module.py", "pack/loader.yaml", "approvals/alice.json"],
)  # fmt: skip
def test_any_file_added_is_refused_and_nothing_of_it_runs(fresh, tmp_path, path):
    trap = tmp_path / "ran"
    content = {
        ".pkl": f"cposix\nsystem\n(S'touch {trap}'\ntR.",
        ".json": f"cposix\nsystem\n(S'touch {trap}'\ntR.",
        ".py": f"open({str(trap)!r}, 'w')",
    }.get(Path(path).suffix, "flavors:\n  python_function:\n    loader_module: evil\n    code_paths: [code]\n")
    file = only(fresh) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    assert path in fresh.refusal()
    assert not trap.exists()


@pytest.mark.parametrize("place", ["promotion", "promotion/pack", "promotion/pack/parts", "promotion/approvals"])
def test_a_folder_that_is_a_link_out_of_the_store_is_refused(fresh, tmp_path, place):
    folder = only(fresh).parent / place
    folder.rename(tmp_path / "outside")
    folder.symlink_to(tmp_path / "outside", target_is_directory=True)
    assert "link" in fresh.refusal()


def test_the_run_folder_as_a_link_out_of_the_store_is_refused(fresh, tmp_path):
    run = only(fresh).parent.parent
    run.rename(tmp_path / "outside")
    run.symlink_to(tmp_path / "outside", target_is_directory=True)
    assert "is a link or no folder" in fresh.refusal()


def test_a_run_whose_artifacts_mlflow_says_lie_elsewhere_is_refused(runner, tmp_path):
    pack = runner.stand()
    shutil.copytree(runner.project.run_folder(pack).parent, tmp_path / "elsewhere")
    with sqlite3.connect(runner.project.root / "mlruns" / "mlflow.db") as database:
        database.execute("UPDATE runs SET artifact_uri = ?", ((tmp_path / "elsewhere").as_uri(),))
    database.close()
    assert "lies outside of where artifacts are kept" in runner.refusal()


def test_a_store_swapped_while_loading_gives_the_verified_bytes_or_a_refusal(fresh):
    folder = only(fresh)
    evil, aside = folder.with_name("evil"), folder.with_name("aside")
    shutil.copytree(folder, evil)
    params = evil / "pack" / "parts" / "params.json"
    params.write_bytes(params.read_bytes().replace(b"20", b"21"))
    expected = sha256((folder / "pack" / "parts" / "params.json").read_bytes())
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            folder.rename(aside)
            evil.rename(folder)
            folder.rename(evil)
            aside.rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    results = {"loaded": 0, "refused": 0}
    try:
        for _ in range(25):
            try:
                found = fresh.load()
            except PackRefused:
                results["refused"] += 1
                continue
            results["loaded"] += 1
            assert found.strategy.fast == 20
            assert sha256(found.pack.read("params.json")) == expected
    finally:
        stop.set()
        thread.join()
    assert sum(results.values()) == 25
    assert fresh.load().strategy.fast == 20
