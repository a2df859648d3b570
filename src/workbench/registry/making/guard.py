"""What the look-ahead guard says of a candidate: as it would trade, at its grid's corners, and of its features.

>>> reports = examine_candidate("xs_momentum", result.params, bars, settings, paths, lake)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.backtest.lookahead import Report, examine, survey_feature, survey_strategy
from workbench.backtest.lookahead.survey import OWN, feature, feature_names
from workbench.data.lake import Lake
from workbench.params import Paths, Settings, load_strategy_params, read_sizing
from workbench.source import file_digests
from workbench.strategies import catalog
from workbench.types import Bars


def examine_candidate(
    name: str, chosen: Mapping[str, Any], bars: Bars, settings: Settings, paths: Paths, lake: Lake
) -> list[Report]:
    """Return the guard's reports of a strategy, with the chosen parameters among them, and of the features it uses."""
    params = load_strategy_params(name, paths)
    symbols = catalog.universe(params.universe, bars, settings.data.benchmark)
    traded = catalog.build(name, symbols, read_sizing(settings.sizing, params.sizing, name), chosen)
    reports = [examine(traded, bars, portfolio=settings.portfolio, depth=OWN)]
    reports += survey_strategy(name, bars, settings, paths, lake=lake)
    return reports + [survey_feature(used, bars) for used in features_used(name)]


def features_used(name: str) -> tuple[str, ...]:
    """Return the features whose modules a strategy imports, directly or by what it imports."""
    files = file_digests(f"strategies.{name}")
    modules = {known: type(feature(known)).__module__ for known in feature_names()}
    return tuple(
        known
        for known, module in modules.items()
        if f"{module.removeprefix('workbench.').replace('.', '/')}.py" in files
    )
