"""Pipelines: what runs, what is reused, what is kept when something goes wrong."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from distributed import LocalCluster

from workbench import cluster as clusters
from workbench.disk import part
from workbench.errors import AlreadyRunning, CannotWrite, InputRefused, LakeDamaged, NoData, WorkbenchError
from workbench.params import Settings
from workbench.pipeline import run_history, run_pipeline
from workbench.step import read_json

STRATEGY = 'folder: str = ""\nstrategy: str = "x"'


def make_backtest(project):
    """Write a pipeline like the real one: a source, a check, a fan-out and what compares it."""
    project.step("ingest", "step.emit(rows=10)")
    project.step("validate", "step.emit(good=step.inputs['ingest']['rows'])")
    walk = "(step.folder / 'curve.txt').write_text('1')\nstep.emit(strategy=strategy, up=step.inputs['validate'])"
    project.step("walk", walk, parameters=STRATEGY)
    project.step("compare", "step.emit(all=[done.outputs['strategy'] for done in step.upstream('walk')])")
    walks = {"foreach": {"strategy": "strategies"}, "settings": ["costs"]}
    project.pipeline(
        {
            "ingest": {"notebook": "ingest", "settings": ["market", "sample"]},
            "validate": {"notebook": "validate", "needs": ["ingest"], "settings": ["market"]},
            "walk": {"notebook": "walk", "needs": ["validate"], **walks},
            "compare": {"notebook": "compare", "needs": ["walk"], "settings": []},
        }
    )


@pytest.fixture
def backtest(project):
    """A project with that pipeline."""
    make_backtest(project)
    return project


def test_a_run_hands_outputs_on_fans_out_and_keeps_everything(backtest):
    seen = []
    result = backtest.run(recorder=lambda: seen.append)
    assert seen == [result]
    assert backtest.statuses(result) == dict.fromkeys(["ingest", "validate", "walk-u", "walk-v", "compare"], "done")
    assert result.step("compare").outputs == {"all": ["u", "v"]}
    assert result.step("walk-v").outputs == {"strategy": "v", "up": {"good": 10}}
    assert re.fullmatch(r"\d{8}-\d{6}-p-[0-9a-f]{4}", result.run_id)
    assert (result.status, result.summary) == ("done", "5 done")
    assert result.folder == backtest.paths.runs / result.run_id
    assert json.loads((result.folder / "settings.json").read_text())["strategies"] == ["u", "v"]
    for step in result.steps:
        assert step.notebook == result.folder / step.id / "notebook.ipynb"
        assert f'"data/runs/{result.run_id}/{step.id}"' in str(backtest.desk.cells(step.notebook))
    manifest = json.loads((result.folder / "manifest.json").read_text())
    assert (manifest["status"], manifest["pipeline"], manifest["pid"]) == ("done", "p", os.getpid())
    walk = manifest["steps"]["walk-u"]
    assert walk["notebook"] == f"data/runs/{result.run_id}/walk-u/notebook.ipynb"
    assert [attempt["kernel"] for attempt in walk["attempts"]] == ["forked"]
    assert 0 < walk["seconds"] < 60
    assert len(walk["key"]) == 64
    with pytest.raises(InputRefused, match=r"no step 'walk-w'. Did you mean 'walk-v'\?"):
        result.step("walk-w")


EVERYTHING = ["ingest", "validate", "walk-u", "walk-v", "compare"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, project_at):
    """A project that has run once, with a source of its own to change: to be copied, not used."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("finished") / "project"
        project = project_at(root)
        make_backtest(project)
        (root / "package" / "strategies").mkdir(parents=True)
        for name in ("__init__.py", "engine.py", "strategies/u.py", "strategies/v.py", "strategies/other.py"):
            (root / "package" / name).write_text("x = 1")
        for name in ("u", "v", "other"):
            (project.paths.params / "strategies" / f"{name}.yaml").write_text("a: 1")
        (root / "locks").mkdir()
        (root / "locks" / "research.lock").write_text("numpy==2.0.0")
        patch.setattr("workbench.plan.PACKAGE", root / "package")
        project.run()
        return root


