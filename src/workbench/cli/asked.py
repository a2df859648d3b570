"""What is asked of a backtest, held against what there is to be had, before anything runs.

The rules are the steps' own (catalog, splitter); here they see who is listed and on how many sessions, no prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workbench.backtest.splits import folds_after_warm_up
from workbench.data.lake import open_lake
from workbench.data.sample.companies import symbols
from workbench.data.sample.tape import market_sessions
from workbench.data.sample.truth import BENCHMARK_SECTOR, SECTORS
from workbench.errors import InputRefused, StrategyRefused, WorkbenchError, did_you_mean
from workbench.params import Paths, Settings, load_strategy_params
from workbench.sessions import Calendar
from workbench.strategies import catalog
from workbench.types import SAMPLE


@dataclass(frozen=True)
class Listing:
    """Who is listed in a market, in which sector, and on how many sessions there are prices."""

    symbols: tuple[str, ...]
    sectors: Mapping[str, str]
    sessions: int


def check_walks(settings: Settings, paths: Paths) -> None:
    """Refuse a benchmark, a universe, parameters or windows that no walk-forward of these settings can use.

    The sample market is known before it is ingested. What was ingested with other settings stays in the lake: what the
    one cannot serve, the other may.
    """
    refused: WorkbenchError | None = None
    for listing in (_of_sample, _of_lake):
        try:
            found = listing(settings, paths)
            if found is not None:
                return _check(found, settings, paths)
        except WorkbenchError as error:
            refused = refused or error
    if refused is not None:
        raise refused


def _of_sample(settings: Settings, _: Paths) -> Listing | None:
    if settings.market != SAMPLE:
        return None
    data, days = settings.data, market_sessions(settings.sample, Calendar())
    last = [day for day in (data.end, data.as_of and data.as_of.date()) if day is not None]
    asked = days[days.slice_indexer(data.start, min(last, default=None))]
    if asked.empty:
        ends = f"from {data.start or 'the beginning'} to {data.end or 'the end'}"
        known = f", known at {data.as_of:%Y-%m-%dT%H:%M:%SZ}" if data.as_of else ""
        raise InputRefused(
            f"data: the sample market has no session {ends}{known}; it runs from {days[0].date()} to {days[-1].date()} "
            "(sample.years, sample.end)"
        )
    sectors = {symbol: SECTORS.get(symbol[:3], BENCHMARK_SECTOR) for symbol in symbols(settings.sample)}
    return Listing(tuple(sectors), sectors, len(asked))


def _of_lake(settings: Settings, paths: Paths) -> Listing | None:
    lake, data = open_lake(settings, paths), settings.data
    held = lake.versions()
    if "prices_daily" not in held:
        return None
    prices = lake.read("prices_daily", start=data.start, end=data.end, as_of=data.as_of)
    sectors: dict[str, str] = {}
    if "symbols" in held:
        sectors = dict(lake.read("symbols", as_of=data.as_of).select("symbol", "sector").drop_nulls().iter_rows())
    listed = tuple(prices["symbol"].unique().sort())
    return Listing(listed, {name: sectors[name] for name in listed if name in sectors}, prices["session"].n_unique())


def _check(listing: Listing, settings: Settings, paths: Paths) -> None:
    benchmark = settings.data.benchmark
    if benchmark not in listing.symbols:
        near = did_you_mean(benchmark, listing.symbols)
        raise InputRefused(f"data.benchmark '{benchmark}' is not in the {settings.market} market.{near}")
    for name in settings.strategies:
        params = load_strategy_params(name, paths)
        try:
            for cell in (params.params, *catalog.cells(params)):
                catalog.check_params(name, cell)
            catalog.default(name, params, listing, settings.sizing, benchmark)  # where notebooks start
            cells = catalog.candidates(name, params, listing, settings.sizing, benchmark)
            lookbacks = [strategy.lookback for _, strategy in cells]
        except WorkbenchError:
            raise
        except Exception as error:  # whatever a strategy's own file raises
            what = str(error).splitlines()[0] if str(error) else ""
            raise StrategyRefused(
                f"src/workbench/strategies/{name}.py: {type(error).__name__}: {what}; mend it, "
                f"then: make backtest STRATEGY={name}"
            ) from error
        folds_after_warm_up(name, lookbacks, listing.sessions, settings.walk_forward)
