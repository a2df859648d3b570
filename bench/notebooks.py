"""What a notebook costs beyond its own work: in a forked kernel, in an ordinary one, and with plain papermill.

    python bench/notebooks.py --repeats 9

One JSON line a figure. The pipelines are made of empty steps, so that nothing but the machinery is measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import yaml
from figure import report, seconds

import workbench.execution as execution
from workbench.kernels import WarmParents
from workbench.notebook import read_notebook
from workbench.params import Paths, Settings
from workbench.pipeline import run_pipeline

RUN = """
import sys
from workbench.params import Paths, Settings
from workbench.pipeline import run_pipeline
run_pipeline("p", Settings(), Paths(sys.argv[1]), progress=False)
"""


def write_notebook(file: Path, cells: int) -> Path:
    """Write a notebook of trivial cells."""
    sources = [('folder: str = ""', ["parameters"]), *[(f"x = {number}", []) for number in range(cells)]]
    code = {"cell_type": "code", "outputs": [], "execution_count": None}
    content = [{**code, "source": source, "metadata": {"tags": tags}} for source, tags in sources]
    file.parent.mkdir(parents=True, exist_ok=True)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    file.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": kernel, "cells": content}))
    return file


def main() -> None:
    """Measure and print every figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cells", type=int, default=5)
    options.add_argument("--steps", type=int, default=4)
    options.add_argument("--repeats", type=int, default=5)
    asked = options.parse_args()
    median = partial(seconds, repeats=asked.repeats, before=1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        file = write_notebook(root / "notebooks" / "empty.ipynb", asked.cells)
        notebook, out = read_notebook(file), root / "out.ipynb"

        def plain() -> None:
            execution.execute_notebook(str(file), str(out), {"folder": ""}, kernel_name="python3", progress_bar=False)

        by_papermill = median(plain)
        with WarmParents({"light": ["numpy", "pandas"]}) as parents:
            fork = partial(parents.fork, "light")
            forked = median(lambda: execution.execute(notebook, out, {}, cwd=root, fork=fork))
        ordinary = median(lambda: execution.execute(notebook, out, {}, cwd=root))
        size = {"cells": asked.cells, "repeats": asked.repeats}
        report("notebook overhead, forked kernel", forked, "papermill", by_papermill, size)
        report("notebook overhead, ordinary kernel", ordinary, "papermill", by_papermill, size)

        paths = Paths(root)
        (paths.params / "strategies").mkdir(parents=True)
        steps = {
            f"s{number}": {"notebook": "empty", "needs": [f"s{number - 1}"] if number else []}
            for number in range(asked.steps)
        }
        paths.pipelines.mkdir()
        (paths.pipelines / "p.yaml").write_text(yaml.safe_dump({"name": "p", "steps": steps}))
        fresh = median(lambda: run_pipeline("p", Settings(), paths, progress=False, fresh=True))
        reused = median(lambda: run_pipeline("p", Settings(), paths, progress=False))
        command = [sys.executable, "-c", RUN, str(root)]
        process = median(lambda: subprocess.run(command, check=True))
        start = median(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
        size |= {"steps": asked.steps}
        report("pipeline of empty steps, one after another", fresh, "papermill", by_papermill * asked.steps, size)
        report("pipeline with nothing to do", reused, "papermill", by_papermill * asked.steps, size)
        report("pipeline with nothing to do, as a process", process, "an empty Python process", start, size)


if __name__ == "__main__":
    main()
