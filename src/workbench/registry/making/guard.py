"""What the look-ahead guard says of a candidate: as it would trade, at its grid's corners, and of its features.

>>> reports = examine_candidate("xs_momentum", result.params, bars, settings, paths, lake)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    used, benchmark = features_in(file_digests(f"strategies.{name}")), settings.data.benchmark
    return reports + [survey_feature(each, bars, lake=lake, benchmark=benchmark) for each in used]


def features_in(files: Iterable[str]) -> tuple[str, ...]:
    """Return the features that are made by these files of the package: those that a strategy imports."""
    modules = {f"workbench.{file.removesuffix('.py').replace('/', '.')}" for file in files}
    return tuple(known for known in feature_names() if type(feature(known)).__module__ in modules)