def nothing(project):
    """Change nothing."""


def outputs_of_a_notebook(project):
    file = project.paths.notebooks / "walk.ipynb"
    file.write_text(file.read_text().replace('"execution_count": null', '"execution_count": 7'))


def a_notebook_in_the_middle(project):
    project.step("validate", "step.emit(good=step.inputs['ingest']['rows'] + 0)")


def the_last_notebook(project):
    project.step("compare", "step.emit(all=[])")


def a_setting_that_one_step_reads(project):
    project.settings = Settings(strategies=("u", "v"), costs={"spread_bps": 3.0})


def a_setting_that_nobody_reads(project):
    project.settings = Settings(strategies=("u", "v"), portfolio={"cash": 5.0})


def one_more_strategy(project):
    project.settings = Settings(strategies=("u", "v", "w"))


def one_strategy_less(project):
    project.settings = Settings(strategies=("v",))


def a_parameter(project):
    file = project.paths.pipelines / "p.yaml"
    file.write_text(file.read_text().replace("notebook: walk", "notebook: walk\n    params: {days: 2}"))
    project.step("walk", "step.emit(strategy=strategy)", parameters=STRATEGY + "\ndays: int = 1")


def the_lock(project):
    (project.paths.root / "locks" / "research.lock").write_text("numpy==2.0.1")


def the_source(project):
    (project.paths.root / "package" / "engine.py").write_text("x = 2")


def the_source_of_a_strategy(project):
    (project.paths.root / "package" / "strategies" / "u.py").write_text("x = 2")


def the_parameters_of_a_strategy(project):
    (project.paths.params / "strategies" / "u.yaml").write_text("a: 2")


def a_strategy_that_no_step_names(project):
    (project.paths.root / "package" / "strategies" / "other.py").write_text("x = 2")
    (project.paths.params / "strategies" / "other.yaml").write_text("a: 2")


def a_file_that_a_step_left(project):
    (next(project.paths.runs.glob("*-p-*")) / "walk-u" / "curve.txt").unlink()


def an_executed_notebook(project):
    (next(project.paths.runs.glob("*-p-*")) / "walk-u" / "notebook.ipynb").unlink()


WALKS = ["walk-u", "walk-v", "compare"]


@pytest.mark.parametrize(
    ("change", "runs"),
    [
        (nothing, []),
        (outputs_of_a_notebook, []),
        (a_notebook_in_the_middle, ["validate", *WALKS]),
        (the_last_notebook, ["compare"]),
        (a_setting_that_one_step_reads, WALKS),
        (a_setting_that_nobody_reads, []),
        (one_more_strategy, ["walk-w", "compare"]),
        (one_strategy_less, ["compare"]),
        (a_parameter, WALKS),
        (the_lock, EVERYTHING),
        (the_source, EVERYTHING),
        (the_source_of_a_strategy, ["walk-u", "compare"]),
        (the_parameters_of_a_strategy, ["walk-u", "compare"]),
        (a_strategy_that_no_step_names, []),
        # When what a step left is gone it runs again; what comes after need not, for its outputs are the same.
        (a_file_that_a_step_left, ["walk-u"]),
        (an_executed_notebook, ["walk-u"]),
    ],
)
def test_a_step_runs_again_exactly_when_what_it_depends_on_changed(
    finished, project_at, tmp_path, monkeypatch, change, runs
):
    shutil.copytree(finished, tmp_path / "moved")  # also: a project that was moved still knows what it has
    project = project_at(tmp_path / "moved")
    monkeypatch.setattr("workbench.plan.PACKAGE", project.paths.root / "package")
    change(project)
    assert sorted(project.executed(project.run())) == sorted(runs)


