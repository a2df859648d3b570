"""A checkout with parameters and pipelines but nothing run yet, and the way to type a command in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Desk:
    """A folder with params/, pipelines/, notebooks/ and locks/ of this checkout."""

    root: Path

    def type(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the workbench in it."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")}
        return subprocess.run(
            [sys.executable, "-m", "workbench.cli", *words],
            cwd=self.root,
            env={**clean, "WORKBENCH_ROOT": str(self.root), "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def refusal(self, *words: str, code: int = 2, **environment: str) -> str:
        """Return the one line with which a command is refused, before anything was written."""
        before = self.files()
        done = self.type(*words, **environment)
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith("error: ")
        assert self.files() == before
        return done.stderr.removeprefix("error: ").rstrip("\n")

    def files(self) -> list[str]:
        """Return every file but the lock, which says nothing when nobody holds it."""
        files = (file for file in self.root.rglob("*") if file.is_file() and file.suffix != ".lock")
        return sorted(str(file.relative_to(self.root)) for file in files)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A checkout of its own."""
    for folder in ("params", "pipelines", "notebooks", "locks"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return Desk(tmp_path)
