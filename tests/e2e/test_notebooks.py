"""Every notebook for people runs top to bottom, is thin, and is committed without outputs."""

import json
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPLORE = sorted((ROOT / "notebooks" / "explore").glob("*.ipynb"))
STEPS = sorted((ROOT / "notebooks" / "steps").glob("*.ipynb"))


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize("notebook", EXPLORE, ids=lambda file: file.stem)
def test_a_notebook_for_people_runs_top_to_bottom(backtested, notebook, tmp_path):
    clone, _ = backtested
    done = tmp_path / notebook.name
    begun = time.monotonic()
    ran = clone.execute(f"explore/{notebook.name}", done)
    assert ran.returncode == 0, ran.stderr[-3000:]
    cells = [cell for cell in json.loads(done.read_text())["cells"] if cell["cell_type"] == "code"]
    pictures = sum("image/png" in out.get("data", {}) for cell in cells for out in cell["outputs"])
    assert pictures >= 1
    print(f"{notebook.stem}: {time.monotonic() - begun:.1f} s")


@pytest.mark.parametrize("notebook", [*EXPLORE, *STEPS], ids=lambda file: file.stem)
def test_a_notebook_is_titled_and_ends_with_what_comes_next(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    first, last = "".join(cells[0]["source"]), "".join(cells[-1]["source"])
    assert first.startswith("# ")
    assert "next" in last.lower()
    if notebook in STEPS:
        assert "**Question:**" in first


@pytest.mark.parametrize("notebook", [*EXPLORE, *STEPS], ids=lambda file: file.stem)
def test_a_notebook_is_committed_without_outputs(notebook):
    for cell in json.loads(notebook.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("notebook", STEPS, ids=lambda file: file.stem)
def test_a_step_is_thin(notebook):
    code = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in code) == 1
    lines = [line for cell in code for line in "".join(cell["source"]).splitlines() if line.strip()]
    assert len(lines) <= 60
    assert not [line for line in lines if line.startswith(("def ", "class "))]