def test_what_is_reused_comes_with_its_outputs_and_the_folder_it_wrote_to(finished, project_at, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "again")
    project, seen = project_at(tmp_path / "again"), []
    monkeypatch.setattr("workbench.plan.PACKAGE", project.paths.root / "package")
    (first,) = run_history(project.paths)
    for _ in range(2):  # what is reused twice still comes from the run that made it
        again = project.run(recorder=lambda: seen.append)
        assert (again.status, again.summary) == ("done", "5 reused")
        assert {step.reused_from for step in again.steps} == {first.run_id}
        assert again.step("compare").outputs == {"all": ["u", "v"]}
        assert again.step("walk-u").folder == first.folder / "walk-u"
        manifest = json.loads((again.folder / "manifest.json").read_text())
        assert manifest["steps"]["walk-u"]["reused_from"] == first.run_id
    assert seen == []  # nothing was executed: there is nothing to record
    assert project.executed(project.run(only=["ingest"], fresh=True)) == ["ingest"]


def test_a_step_runs_again_when_a_table_that_it_reads_or_writes_is_not_as_it_left_it(project):
    versions = {"prices": 1}
    project.desk.write("any", "1")
    project.pipeline(
        {
            "ingest": {"notebook": "any", "feeds": ["publish"], "settings": ["market"]},
            "publish": {"notebook": "any", "needs": ["ingest"], "writes": ["prices"]},
            "use": {"notebook": "any", "tables": ["prices"]},
        }
    )

    def runs():
        known = project.run(table_versions=lambda tables: {t: versions[t] for t in tables if t in versions})
        return sorted(project.executed(known))

    assert runs() == ["ingest", "publish", "use"]
    assert runs() == []
    versions["prices"] = 2  # somebody published a correction
    assert runs() == ["ingest", "publish", "use"]
    assert runs() == []
    versions.clear()  # somebody deleted the lake: what was staged for it had been used up, too
    assert runs() == ["ingest", "publish", "use"]
    versions["other"] = 5  # nobody's business
    assert runs() == []


def test_a_failed_step_keeps_its_copy_stops_its_dependents_and_lets_others_finish(project):
    project.step("good", "step.emit(a=1)")
    project.step("bad", "x = 1", "raise ValueError('prices are negative')")
    project.pipeline(
        {
            "bad": {"notebook": "bad"},
            "after": {"notebook": "good", "needs": ["bad"]},
            "last": {"notebook": "good", "needs": ["after"]},
            "other": {"notebook": "good"},
            "end": {"notebook": "good", "needs": ["other"]},
        }
    )
    seen = []
    error = project.fails(recorder=lambda: seen.append)
    result = error.result
    assert project.statuses(result) == {
        "bad": "failed",
        "after": "not run",
        "last": "not run",
        "other": "done",
        "end": "done",
    }
    assert str(error) == (
        "step bad: notebooks/bad.ipynb: cell 5 (In [5]), line 1: ValueError: prices are negative; "
        f"executed copy: data/runs/{result.run_id}/bad/notebook.ipynb"
    )
    assert "papermill-error-cell" in project.desk.cells(result.step("bad").notebook)[0].source
    assert [result.step(id).error for id in ("after", "last")] == ["bad failed", "after was not run"]
    assert (result.status, error.exit_code, seen) == ("failed", 1, [result])
    # Only what is missing runs once the notebook is mended.
    project.step("bad", "x = 1")
    assert project.executed(project.run()) == ["bad", "after", "last"]


def test_a_step_is_tried_again_as_often_as_it_says_and_every_attempt_is_kept(project):
    flaky = """
    import pathlib
    tries = pathlib.Path('../../../tries')
    count = int(tries.read_text()) + 1 if tries.exists() else 1
    tries.write_text(str(count))
    step.emit(**{f'try{count}': True})
    if count < 3:
        raise ConnectionError(f'no answer {count}')
    """
    project.step("flaky", textwrap.dedent(flaky))
    project.pipeline({"flaky": {"notebook": "flaky", "retries": 2}})
    step = project.run().step("flaky")
    assert step.status == "done"
    assert [attempt["error"].split("ConnectionError: ")[-1] for attempt in step.attempts] == [
        "no answer 1",
        "no answer 2",
        "",
    ]
    assert step.outputs == {"try3": True}  # what a failed attempt emitted is gone
    kept = sorted(file.name for file in step.folder.glob("*.ipynb"))
    assert kept == ["notebook.attempt1.ipynb", "notebook.attempt2.ipynb", "notebook.ipynb"]


