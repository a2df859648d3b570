"""Forked kernels: they work as ordinary ones do, side by side, and none outlives what it was forked for."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from workbench.execution import NotebookFailed, execute
from workbench.kernels import NEEDLESS, NoFork, WarmParents, available, lineage, without

pytestmark = pytest.mark.skipif(not available(), reason="kernels are forked on Linux only")

FACTS = """
import json, os, sys
status = open('/proc/self/status').read()
print(json.dumps({
    'pid': os.getpid(), 'parent': os.getppid(), 'group': os.getpgid(0),
    'warm': [m for m in ('numpy', 'pandas', 'matplotlib.pyplot', 'polars') if m in sys.modules],
}))
"""


@pytest.fixture
def run(desk):
    """Execute one cell in a kernel forked from a group; return how it ran and what it printed."""

    def run(parents, group, code, name="out"):
        out = desk.folder / f"{name}.ipynb"
        notebook = desk.notebook(textwrap.dedent(code), name=f"source-{name}")
        done = execute(notebook, out, {}, cwd=desk.folder, fork=partial(parents.fork, group))
        return done.kernel, desk.printed(out)

    return run


def test_a_group_has_its_own_imports_and_those_it_grows_from(parents, run):
    found = {group: json.loads(run(parents, group, FACTS)[1])["warm"] for group in ("", "light", "pictures")}
    assert found == {
        "": [],
        "light": ["numpy", "pandas"],
        "pictures": ["numpy", "pandas", "matplotlib.pyplot", "polars"],
    }


def test_lineage_is_the_groups_from_the_oldest_on():
    groups = {"light": ["numpy"], "data": ["light", "polars"], "more": ["data", "json"], "other": ["json"]}
    assert lineage(groups, "more") == ["light", "data", "more"]
    assert lineage(groups, "other") == ["other"]


def test_a_forked_kernel_computes_with_polars_numpy_and_delta_tables(parents, run):
    code = """
    import deltalake, numpy as np, polars as pl
    frame = pl.DataFrame({"a": range(100_000), "b": [i % 7 for i in range(100_000)]})
    frame.write_delta("table")
    read = pl.scan_delta("table").group_by("b").agg(pl.col("a").sum()).sort("b").collect()
    print(read["a"].sum(), read.height, deltalake.DeltaTable("table").version())
    print(float(np.linalg.det(np.eye(400) * 1.01)) > 1, np.ones((500, 500)).dot(np.ones((500, 500))).sum())
    """
    for group in ("light", "pictures"):
        kernel, text = run(parents, group, code.replace('"table"', f'"table-{group}"'), name=group)
        assert kernel == "forked"
        assert text == "4999950000 7 0\nTrue 125000000.0\n"


def test_plots_of_a_forked_kernel_are_in_its_notebook(parents, run, desk):
    run(parents, "pictures", "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3]);")
    shown = [output.data for output in desk.outputs(desk.folder / "out.ipynb") if "data" in output]
    assert [sorted(data) for data in shown] == [["image/png", "text/plain"]]
    assert shown[0]["image/png"].startswith("iVBORw0KGgo")  # the signature of PNG in base 64


VECTORBT_AND_MLFLOW = """
import sys
assert "mlflow" in sys.modules and "vectorbt" in sys.modules
import mlflow, pandas as pd, sqlite3, vectorbt as vbt
mlflow.set_tracking_uri("sqlite:///runs.db")
with mlflow.start_run():
    mlflow.log_metrics({"sharpe": 1.5})
print(sqlite3.connect("runs.db").execute("select key, value from metrics").fetchall())
close = pd.Series([1.0, 2.0, 1.0, 2.0], index=pd.date_range("2024-01-01", periods=4))
held = pd.Series([True, False, True, False], index=close.index)
print(vbt.Portfolio.from_signals(close, held, ~held, freq="1D").total_return())
"""
GREAT_EXPECTATIONS = """
import sys
assert "great_expectations" in sys.modules
import great_expectations as gx, pandas as pd
context = gx.get_context(mode="ephemeral")
asset = context.data_sources.add_pandas("p").add_dataframe_asset("a")
rule = gx.expectations.ExpectColumnValuesToNotBeNull(column="a")
batch = asset.add_batch_definition_whole_dataframe("b")
for values in ([1, 2], [1, None]):
    print(batch.get_batch({"dataframe": pd.DataFrame({"a": values})}).validate(rule).success)
