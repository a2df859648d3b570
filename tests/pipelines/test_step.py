"""What a step notebook is given and what it hands over."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.disk import part, read_json, write_json
from workbench.errors import CannotWrite, InputRefused, NoData
from workbench.params import Settings, freeze_settings
from workbench.step import HANDOVER, OUTPUTS, SETTINGS, open_step


@pytest.fixture
def step(project, monkeypatch):
    """A step of a run, as the pipeline prepares it."""
    monkeypatch.setenv("WORKBENCH_ROOT", str(project.paths.root))
    run = project.paths.runs / "20241231-101502-p-ab12"
    place = run / "walk_forward-u"
    place.mkdir(parents=True)
    freeze_settings(Settings(strategies=("u",), market="real"), run / SETTINGS)
    inputs = [
        {"step": "validate", "outputs": {"versions": {"prices": 3}}, "folder": "data/runs/before/validate"},
        {"step": "fit-a", "outputs": {"n": 1}, "folder": "data/runs/x/fit-a"},
        {"step": "fit-b", "outputs": {"n": 2}, "folder": "data/runs/x/fit-b"},
    ]
    write_json(place / HANDOVER, {"run_id": run.name, "step": "walk_forward-u", "inputs": inputs})
    return open_step("data/runs/20241231-101502-p-ab12/walk_forward-u")


def test_a_step_knows_its_run_its_settings_and_what_came_before(step, project):
    assert (step.name, step.run_id) == ("walk_forward-u", "20241231-101502-p-ab12")
    assert step.settings.market == "real"  # the run's frozen settings, not those of today
    assert step.folder == project.paths.runs / "20241231-101502-p-ab12" / "walk_forward-u"
    assert step.paths.root == project.paths.root
    assert step.inputs == {"validate": {"versions": {"prices": 3}}, "fit-a": {"n": 1}, "fit-b": {"n": 2}}


def test_upstream_returns_a_step_or_its_whole_fan_out_with_folders(step, project):
    assert [done.outputs["n"] for done in step.upstream("fit")] == [1, 2]
    (validate,) = step.upstream("validate")
    assert validate.folder == project.paths.root / "data/runs/before/validate"


def test_upstream_of_a_step_that_is_not_needed_is_refused(step):
    with pytest.raises(InputRefused, match=r"does not need 'validat'. Did you mean 'validate'\?"):
        step.upstream("validat")


def test_settings_of_a_step_are_frozen(step):
    with pytest.raises(ValueError, match="frozen"):
        step.settings.market = "sample"


def test_what_is_emitted_is_plain_and_there_at_once(step):
    step.emit(
        sharpe=np.float64(1.5),
        trades=np.int64(7),
        on=np.bool_(True),
        names=("a", "b"),
        chosen={"z", "a"},
        session=date(2024, 12, 31),
        at=datetime(2024, 12, 31, 21, tzinfo=UTC),
        stamp=pd.Timestamp("2024-12-31"),
        nothing=None,
        nested={"path": [step.folder / "curve.parquet"]},
    )
    assert read_json(step.folder / OUTPUTS)["outputs"] == {
        "sharpe": 1.5,
        "trades": 7,
        "on": True,
        "names": ["a", "b"],
        "chosen": ["a", "z"],
        "session": "2024-12-31",
        "at": "2024-12-31T21:00:00+00:00",
        "stamp": "2024-12-31T00:00:00",
        "nothing": None,
        "nested": {"path": ["data/runs/20241231-101502-p-ab12/walk_forward-u/curve.parquet"]},
    }


def test_paths_are_noted_so_that_a_missing_file_makes_the_step_run_again(step, project):
    step.emit(sheet=project.paths.mlruns / "sheet.html", more=[Path("data/other.csv")])
    assert read_json(step.folder / OUTPUTS)["files"] == ["data/other.csv", "mlruns/sheet.html"]


def test_a_second_emit_adds_to_the_first(step):
    step.emit(a=1, b=1)
    step.emit(b=2, c=3)
    assert read_json(step.folder / OUTPUTS)["outputs"] == {"a": 1, "b": 2, "c": 3}


def test_what_is_not_json_is_refused_by_name_and_nothing_is_written(step):
    with pytest.raises(InputRefused, match=r"emit: output 'table' holds a DataFrame that is not JSON .* step.folder"):
        step.emit(a=1, table=pd.DataFrame({"x": [1]}))
    with pytest.raises(InputRefused, match="emit: output 'curve' holds a ndarray"):
        step.emit(curve=np.zeros(3))
    assert not (step.folder / OUTPUTS).exists()


def test_half_a_file_counts_as_none_and_a_write_leaves_no_parts(step):
    (step.folder / OUTPUTS).write_text('{"outputs": {"a"')
    step.emit(b=1)
    assert read_json(step.folder / OUTPUTS)["outputs"] == {"b": 1}
    assert sorted(file.name for file in step.folder.iterdir()) == [OUTPUTS, HANDOVER]


def test_a_full_disk_is_said_in_one_line_and_what_was_there_stays(step, monkeypatch):
    step.emit(a=1)

    part(step.folder / OUTPUTS).symlink_to("/dev/full")
    with pytest.raises(CannotWrite, match=r"outputs.json: No space left on device; free some space and run again"):
        step.emit(a=2)
    assert read_json(step.folder / OUTPUTS)["outputs"] == {"a": 1}


def test_by_hand_a_step_has_the_settings_of_today_and_a_folder_of_its_own(project, monkeypatch):
    monkeypatch.setenv("WORKBENCH_ROOT", str(project.paths.root))
    step = open_step("")
    assert step.run_id == "interactive"
    assert step.settings.market == "sample"
    assert step.inputs == {}
    assert step.folder.parent == project.paths.runs / "interactive"
    step.emit(a=1)
    assert read_json(step.folder / OUTPUTS)["outputs"] == {"a": 1}


def test_by_hand_upstream_is_the_newest_run_that_finished_it(project, monkeypatch):
    monkeypatch.setenv("WORKBENCH_ROOT", str(project.paths.root))

    def finished(run, **steps):
        folder = project.paths.runs / run
        folder.mkdir(parents=True)
        states = {
            id: {"id": id, "status": status, "outputs": {"run": run}, "folder": f"data/runs/{run}/{id}"}
            for id, status in steps.items()
        }
        (folder / "manifest.json").write_text(json.dumps({"steps": states}))

    with pytest.raises(NoData, match="no run has finished a step 'fit' yet"):
        open_step().upstream("fit")
    finished("20240101-000000-p-aaaa", **{"fit-a": "done", "fit-b": "done"})
    finished("20240102-000000-p-bbbb", **{"fit-a": "reused", "fit-b": "done"})
    finished("20240103-000000-p-cccc", **{"fit-a": "done", "fit-b": "failed"})
    found = open_step().upstream("fit")
    assert [(done.step, done.outputs["run"]) for done in found] == [
        ("fit-a", "20240102-000000-p-bbbb"),
        ("fit-b", "20240102-000000-p-bbbb"),
    ]


def test_a_folder_that_is_no_step_is_refused(project, monkeypatch):
    monkeypatch.setenv("WORKBENCH_ROOT", str(project.paths.root))
    with pytest.raises(InputRefused, match="data/runs/nowhere: no step of a run; leave `folder` empty"):
        open_step("data/runs/nowhere")
