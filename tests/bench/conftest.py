"""The bench scripts, loaded as they load one another: by name from their folder."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """bench/pipeline.py."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("pipeline")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """bench/commands.py."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("commands")


@pytest.fixture
def calibration(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """bench/calibration.py."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("calibration")