"""


def test_the_heavy_libraries_work_in_a_fork(run):
    """They warm up beside each other, and none of them starts a thread on import."""
    groups = {"data": ["great_expectations"], "research": ["numpy", "pandas", "vectorbt", "mlflow"]}
    with WarmParents(groups) as parents:
        kernel, text = run(parents, "research", VECTORBT_AND_MLFLOW)
        assert kernel == "forked"
        assert text.splitlines()[-2:] == ["[('sharpe', 1.5)]", "3.0"]  # bought at 1, sold at 2, twice
        kernel, text = run(parents, "data", GREAT_EXPECTATIONS)
        assert (kernel, text.split()) == ("forked", ["True", "False"])


def test_forks_run_side_by_side_and_do_not_share_their_luck(parents, run):
    code = """
    import time, numpy, random, os
    begun = time.time()
    time.sleep(1.0)
    print(begun, time.time(), numpy.random.rand(), random.random(), os.getpid())
    """
    with ThreadPoolExecutor(2) as threads:
        texts = [t[1] for t in threads.map(lambda name: run(parents, "light", code, name), ["one", "two"])]
    one, two = ([float(word) for word in text.split()] for text in texts)
    assert max(one[0], two[0]) < min(one[1], two[1])  # both slept at the same time
    assert all(a != b for a, b in zip(one[2:], two[2:], strict=True))


def test_state_of_one_notebook_does_not_reach_the_next(parents, run):
    run(parents, "light", "import os, sys, numpy\nos.environ['LEFT'] = '1'\nnumpy.left = sys.left = 1")
    code = "import os, sys, numpy\nprint('LEFT' in os.environ, hasattr(sys, 'left'), hasattr(numpy, 'left'))"
    assert run(parents, "light", code)[1] == "False False False\n"


def test_a_group_that_starts_a_thread_is_refused_and_the_kernel_is_an_ordinary_one(run, tmp_path, monkeypatch):
    (tmp_path / "noisy_module.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with WarmParents({"noisy": ["noisy_module"], "below": ["noisy", "json"], "quiet": ["json"]}) as parents:
        kernel, text = run(parents, "below", "print(1)")
        assert text == "1\n"
        assert kernel.startswith("ordinary: warm module 'noisy_module' starts a thread (")
        assert kernel.endswith("); take it out of 'warm'")
        assert run(parents, "quiet", "print(2)") == ("forked", "2\n")


def test_a_module_that_cannot_be_imported_is_named(run):
    with WarmParents({"typo": ["vectrobt"]}) as parents:
        kernel, _ = run(parents, "typo", "print(1)")
    assert kernel == "ordinary: warm module 'vectrobt' fails: ModuleNotFoundError: No module named 'vectrobt'"


def test_a_function_may_warm_up_what_an_import_does_not(run, tmp_path, monkeypatch):
    (tmp_path / "slow_tables.py").write_text("table = None\ndef fill():\n    global table\n    table = [1, 2]\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with WarmParents({"tables": ["slow_tables:fill"]}) as parents:
        assert run(parents, "tables", "import sys\nprint(sys.modules['slow_tables'].table)") == ("forked", "[1, 2]\n")


def test_a_dead_parent_is_said_and_the_step_gets_an_ordinary_kernel(run):
    with WarmParents({"light": ["json"]}) as parents:
        assert run(parents, "light", "print(1)")[0] == "forked"
        os.kill(parents.pid, signal.SIGKILL)
        kernel, text = run(parents, "light", "print(2)")
        assert text == "2\n"
        assert kernel.startswith("ordinary: the warm parent 'light' ")


def test_a_kernel_whose_parent_dies_is_an_error_and_not_a_wait(desk, parents, run):
    with WarmParents() as own:
        notebook = desk.notebook("import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(600)")
        with pytest.raises(NotebookFailed, match="KernelDied"):
            execute(notebook, desk.folder / "out.ipynb", {}, cwd=desk.folder, fork=partial(own.fork, ""))


def test_the_last_words_of_a_warm_parent_reach_the_error_and_the_next_step(desk, run, monkeypatch, tmp_path):
    (tmp_path / "doomed_module.py").write_text(
        "import os, signal\n"
        "def end(*_):\n"
        "    os.write(2, b'starting\\nMemoryError: cannot map 8 GB\\n')\n"
        "    os._exit(1)\n"
        "signal.signal(signal.SIGUSR1, end)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with WarmParents({"doomed": ["doomed_module"]}) as own:
        notebook = desk.notebook("import os, signal, time\nos.kill(os.getppid(), signal.SIGUSR1)\ntime.sleep(600)")
        died = re.escape(
            "KernelDied: its warm parent died, and the kernel with it (warm.log: MemoryError: cannot map 8 GB)"
        )
        with pytest.raises(NotebookFailed, match=died):
            execute(notebook, desk.folder / "out.ipynb", {}, cwd=desk.folder, fork=partial(own.fork, "doomed"))
        kernel, text = run(own, "doomed", "print(2)")
        assert text == "2\n"
        assert kernel.endswith("(warm.log: MemoryError: cannot map 8 GB)")


def test_close_ends_running_kernels_and_removes_the_folder(desk, is_alive):
    parents = WarmParents({"light": ["json"]})
    parents.start()
    folder = parents.folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    where = {"cwd": desk.folder, "env": dict(os.environ), "log": desk.folder / "log"}
    kernels = [parents.fork(group, str(desk.folder / f"k{group}.json"), **where) for group in ("", "light")]
    below = _parent_of(kernels[1].pid)
    assert [kernel.poll() for kernel in kernels] == [None, None]
    parents.close()
    assert not any(is_alive(pid) for pid in (kernels[0].pid, kernels[1].pid, below))
    assert [kernel.wait(5) for kernel in kernels] == [-signal.SIGKILL] * 2
    assert not folder.exists()
    with pytest.raises(NoFork, match="no warm parent was started"):
        parents.fork("light", "x", **where)


def test_a_kernel_is_interrupted_terminated_and_killed_like_any_process(desk, parents):
    def fork():
        return parents.fork(
            "", str(desk.folder / "k.json"), cwd=desk.folder, env=dict(os.environ), log=desk.folder / "log"
        )

    kernel = fork()
    kernel.terminate()
    assert kernel.wait(10) == -signal.SIGTERM
    kernel = fork()
    kernel.kill()
    assert kernel.wait(10) == -signal.SIGKILL
    assert kernel.poll() == -signal.SIGKILL
    kernel.kill()  # once more does nothing
    kernel = fork()
    with pytest.raises(subprocess.TimeoutExpired):
        kernel.wait(0.05)
    kernel.kill()
    kernel.wait(10)


def test_no_kernel_outlives_a_killed_owner(tmp_path, is_alive):
    """The owner is killed while one kernel works and another parent still imports."""
    (tmp_path / "slow_module.py").write_text("import time\ntime.sleep(600)\n")
    script = f"""
        import os, sys, time
        from pathlib import Path
        from workbench.kernels import WarmParents
        parents = WarmParents({{"light": ["json"], "slow": ["slow_module"]}})
        parents.start()
        folder = Path({str(tmp_path)!r})
        kernel = parents.fork("light", str(folder / "k.json"), cwd=folder, env=dict(os.environ), log=folder / "log")
        print(parents.pid, kernel.pid, flush=True)
        time.sleep(600)
    """
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True, env=environment
    )
    with owner:
        base, kernel = (int(word) for word in owner.stdout.readline().split())
        family = {base, kernel, *_children_of(base)}
        assert len(family) == 4  # the base, a parent with its kernel, and the parent that still imports
        owner.kill()
        owner.wait()
        end = time.monotonic() + 10
        while any(map(is_alive, family)) and time.monotonic() < end:
            time.sleep(0.02)
        assert not any(map(is_alive, family))


def test_needless_imports_are_kept_away_only_while_asked():
    with without("wave", *NEEDLESS), pytest.raises(ImportError):
        import wave
    import wave

    assert wave.__name__ == "wave"


def _parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def _children_of(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
