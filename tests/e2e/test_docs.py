"""The Python examples of the docs run, in a checkout that has been backtested once."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    page
    for page in sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    if re.search(r"^```python$", page.read_text(), flags=re.MULTILINE)
]


@pytest.mark.e2e
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run_one_after_another(backtested, page, tmp_path):
    clone, _ = backtested
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert blocks
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=clone.root,
        env={"PYTHONPATH": str(clone.root / "src"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert ran.returncode == 0, f"{page.name}:\n{ran.stderr[-2000:]}"
