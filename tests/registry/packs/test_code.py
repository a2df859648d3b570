"""Which code decided: every file that weights depend on, and nothing more."""

from dataclasses import replace
from pathlib import Path

import pytest

import workbench
from workbench.registry.packs.canonical import sha256
from workbench.registry.packs.code import deciding_files, installed_code, running_otherwise, runs_otherwise
from workbench.strategies import sizing, sma_cross

PACKAGE = Path(workbench.__file__).parent


def test_the_files_are_those_that_weights_depend_on_with_their_own_digests():
    files = deciding_files("xs_momentum")
    assert {"strategies/xs_momentum.py", "strategies/sizing.py", "strategies/catalog.py", "types.py"} <= files.keys()
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
