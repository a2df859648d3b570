"""The installed code and the parameters are those that were approved."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.registry.loader.conftest import LATER, complete
from workbench.registry.packs.code import installed_code

# MLflow uses a loader strategy of SQLAlchemy that is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"files": {**installed_code("sma_cross").files, "strategies/sizing.py": "0" * 64}},
         "the code is not the one that was approved: strategies/sizing.py was edited"),
        ({"entry_point": "workbench.strategies.sma_cross:Other"}, "its entry point is workbench.strategies.sma_cro"),
    ],
)  # fmt: skip
def test_other_code_than_the_approved_is_refused(runner, change, said):
    runner.stand(code=replace(installed_code("sma_cross"), **change))
    assert said in runner.refusal()


def test_a_strategy_without_code_is_refused(runner):
    runner.stand(code=None)
    assert "its pack names no code" in runner.refusal()


@pytest.mark.e2e
def test_source_edited_after_the_approval_is_refused_before_it_runs(runner, tmp_path):
    runner.stand()
    source = Path(__file__).parents[3] / "src" / "workbench"
    shutil.copytree(source, tmp_path / "src" / "workbench", ignore=shutil.ignore_patterns("__pycache__"))
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\nfrom datetime import datetime\nfrom pathlib import Path\n"
        "from workbench.errors import WorkbenchError\nfrom workbench.params import Paths, Settings\n"
        "from workbench.registry.loader import AccountMode, load\n"
        "from workbench.registry.packs.approvers import Approvers\n"
        "paths = Paths(sys.argv[1])\n"
        "approvers = Approvers.read(paths.params / 'approvers.yaml', paths)\n"
        "try:\n"
        "    found = load('sma_cross', 'paper', account=AccountMode.PAPER, settings=Settings(market='real'),\n"
        "                 paths=paths, approvers=approvers, now=datetime.fromisoformat(sys.argv[2]))\n"
        "    print('loaded', found.version)\n"
        "except WorkbenchError as error:\n    print('refused', error)\n"
    )

    def run() -> str:
        done = subprocess.run(
            [sys.executable, str(script), str(runner.project.root), LATER.isoformat()], capture_output=True, text=True,
            env={"PYTHONPATH": str(tmp_path / "src"), "PATH": "", "HOME": str(tmp_path)}, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    assert run() == "loaded 1"
    for name in ("errors.py", "params.py"):  # no weight comes from them
        other = tmp_path / "src" / "workbench" / name
        other.write_text(other.read_text() + "\nMORE = 1\n")
    assert run() == "loaded 1"
    edited = tmp_path / "src" / "workbench" / "strategies" / "sma_cross.py"
    edited.write_text(edited.read_text() + f"\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
    assert "the code is not the one that was approved: strategies/sma_cross.py was edited" in run()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategy": "xs_momentum"}, "params.json is of 'xs_momentum'"),
        ({"params": {"fast": 20, "slow": 150, "leverage": 9}}, "unknown parameter 'leverage'"),
        ({"params": {"fast": "20", "slow": 150}}, "parameter 'fast' is '20'"),
        ({"params": [20, 150]}, "lacks or misspells params"),
        ({"symbols": []}, "lacks or misspells symbols"),
        ({"symbols": "AAA00"}, "lacks or misspells"),
        ({"sizing": {"max_weight": 99.0}}, "lacks or misspells"),
        ({"lookback": 20}, "the strategy looks back 155 bars, its evidence 20"),
    ],
)
def test_parameters_that_are_not_those_of_the_evidence_are_refused(runner, changes, said):
    runner.stand(spoil=lambda parts: complete(parts, **changes))
    assert said in runner.refusal()
