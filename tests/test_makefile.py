"""What the Makefile does by itself, before any program of the workbench runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path):
    """A folder with our Makefile, its locks, and an environment whose programs write down what they were told."""
    shutil.copy2(ROOT / "Makefile", tmp_path)
    for lock in ("bootstrap", "live", "research"):
        (tmp_path / "locks").mkdir(exist_ok=True)
        (tmp_path / "locks" / f"{lock}.lock").touch()
    (tmp_path / "pyproject.toml").touch()
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "workbench"):
        (programs / name).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        (programs / name).chmod(0o755)
    (tmp_path / ".stamps").mkdir()
    (tmp_path / ".stamps" / "bootstrap").write_text(f"{tmp_path.resolve()}\n")
    (tmp_path / ".stamps" / "live").touch()
    return tmp_path


def by_hand() -> dict[str, str]:
    """Return the environment without what a make above these tests was told."""
    told = ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL")
    return {name: value for name, value in os.environ.items() if name not in told}


def typed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=folder, env=by_hand(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("reason", ["Ann's order", "it lost $500 at `noon`", 'they say "stop"', "100 % down; # now"])
def test_a_reason_reaches_the_stop_as_it_was_typed(checkout, reason):
    for target, command in (("kill", "kill"), ("resume", "resume")):
        done = typed(checkout, target, f"REASON={reason}")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [command, "--reason", reason]


def test_the_environment_of_a_checkout_that_was_moved_is_set_up_anew_by_what_needs_one(checkout):
    program = checkout / ".venv" / "bin" / "workbench"
    (checkout / ".stamps" / "bootstrap").write_text("/where/it/was\n")
    for arguments in (["help"], ["-n", "help"], ["-npq"]):
        typed(checkout, *arguments)
        assert program.exists(), arguments
    done = typed(checkout, "doctor", "PYTHON=false")
    assert done.returncode != 0
    assert "The checkout was moved or copied: .venv is set up anew." in done.stdout
    assert not program.exists()
    assert not (checkout / ".stamps").exists()


def test_a_stop_in_a_checkout_that_was_moved_installs_nothing_and_says_where_to_type_it(checkout):
    (checkout / ".stamps" / "bootstrap").write_text("/where/it/was\n")
    done = typed(checkout, "kill", "REASON=now")
    assert done.returncode != 0
    assert "its .venv is of /where/it/was: type this there" in done.stderr
    assert (checkout / ".venv" / "bin" / "workbench").exists()


def test_stamps_without_an_environment_are_not_believed(checkout):
    shutil.rmtree(checkout / ".venv")
    done = typed(checkout, "doctor", "PYTHON=false")
    assert done.returncode != 0
    assert "moved" not in done.stdout
    assert not (checkout / ".stamps").exists()


def test_an_environment_that_is_there_is_left_alone(checkout):
    for stamp in ("research", "live"):
        (checkout / ".stamps" / stamp).touch()
    done = typed(checkout, "doctor", "PYTHON=false")
    assert (done.returncode, done.stdout.splitlines()) == (0, ["doctor"]), done.stderr
