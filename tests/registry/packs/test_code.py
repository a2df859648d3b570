"""Which code decided: every file that weights depend on, and nothing more."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import workbench
from workbench import errors
from workbench.registry.packs.canonical import sha256
from workbench.registry.packs.code import installed_code, running_otherwise, runs_otherwise
from workbench.source import catches_ours, decides, deciding_files, file_digests
from workbench.strategies import sizing, sma_cross

PACKAGE = Path(workbench.__file__).parent


def test_the_files_are_those_that_weights_depend_on_with_their_own_digests():
    files = deciding_files("xs_momentum")
    assert {"strategies/xs_momentum.py", "strategies/sizing.py", "strategies/classes.py", "types.py"} <= files.keys()
    assert not [name for name in files if name.startswith(("backtest/", "registry/", "reports/", "cli/"))]
    assert files["types.py"] == sha256((PACKAGE / "types.py").read_bytes())


def test_the_same_code_does_not_differ_whatever_the_commit():
    now = installed_code("sma_cross")
    assert now.differs_from(replace(now, commit="b" * 40, changed=("x",))) == ""
    assert now.entry_point == "workbench.strategies.sma_cross:SmaCross"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"types.py": "0" * 64}, "types.py was edited"),
        ({"strategies/gone.py": "0" * 64}, "strategies/gone.py is gone"),
    ],
)
def test_a_file_edited_or_gone_is_named_with_both_digests(files, said):
    now = installed_code("sma_cross")
    then = replace(now, files={**now.files, **files})
    text = now.differs_from(then)
    assert said in text
    assert f"({then.digest[:12]} then, {now.digest[:12]} now)" in text
    (edited,) = files
    then = replace(then, commit="c" * 40)
    assert now.differs_from(then).endswith(f"now; see: git diff cccccccccccc -- src/workbench/{edited})")


def test_a_new_file_is_named():
    now = installed_code("sma_cross")
    then = replace(now, files={name: digest for name, digest in now.files.items() if name != "types.py"})
    assert "types.py is new" in now.differs_from(then)


def test_what_this_process_runs_is_what_lies_on_disk():
    for name in ("sma_cross", "xs_momentum", "mean_reversion"):
        installed_code(name)
        assert running_otherwise(deciding_files(name)) == ""


def test_a_file_that_was_changed_after_its_digest_was_taken_is_named():
    assert running_otherwise({**deciding_files("sma_cross"), "types.py": "0" * 64}) == "types.py"


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        (sizing, "DECIMALS = 6", "DECIMALS = 7"),
        (sizing, "ddof=1", "ddof=0"),
        (sizing, "-sizing.max_weight, sizing.max_weight", "-sizing.max_weight, sizing.max_gross"),
        (sma_cross, "return ", "return 2.0 * "),
    ],
)
def test_a_process_that_began_before_an_edit_runs_otherwise(module, old, new):
    content = Path(module.__file__).read_text()
    assert old in content
    assert not runs_otherwise(module, content.encode())
    assert runs_otherwise(module, content.replace(old, new).encode())


# What does not decide


@pytest.mark.parametrize("name", ["sma_cross", "xs_momentum", "mean_reversion"])
def test_errors_and_the_reading_of_settings_do_not_decide(name):
    apart = {"errors.py", "params.py", "paths.py", "strict_yaml.py", "clock.py", "disk.py", "strategies/catalog.py"}
    assert not apart & deciding_files(name).keys()


def test_what_reads_settings_or_catches_errors_counts_them():
    files = file_digests("strategies.catalog", counts=decides)  # it reads sizing, and catches what a strategy refuses
    assert {"params.py", "paths.py", "errors.py"} <= files.keys()


@pytest.mark.parametrize(
    ("imports", "caught", "catches"),
    [
        ("from workbench.errors import NoData", "NoData", True),
        ("from workbench.errors import NoData as Gone", "(ValueError, Gone)", True),
        ("import workbench.errors as told", "told.NoData", True),
        ("import workbench.errors", "workbench.errors.NoData", True),
        ("from workbench import errors", "errors.NoData", True),
        ("from workbench.errors import NoData", "ValueError", False),
    ],
)
def test_a_file_that_catches_errors_of_ours_is_told_from_one_that_raises_them(imports, caught, catches):
    source = f"{imports}\ntry:\n    x\nexcept {caught} as error:\n    raise NoData from error\n"
    assert catches_ours(ast.parse(source)) is catches


@pytest.mark.parametrize(
    "line",
    [
        "from workbench.features.rule import f", "from workbench.features import rule",
        "import workbench.features.rule",
        "from ..features.rule import f", "from ..features import rule", "from .. import features",
    ],
)  # fmt: skip
def test_an_import_is_followed_however_it_is_written(tmp_path, monkeypatch, line):
    files = {
        "__init__.py": "", "strategies/__init__.py": "", "strategies/mine.py": line,
        "features/__init__.py": "from . import rule", "features/rule.py": "from .deeper import f",
        "features/deeper.py": "", "features/apart.py": "",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr("workbench.source.PACKAGE", tmp_path)
    found = file_digests("strategies.mine", counts=decides)
    assert found.keys() == files.keys() - {"__init__.py", "features/apart.py"}


def test_a_file_that_is_no_python_is_digested_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "half.py").write_text("def weights(")
    monkeypatch.setattr("workbench.source.PACKAGE", tmp_path)
    assert set(file_digests("strategies.half", counts=decides)) == {"strategies/half.py"}


WEIGHTS = """
import hashlib, sys
import numpy as np, pandas as pd
from workbench.sizing_params import SizingParams
from workbench.strategies.classes import build
from workbench.types import Bars

