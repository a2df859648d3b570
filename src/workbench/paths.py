"""Where everything lies below the project's root."""

from __future__ import annotations

import os
from pathlib import Path

from workbench.errors import ParamsRefused


class Paths:
    """Where everything lies below the project's root."""

    def __init__(self, root: Path | str | None = None) -> None:
        self.root = find_root() if root is None else Path(root).resolve()
        self.params = self.root / "params"
        self.notebooks = self.root / "notebooks"
        self.pipelines = self.root / "pipelines"
        self.data = self.root / "data"
        self.lake = self.data / "lake"
        self.raw = self.data / "raw"
        self.staged = self.data / "staged"
        self.runs = self.data / "runs"
        self.reports = self.data / "reports"
        self.state = self.data / "state"
        self.trials = self.state / "trials.db"
        self.mlruns = self.root / "mlruns"

    def short(self, path: Path) -> str:
        """Return the path as a person in the root folder would type it."""
        try:
            return str(Path(path).resolve().relative_to(self.root))
        except ValueError:
            return str(path)


def require_own_code() -> None:
    """Refuse to work on a checkout by other code than its own: runs would name a commit that did not make them."""
    try:
        there = find_root() / "src" / "workbench"
    except ParamsRefused:  # outside of any checkout; who needs one says so
        return
    here = Path(__file__).resolve().parent
    if there.is_dir() and there.resolve() != here and _files(there) != _files(here):
        raise ParamsRefused(
            f"this is the code of {here}, but you work in {there.parents[1]}, which has other code; call its own "
            "workbench, or where it was copied with its .venv: rm -rf .venv .stamps and make setup"
        )


def _files(package: Path) -> dict[str, bytes]:
    return {str(file.relative_to(package)): file.read_bytes() for file in sorted(package.rglob("*.py"))}


def find_root() -> Path:
    """Return the project's root: $WORKBENCH_ROOT, else the nearest folder above with params/base.yaml."""
    named = os.environ.get("WORKBENCH_ROOT")
    if named:
        if not (Path(named) / "params" / "base.yaml").is_file():
            raise ParamsRefused(
                f"WORKBENCH_ROOT '{named}': no params/base.yaml there; name the folder of a clone, "
                "or unset WORKBENCH_ROOT"
            )
        return Path(named).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents, *Path(__file__).resolve().parents):
        if (folder / "params" / "base.yaml").is_file():
            return folder
    raise ParamsRefused(f"no params/base.yaml in {here} or above; run from a clone, or set WORKBENCH_ROOT")
