"""A copy of this checkout with a small market, on which the commands are run as a user runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Clone:
    """A checkout of its own and the way to run the workbench in it."""

    root: Path

    def run(self, *words: str, timeout: float = 280, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the workbench; stdout, stderr and the exit code come back."""
        return self._python("-m", "workbench.cli", *words, timeout=timeout, COLUMNS="200", **environment)

    def execute(self, notebook: str, done: Path) -> subprocess.CompletedProcess[str]:
        """Execute a notebook of the checkout as papermill does, into another file."""
        return self._python("-m", "papermill", "--no-progress-bar", f"notebooks/{notebook}", str(done), timeout=250)

    def _python(self, *words: str, timeout: float, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")}
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.root,
            env={**clean, "PYTHONPATH": str(self.root / "src"), **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )


def make_clone(folder: Path) -> Clone:
    """Copy what git tracks or would track, shrink the market, and commit it so that runs have a commit."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    # What was compiled here already is not compiled again in every copy; what is not yet, is. Indices come last.
    for kind in ("*.nbc", "*.nbi"):
        for compiled in (ROOT / "src").rglob(kind):
            (folder / compiled.relative_to(ROOT)).parent.mkdir(exist_ok=True)
            shutil.copy2(compiled, folder / compiled.relative_to(ROOT))
    base = folder / "params" / "base.yaml"
    settings = yaml.safe_load(base.read_text())
    settings["sample"] |= {"years": 6, "symbols_per_sector": 3, "intraday_sessions": 3}
    settings["walk_forward"] |= {"train_sessions": 400, "test_sessions": 200}
    base.write_text(yaml.safe_dump(settings))
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "A small market."], check=True)
    return Clone(folder)


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """One small checkout for all tests of this folder; `backtested` has run `backtest` in it."""
    return make_clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="session")
def apart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, subprocess.CompletedProcess[str]]:
    """A second checkout after a backtest of two strategies: a promotion needs a commit that no other test changes."""
    clone = make_clone(tmp_path_factory.mktemp("apart"))
    done = clone.run("backtest", "--strategy", "sma_cross", "--strategy", "xs_momentum")
    assert done.returncode == 0, done.stdout + done.stderr
    return clone, done


@pytest.fixture(scope="session")
def backtested(clone: Clone) -> tuple[Clone, subprocess.CompletedProcess[str]]:
    """The checkout after its first backtest, and what that printed."""
    done = clone.run("backtest")
    assert done.returncode == 0, done.stdout + done.stderr
    return clone, done
