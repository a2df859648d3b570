import subprocess
import sys

import pytest

OPEN = (
    "import os, resource, signal, sys, threading, time; from pathlib import Path\n"
    "from workbench.params import Paths, Settings; from workbench.registry.runs import Tracking\n"
    "root = Path(sys.argv[1])\n"
    "def die():\n"
    "    while True:\n"
    "        if any(file.stat().st_size > 100_000 for file in root.glob('mlruns/*mlflow.d*[bp]')): break\n"
    "        time.sleep(0.001)\n"
    "    os.kill(os.getpid(), signal.SIGKILL)\n"
    "if sys.argv[2] == 'full': resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
    "if sys.argv[2] == 'killed': threading.Thread(target=die, daemon=True).start()\n"
    "try: print(Tracking(Settings(), Paths(root)).experiment_id())\n"
    "except Exception as error: sys.exit(str(error))"
)


@pytest.mark.parametrize(
    ("how", "code", "says"),
    [
        ("full", 1, "mlruns/mlflow.db: the disk refused a write; see whether it is full, then run again\n"),
        ("killed", -9, ""),
    ],
)
def test_a_new_store_is_made_whole_or_not_at_all(tmp_path, how, code, says):
    """A schema of half its tables is one that MLflow can neither use nor go on with."""

    def opened(how: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", OPEN, tmp_path, how], capture_output=True, text=True, timeout=120)

    first = opened(how)
    assert (first.returncode, first.stderr) == (code, says)
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()
    again = opened("freely")
    assert (again.returncode, again.stdout.strip()) == (0, "1"), again.stderr
    assert not list((tmp_path / "mlruns").glob(".*.tmp*"))


def test_several_processes_may_open_a_new_store_at_the_same_time(tmp_path):
    """MLflow makes the tables of a new store without a lock; the steps of a first backtest open it side by side."""
    script = (
        "import sys; from workbench.params import Paths, Settings; from workbench.registry.runs import Tracking\n"
        "from workbench.registry.connection import load_mlflow\n"
        "load_mlflow(); print('ready', flush=True); sys.stdin.readline()\n"
        "print(Tracking(Settings(), Paths(sys.argv[1])).experiment_id())"
    )
    pipe = subprocess.PIPE
    openers = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        for _ in range(3)
    ]
    for opener in openers:
        opener.stdout.readline()  # all have imported what they need, so that they begin together
    for opener in openers:
        opener.stdin.write("go\n")
        opener.stdin.flush()
    said = [opener.communicate(timeout=120) for opener in openers]
    assert [opener.returncode for opener in openers] == [0, 0, 0], said
    assert len({out.strip() for out, _ in said}) == 1