def test_a_step_that_runs_out_of_attempts_fails_and_one_without_retries_has_one(project):
    project.step("bad", "raise ConnectionError('no answer')")
    project.pipeline({"one": {"notebook": "bad"}, "two": {"notebook": "bad", "retries": 1}})
    error = project.fails()
    assert [len(step.attempts) for step in error.result.steps] == [1, 2]
    assert str(error).endswith("(and 1 more failed)")


def test_a_step_that_takes_too_long_says_so(project):
    project.step("slow", "import time\ntime.sleep(600)")
    project.pipeline({"slow": {"notebook": "slow", "timeout": 0.5}})
    assert "StepTimeout: the notebook took longer than its timeout of 0.5 s" in str(project.fails())


def test_only_so_many_steps_run_at_once(project):
    project.step("busy", "import time\nbegun = time.time()\ntime.sleep(0.3)\nstep.emit(begun=begun, ended=time.time())")
    project.pipeline({name: {"notebook": "busy", "params": {}} for name in "abc"})
    for parallel in (1, 2):
        steps = project.run(parallel=parallel, fresh=True).steps
        spans = [(step.outputs["begun"], step.outputs["ended"]) for step in steps]
        assert max(sum(b <= begun < e for b, e in spans) for begun, _ in spans) == parallel


def test_only_some_steps_run_with_what_they_need(backtest):
    assert [step.id for step in backtest.run(only=["validate"]).steps] == ["ingest", "validate"]
    result = backtest.run(only=["walk-v"])
    assert backtest.statuses(result) == {"ingest": "reused", "validate": "reused", "walk-v": "done"}
    assert [step.id for step in backtest.run(only=["walk"]).steps] == ["ingest", "validate", "walk-u", "walk-v"]
    with pytest.raises(InputRefused, match=r"only: unknown 'wlak'. Did you mean 'walk'\?"):
        backtest.run(only=["wlak"])


def test_steps_run_in_the_warm_group_that_they_name(project):
    for name in ("cold", "warm"):
        project.step(name, "import sys\nstep.emit(wave='wave' in sys.modules, json='json' in sys.modules)")
    project.pipeline(
        {"cold": {"notebook": "cold"}, "warm": {"notebook": "warm", "warm": "more"}},
        warm={"light": ["json"], "more": ["light", "wave"], "unused": ["no_such_module"]},
    )
    result = project.run()
    assert result.step("cold").outputs == {"wave": False, "json": True}
    assert result.step("warm").outputs == {"wave": True, "json": True}


def test_a_second_run_at_the_same_time_is_refused_and_says_who_runs(project):
    project.step("slow", "import pathlib, time\nwhile not pathlib.Path('../../../go').exists(): time.sleep(0.02)")
    project.pipeline({"slow": {"notebook": "slow"}})
    thread = threading.Thread(target=project.run)
    thread.start()
    try:
        end = time.monotonic() + 30
        while not (history := run_history(project.paths)) and time.monotonic() < end:
            time.sleep(0.02)
        assert [run.status for run in history] == ["running"]
        with pytest.raises(
            AlreadyRunning, match=rf"pipeline 'p' is already running, pid {os.getpid()} since \d{{4}}-"
        ) as caught:
            project.run()
        assert caught.value.exit_code == 3
    finally:
        (project.paths.data / "go").touch()
        thread.join(60)
    assert [run.status for run in run_history(project.paths)] == ["done"]
    assert project.executed(project.run()) == []  # and the lock is free again


