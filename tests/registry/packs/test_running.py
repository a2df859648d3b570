"""A process that began before an edit: what of it is seen in the values of its modules, and what in its files."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import workbench
from workbench.registry.packs.code import runs_otherwise

DATACLASS = "from dataclasses import dataclass, field\n"
MODEL = "from pydantic import BaseModel\n"


def module(folder: Path, source: str) -> ModuleType:
    file = folder / "made_here.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location("made_here", file)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["made_here"] = made  # as dataclasses look it up
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("K = 1.0", "K = 2.0"),
        ("K = 1", "K = 1.0"),
        ("K: float = 1.0", "K: float = 2.0"),
        ("K = -1", "K = -2"),
        ("K = 60 * 60", "K = 60 * 61"),
        ("A, B = 1, 2", "A, B = 2, 1"),
        ("K = (1, -2)", "K = (1, 2)"),
        ("K = {'a': 1}", "K = {'a': 2}"),
        ("class A:\n    k = 1.0", "class A:\n    k = 2.0"),
        ("class A:\n    class B:\n        k = 1", "class A:\n    class B:\n        k = 2"),
        ("class A:\n    def f(self, x=1): ...", "class A:\n    def f(self, x=2): ..."),
        ("class A:\n    @staticmethod\n    def f(x=1): ...", "class A:\n    @staticmethod\n    def f(x=2): ..."),
        (f"{DATACLASS}@dataclass\nclass A:\n    k: float = 1.0",
         f"{DATACLASS}@dataclass\nclass A:\n    k: float = 2.0"),
        (f"{DATACLASS}@dataclass(slots=True)\nclass A:\n    k: int = 1",
         f"{DATACLASS}@dataclass(slots=True)\nclass A:\n    k: int = 2"),
        (f"{MODEL}class A(BaseModel):\n    k: float = 1.0", f"{MODEL}class A(BaseModel):\n    k: float = 2.0"),
        ("from enum import Enum\nclass A(Enum):\n    K = 1", "from enum import Enum\nclass A(Enum):\n    K = 2"),
        ("def f(x=1.0): return x", "def f(x=2.0): return x"),
        ("def f(x=1.0): return x", "def f(x): return x"),
        ("def f(*, x=1.0): return x", "def f(*, x=2.0): return x"),
    ],
)  # fmt: skip
def test_a_value_that_was_edited_is_seen_in_the_module(tmp_path, old, new):
    made = module(tmp_path, old + "\n")
    assert not runs_otherwise(made, (old + "\n").encode())
    assert runs_otherwise(made, (new + "\n").encode())


def test_what_a_module_fills_or_sets_while_it_runs_is_no_edit(tmp_path):
    source = "KNOWN: dict = {}\ncount = 0\ndef f():\n    global count\n    count += 1\n    KNOWN[count] = 1\n"
    made = module(tmp_path, source)
    made.f()
    assert not runs_otherwise(made, source.encode())


@pytest.mark.parametrize(
    "source",
    [
        "K = 1\nK += 1\n",
        "for k in (1, 2):\n    K = k\nK = 3\n",
        "from typing import overload\n@overload\ndef f(x: int = 1): ...\n@overload\ndef f(x: str = 'a'): ...\n"
        "def f(x=2): return x\n",
        "def two(f):\n    def g(a=1, b=2): return f(a)\n    return g\n@two\ndef f(a=3): return a\n",
        f"{MODEL}class A(BaseModel):\n    model_config = {{'extra': 'forbid'}}\nclass B(A):\n"
        "    model_config = {'frozen': True}\n    k: float = 1\n",
        "from typing import NamedTuple\nclass A(NamedTuple):\n    k: int = 1\n",
        "class A:\n    __slots__ = ('b',)\n    __k = 1\n    @property\n    def a(self, x=1): ...\n",
    ],
)
def test_what_python_makes_of_a_file_is_no_edit(tmp_path, source):
    assert not runs_otherwise(module(tmp_path, source), source.encode())


def test_what_a_call_made_is_seen_by_the_file_that_changed_since_the_process_began(tmp_path):
    package = tmp_path / "workbench"
    script = (
        "import shutil, sys\nshutil.copytree(sys.argv[1], 'workbench', ignore=shutil.ignore_patterns('__pycache__'))\n"
        "sys.path.insert(0, '.')\n"
        "from pathlib import Path\nfile = Path('workbench/strategies/sizing.py')\n"
        "file.write_text(file.read_text() + '\\nMADE = float(\"1.0\")\\n')\n"
        "from workbench.registry.packs.code import running_otherwise\n"
        "from workbench.source import deciding_files\nimport workbench.strategies.sma_cross\n"
        "print(repr(running_otherwise(deciding_files('sma_cross'))))\n"
        "file.write_text(file.read_text().replace('1.0\")', '2.0\")'))\n"
        "print(repr(running_otherwise(deciding_files('sma_cross'))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(workbench.__file__).parent)], cwd=tmp_path, capture_output=True,
        text=True, check=True, env={"PATH": "", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert package.is_dir()
    assert done.stdout.split() == ["''", "'strategies/sizing.py'"]
