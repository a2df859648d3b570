"""Small projects in folders of their own: settings, notebooks made of a few cells, a pipeline, and runs of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import workbench.execution  # noqa: F401  (before nbformat: it keeps a slow import away)

import nbformat  # isort: skip

from workbench.kernels import WarmParents
from workbench.notebook import Notebook, read_notebook
from workbench.params import Paths, Settings
from workbench.pipeline import RunFailed, RunResult, run_pipeline

ROOT = Path(__file__).parents[2]
OPEN = "from workbench.step import open_step\nstep = open_step(folder)"
FOLDER = 'folder: str = ""'


class Desk:
    """A folder with notebooks: written from a few cells, and read again after they were executed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, *cells: str, parameters: str | None = FOLDER) -> Path:
        """Write a notebook: a title, the parameters cell, then these code cells."""
        notebook = nbformat.v4.new_notebook()
        notebook.cells.append(nbformat.v4.new_markdown_cell("# A step"))
        if parameters is not None:
            notebook.cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
        file = self.folder / f"{name}.ipynb"
        file.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, file)
        return file

    def notebook(self, *cells: str, parameters: str | None = FOLDER, name: str = "source") -> Notebook:
        """Write a notebook and read it as the pipeline does."""
        return read_notebook(self.write(name, *cells, parameters=parameters), f"{name}.ipynb")

    @staticmethod
    def cells(file: Path) -> list[Any]:
        """Return the cells of an executed notebook."""
        return list(nbformat.read(file, 4).cells)

    @classmethod
    def outputs(cls, file: Path) -> list[Any]:
        """Return all outputs of an executed notebook."""
        return [output for cell in cls.cells(file) for output in cell.get("outputs", [])]

    @classmethod
    def printed(cls, file: Path) -> str:
        """Return what an executed notebook printed."""
        return "".join(output.text for output in cls.outputs(file) if output.output_type == "stream")


class Project:
    """A root with params, notebooks and one pipeline called ``p``."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        self.desk = Desk(self.paths.notebooks)
        if not self.paths.params.is_dir():
            (root / "params" / "strategies").mkdir(parents=True)
            shutil.copy(ROOT / "params" / "base.yaml", root / "params")
        self.settings = Settings(strategies=("u", "v"))

    def step(self, name: str, *code: str, parameters: str = FOLDER) -> Path:
        """Write a step notebook that opens its step and then runs the code."""
        return self.desk.write(name, OPEN, *code, parameters=parameters)

    def pipeline(self, steps: dict[str, Any], **more: Any) -> None:
        """Write pipelines/p.yaml."""
        self.paths.pipelines.mkdir(exist_ok=True)
        content = {"name": "p", **more, "steps": steps}
        (self.paths.pipelines / "p.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def run(self, settings: Settings | None = None, **options: Any) -> RunResult:
        """Run the pipeline in silence."""
        return run_pipeline("p", settings or self.settings, self.paths, **{"progress": False, **options})

    def fails(self, **options: Any) -> RunFailed:
        """Run the pipeline, which must fail, and return the error."""
        with pytest.raises(RunFailed) as caught:
            self.run(**options)
        return caught.value

    @staticmethod
    def statuses(result: RunResult) -> dict[str, str]:
        """Return what became of each step."""
        return {step.id: step.status for step in result.steps}

    @staticmethod
    def executed(result: RunResult) -> list[str]:
        """Return the steps that were not reused."""
        return [step.id for step in result.steps if step.status != "reused"]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A folder for notebooks."""
    return Desk(tmp_path)


@pytest.fixture(scope="session")
def project_at() -> type[Project]:
    """The maker of a project from its root, new or not."""
    return Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small project with no pipeline yet."""
    return Project(tmp_path / "project")


@pytest.fixture(scope="session")
def parents() -> Iterator[WarmParents]:
    """Warm parents for all tests: ``light`` has numpy, ``pictures`` grows from it."""
    with WarmParents({"light": ["numpy", "pandas"], "pictures": ["light", "matplotlib.pyplot", "polars"]}) as warm:
        yield warm


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    """Whether a process still does something: one that nobody has reaped yet does not."""

    def is_alive(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    return is_alive