name, random = sys.argv[1], np.random.default_rng(3)
days, symbols = pd.bdate_range("2020-01-01", periods=700), [f"S{number}" for number in range(12)]
close = pd.DataFrame(np.exp(random.normal(0.0003, 0.02, (700, 12)).cumsum(axis=0)) * 50, days, symbols)
close.iloc[300:304, 2] = np.nan
frames = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close, "traded_close": close}
sectors = {symbol: "ABC"[number % 3] for number, symbol in enumerate(symbols)}
bars = Bars(**frames, volume=close * 0 + 1e6, market="sample", sectors=sectors)
for sizing in (SizingParams(), SizingParams(target_volatility=None, max_weight=0.3, max_net=0.2)):
    weights = build(name, tuple(symbols), sizing, {}).weights(bars)
    assert (weights != 0).to_numpy().any()
    print(hashlib.sha256(weights.to_numpy().tobytes()).hexdigest())
"""


@pytest.mark.parametrize("name", ["sma_cross", "xs_momentum", "mean_reversion"])
def test_with_every_other_file_broken_the_weights_are_the_same_to_the_bit(tmp_path, name):
    deciding = deciding_files(name)
    for file in PACKAGE.rglob("*.py"):
        copy = tmp_path / "workbench" / file.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        kept = file.relative_to(PACKAGE).as_posix() in deciding
        copy.write_text(file.read_text() if kept else "raise RuntimeError('nobody needs this file')\n")
    (tmp_path / "workbench" / "__init__.py").write_text("__version__ = '0'\n")
    # Of the errors the names alone are left: another tree, other texts, other exit codes.
    flat = [f"class {found}(Exception): exit_code = 99\n" for found in vars(errors) if found[0].isupper()]
    silent = [f"def {found}(*_): raise RuntimeError('no text')\n" for found in ("did_you_mean", "told")]
    (tmp_path / "workbench" / "errors.py").write_text("".join([*flat, *silent]))

    def weights(path: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-c", WEIGHTS, name], capture_output=True, text=True, check=False,
            env={"PYTHONPATH": str(path), "PATH": "", "HOME": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert weights(tmp_path) == weights(PACKAGE.parent)