RUN = """
import sys
from workbench.params import Paths, Settings
from workbench.pipeline import run_pipeline
run_pipeline("p", Settings(strategies=("u", "v")), Paths(sys.argv[1]), progress=False)
"""


@pytest.fixture
def waiting(project):
    """A run in a process of its own, whose second step waits; its pid and the pid of the waiting kernel."""
    project.step("quick", "step.emit(a=1)")
    wait = "import os, pathlib, time\npathlib.Path('../../../waits').write_text(str(os.getpid()))\ntime.sleep(600)"
    project.step("slow", wait)
    project.step("last", "step.emit(b=1)")
    project.pipeline(
        {
            "quick": {"notebook": "quick"},
            "slow": {"notebook": "slow", "needs": ["quick"]},
            "last": {"notebook": "last", "needs": ["slow"]},
        }
    )
    waits = project.paths.data / "waits"
    with subprocess.Popen([sys.executable, "-c", RUN, str(project.paths.root)], stderr=subprocess.PIPE) as process:
        end = time.monotonic() + 60
        while not (waits.exists() and waits.read_text()) and time.monotonic() < end:
            time.sleep(0.02)
        yield process, int(waits.read_text())
        process.kill()


def test_a_killed_run_leaves_no_kernel_shows_as_interrupted_and_is_resumed(project, waiting, is_alive):
    process, kernel = waiting
    assert is_alive(kernel)
    assert [run.status for run in run_history(project.paths)] == ["running"]
    process.kill()
    process.wait()
    end = time.monotonic() + 10
    while is_alive(kernel) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_alive(kernel)
    (interrupted,) = run_history(project.paths)
    assert interrupted.status == "interrupted"
    assert project.statuses(interrupted) == {"quick": "done", "slow": "interrupted", "last": "interrupted"}
    assert interrupted.summary == "1 done, 2 interrupted"
    project.step("slow", "1")
    result = project.run()
    assert project.statuses(result) == {"quick": "reused", "slow": "done", "last": "done"}
    assert [run.status for run in run_history(project.paths)] == ["done", "interrupted"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_polite_kill_end_the_kernels_and_leave_a_manifest(project, waiting, is_alive, signum):
    process, kernel = waiting
    process.send_signal(signum)
    errors = process.communicate(timeout=30)[1].decode()
    assert process.returncode != 0
    assert errors.strip().endswith("KeyboardInterrupt")
    assert not is_alive(kernel)
    (stopped,) = run_history(project.paths)
    assert stopped.status == "stopped"
    assert project.statuses(stopped) == {"quick": "done", "slow": "stopped", "last": "not run"}
    assert stopped.step("slow").notebook.exists()


def test_a_run_with_nothing_to_do_loads_neither_papermill_nor_dask_nor_jupyter(backtest):
    backtest.run()
    code = (
        RUN
        + "print(sorted({'papermill', 'nbclient', 'dask', 'jupyter_client', 'nbformat', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(backtest.paths.root)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    assert run_history(backtest.paths)[0].summary == "5 reused"


def test_a_place_that_cannot_be_written_is_one_clear_line_and_nothing_runs(backtest):
    backtest.paths.data.mkdir()
    (backtest.paths.data / "runs").write_text("a file where a folder should be")
    with pytest.raises(CannotWrite, match=r"data/runs/.*: Not a directory; check its permissions and run again"):
        backtest.run()
    (backtest.paths.data / "runs").unlink()
    (backtest.paths.data / "state" / "pipeline.lock").unlink()
    (backtest.paths.data / "state").rmdir()
    (backtest.paths.data / "state").write_text("")
    with pytest.raises(CannotWrite, match=r"pipeline.lock: "):
        backtest.run()


def test_a_step_on_a_full_disk_fails_once_however_many_retries_it_has(project, monkeypatch):
    from workbench import execution

    project.step("one", "1")
    project.pipeline({"one": {"notebook": "one", "retries": 3}})
    real, calls = execution.execute, []

    def on_a_full_disk(notebook, output, *rest, **options):
        calls.append(output)
        part(output.with_suffix(".running.ipynb")).symlink_to("/dev/full")
        return real(notebook, output, *rest, **options)

    monkeypatch.setattr(execution, "execute", on_a_full_disk)
    error = project.fails()
    assert "No space left on device" in str(error)
    assert len(calls) == 1


def test_a_table_that_cannot_be_read_is_said_and_the_run_is_over(project):
    asked = []

    def read(tables):
        asked.append(tables)
        if len(asked) > 1:
            raise LakeDamaged("prices: half of the log is missing; restore it")
        return {"prices": 1}

    project.step("first", "1")
    project.desk.write("reads", "1")
    project.pipeline(
        {"first": {"notebook": "first"}, "reads": {"notebook": "reads", "needs": ["first"], "tables": ["prices"]}}
    )
    error = project.fails(table_versions=read)  # found out in the middle of the run
    assert str(error) == "step reads: prices: half of the log is missing; restore it"
    assert project.statuses(error.result) == {"first": "done", "reads": "failed"}
    with pytest.raises(LakeDamaged, match="half of the log"):
        project.run(table_versions=read)  # found out before anything runs
    assert [run.status for run in run_history(project.paths)] == ["failed"]


def test_a_step_that_failed_is_named_though_its_run_cannot_be_recorded_either(project):
    def recorder():
        raise CannotWrite("mlflow.db: read-only; chmod it")

    project.step("a", "raise ValueError('no such day')")
    project.pipeline({"a": {"notebook": "a"}})
    error = project.fails(recorder=recorder)
    assert "step a: " in str(error)
    assert "no such day" in str(error)
    assert isinstance(error.__cause__, CannotWrite)


def test_a_recorder_that_cannot_be_opened_is_said_when_the_steps_are_done(project):
    def recorder():
        raise CannotWrite("mlruns/mlflow.db: read-only")

    project.step("a", "1")
    project.pipeline({"a": {"notebook": "a"}})
    with pytest.raises(CannotWrite, match="read-only"):
        project.run(recorder=recorder)
    assert [run.status for run in run_history(project.paths)] == ["done"]
    assert project.run(recorder=recorder).step("a").status == "reused"  # nothing to record: it is not opened


REAL = Settings(market="real")


@pytest.fixture
def market_pipeline(project):
    """A pipeline that ingests the sample market only, and reads prices and actions."""
    project.desk.write("any", "1")
    project.pipeline(
        {
            "ingest": {"notebook": "any", "markets": ["sample"], "feeds": ["publish"]},
            "publish": {"notebook": "any", "needs": ["ingest"], "writes": ["prices", "actions"]},
            "use": {"notebook": "any", "needs": ["publish"], "tables": ["prices", "actions"]},
        }
    )
    return project


def test_a_market_that_nobody_ingested_is_refused_before_anything_runs(market_pipeline):
    with pytest.raises(NoData) as refused:
        market_pipeline.run(REAL, table_versions=lambda tables: {})
    assert str(refused.value) == (
        "market 'real': its lake is empty, and pipeline 'p' ingests nothing for it; "
        "ingest it first (docs/lake.md), or take the embedded market: --set market=sample"
    )
    with pytest.raises(NoData, match="market 'real': its lake has no actions, and"):
        market_pipeline.run(REAL, table_versions=lambda tables: {"prices": 0})
    assert run_history(market_pipeline.paths) == []


def test_a_step_that_does_not_serve_the_market_is_left_out(market_pipeline):
    there = market_pipeline.run(REAL, table_versions=lambda tables: {"prices": 0, "actions": 0})
    assert market_pipeline.statuses(there) == {"publish": "done", "use": "done"}
    sample = market_pipeline.run(table_versions=lambda tables: {})
    assert list(market_pipeline.statuses(sample)) == ["ingest", "publish", "use"]


def test_tables_that_a_step_writes_on_its_own_need_not_be_there(project):
    project.desk.write("any", "1")
    project.pipeline(
        {
            "download": {"notebook": "any", "writes": ["prices"]},
            "use": {"notebook": "any", "needs": ["download"], "tables": ["prices"]},
        }
    )
    assert project.run(REAL, table_versions=lambda tables: {}).status == "done"


def test_a_password_in_a_setting_is_refused_before_it_is_kept(backtest):
    settings = Settings(strategies=("u",), tracking={"uri": "postgresql://me:hunter2@host/db"})
    with pytest.raises(InputRefused, match="a URL holds a password"):
        backtest.run(settings)
    assert not backtest.paths.runs.exists()


def test_a_run_in_a_thread_works_as_in_the_main_one(backtest):
    results = []
    thread = threading.Thread(target=lambda: results.append(backtest.run(only=["validate"])))
    thread.start()
    thread.join(60)
    assert results[0].status == "done"


def test_runs_are_listed_newest_first(backtest):
    assert run_history(backtest.paths) == []
    one, two = backtest.run(only=["ingest"]), backtest.run(only=["ingest"])
    history = run_history(backtest.paths)
    assert {run.run_id for run in history} == {one.run_id, two.run_id}
    assert [run.run_id for run in history] == [two.run_id, one.run_id]
    assert all(run.seconds < 60 and run.pipeline == "p" for run in history)


CLUSTER = """
import json, sys
from distributed import LocalCluster
with LocalCluster(1, threads_per_worker=2, processes=False, protocol="tcp", dashboard_address=None) as cluster:
    open({where!r}, "w").write(json.dumps({{"address": cluster.scheduler_address}}))
    sys.stdin.read()
"""


def test_the_same_pipeline_runs_on_a_cluster(backtest, tmp_path, monkeypatch):
    """A real scheduler and a real worker in a process of their own, reached over TCP."""
    backtest.step("validate", "import os\nstep.emit(good=1, above=os.getppid())")
    where = tmp_path / "scheduler.json"
    code = CLUSTER.format(where=str(where))
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, cwd=tmp_path) as cluster:
        try:
            end = time.monotonic() + 30
            while (address := read_json(where)) is None and time.monotonic() < end:
                time.sleep(0.05)
            monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address["address"])
            result = backtest.run()
            assert backtest.statuses(result) == dict.fromkeys(EVERYTHING, "done")
            assert result.step("validate").outputs["above"] == cluster.pid
            assert result.step("compare").outputs == {"all": ["u", "v"]}
            assert {attempt["kernel"] for step in result.steps for attempt in step.attempts} == {"ordinary"}
            monkeypatch.delenv("DASK_SCHEDULER_ADDRESS")
            assert backtest.executed(backtest.run()) == []  # what the cluster did counts here
        finally:
            cluster.stdin.close()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("tcp://127.0.0.1:9", "no answer within 0 s; start it there with `dask scheduler`, or unset the variable"),
        ("rubbish", "missing port number"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_told_before_the_first_step(backtest, monkeypatch, address, says):
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 0.4)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    with pytest.raises(WorkbenchError) as refused:
        backtest.run()
    assert str(refused.value).startswith("DASK_SCHEDULER_ADDRESS ")
    assert says in str(refused.value)
    assert not list(backtest.paths.runs.glob("*-p-*"))


def test_a_cluster_without_workers_is_told_before_the_first_step(backtest, monkeypatch):
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 1.0)
    with LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0") as idle:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", idle.scheduler_address)
        with pytest.raises(WorkbenchError, match="it has no workers; start some with `dask worker tcp://"):
            backtest.run()


def test_an_unknown_pipeline_names_the_nearest(backtest):
    with pytest.raises(InputRefused, match=r"no pipeline 'q' in pipelines/. Known: p."):
        run_pipeline("q", backtest.settings, backtest.paths, progress=False)
