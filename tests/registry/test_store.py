import subprocess
import sys


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
