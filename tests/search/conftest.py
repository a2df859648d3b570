"""A small search: twelve symbols on a random walk, moving averages, folds of half a year."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from workbench.params import DataParams, Paths, SampleParams, SearchParams, Settings, StrategyParams, WalkForwardParams
from workbench.search.found import Found
from workbench.search.sweep import Request, sweep
from workbench.types import Bars

GRID = {"fast": [2, 4, 8], "slow": [6, 12, 24]}


@dataclass(frozen=True)
class Desk:
    """Everything that a search needs."""

    params: StrategyParams
    bars: Bars
    settings: Settings
    paths: Paths

    def sweep(self, *grid: str, trials: int = 0, seed: int | None = None, **more: Any) -> Found:
        """Search with sma_cross."""
        request = Request("sma_cross", grid, trials or None, "tpe", seed)
        made_by = more.pop("made_by", {"data": {"prices_daily": "version 1"}})
        return sweep(request, self.params, self.bars, self.settings, self.paths, made_by=made_by, **more)

    def with_settings(self, **search: Any) -> Desk:
        """Return the same desk with other search settings."""
        settings = self.settings.model_copy(update={"search": SearchParams(**search)})
        return Desk(self.params, self.bars, settings, self.paths)


@pytest.fixture
def desk(walk: Bars, tmp_path: Path) -> Desk:
    return make_desk(walk, tmp_path)


def make_desk(bars: Bars, root: Path) -> Desk:
    settings = Settings(
        data=DataParams(benchmark="TEC00"),
        sample=SampleParams(seed=7),
        walk_forward=WalkForwardParams(
            warm_up_sessions=100, train_sessions=160, test_sessions=80, purge_sessions=1, embargo_sessions=4
        ),
        search=SearchParams(workers=1),
    )
    params = StrategyParams(
        question="Does holding what trades above its average pay?", params={"fast": 4, "slow": 12}, grid=GRID
    )
    return Desk(params, bars, settings, Paths(root))
