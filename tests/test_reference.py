"""Every public name has its sentence, and docs/reference.md has them all."""

import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))

import reference  # noqa: E402 (a script beside the pages)


def test_the_reference_is_what_the_source_says():
    assert reference.PAGE.read_text() == reference.page(), "docs/reference.md is behind the source; run: make docs"


def test_every_public_name_has_its_sentence():
    silent = [line for line in reference.page().splitlines() if line.startswith("- ") and line.rstrip().endswith("`:")]
    assert silent == []


def test_a_line_names_arguments_defaults_and_the_first_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "SOURCE", tmp_path / "workbench")
    file = tmp_path / "workbench" / "data" / "__init__.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        """'Tables. And more.'
def read(a, b=1, *, c=None, **d):
    'Return rows. Never half.'
def _hidden(): ...
class Lake:
    'Where tables lie.'
    def bars(self): ...
    def _path(self): ...
"""
    )
    assert reference.module(file) == (
        "## workbench.data\n\nTables.\n\n- `read(a, b=1, *, c=None, **d)`: Return rows.\n"
        "- `Lake`: Where tables lie. Has `bars`.\n"
    )
