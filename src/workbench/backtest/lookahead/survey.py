"""The guard over all there is: every strategy at its own parameters and the corners of its grid, every feature."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.backtest.lookahead.cold import start
from workbench.backtest.lookahead.examine import examine
from workbench.backtest.lookahead.finding import IN_DOUBT, NOT_EXAMINED, Report
from workbench.backtest.lookahead.own import is_address, load
from workbench.backtest.lookahead.recipe import Recipe, recipe_at, recipe_of
from workbench.backtest.lookahead.replay import Depth
from workbench.backtest.lookahead.subject import FEATURE, STRATEGY
from workbench.data.lake import Lake, open_lake
from workbench.data.quality import require_published, validate_staged
from workbench.data.sample import SampleSource
from workbench.data.source import Request
from workbench.errors import (
    CannotWrite,
    DataRefused,
    InputRefused,
    NoData,
    StrategyRefused,
    WorkbenchError,
    did_you_mean,
)
from workbench.features.catalog import families, name_of, named
from workbench.features.intraday import Intraday
from workbench.features.protocol import Family, Feature
from workbench.params import DataParams, Paths, Settings, StrategyParams, load_strategy_params, read_sizing
from workbench.strategies import catalog
from workbench.strategies.protocol import Strategy
from workbench.types import SAMPLE, Bars

# A strategy's own parameters are tried on more dates than the corners of its grid, and on the lake as of a few.
OWN, CORNER, AS_OF = Depth(), Depth(cuts=4, combs=1, windows=3, cold=1), Depth(cuts=6)
# Features are computed symbol by symbol or across them: a few symbols show either, with gaps among them.
FEATURE_SYMBOLS = 8
# Thirty sessions of five-minute bars are some 2,300 rows.
FIVE_MINUTES, INTRADAY_SESSIONS = "prices_5min", 30
BENCHMARK = DataParams().benchmark


def survey(
    settings: Settings, paths: Paths, strategies: Sequence[str] = (), features: Sequence[str] = (), *, seed: int = 7
) -> Iterator[Report]:
    """Yield a report after the other: of the strategies and features named, or of all there are."""
    everything = not strategies and not features
    for name in catalog.names() if everything else strategies:
        with _read_of_its_file(name):
            catalog.strategy_class(name)
    for name in features:
        if not is_address(name):
            feature(name)
    own = {name: load(name, paths.root) for name in features if is_address(name)}
    benchmark = settings.data.benchmark
    start()
    with opened_lake(settings, paths) as lake:
        read = settings.data
        bars = lake.bars(start=read.start, end=read.end, as_of=read.as_of)
        for name in catalog.names() if everything else strategies:
            yield from survey_strategy(name, bars, settings, paths, lake=lake, seed=seed)
        for name in features:
            if name in own:
                recipe = recipe_of(own[name]) or recipe_at(name, paths.root)
                yield survey_own(own[name], name, bars, settings, recipe=recipe, seed=seed)
            else:
                yield survey_feature(name, bars, lake=lake, benchmark=benchmark, seed=seed)
        if everything:
            for name in feature_names():
                yield survey_or_say(name, bars, lake, benchmark, seed)


def survey_or_say(name: str, bars: Bars, lake: Lake, benchmark: str, seed: int) -> Report:
    """Return the report of a feature; where the market has not what it needs, one without a check that says so."""
    try:
        return survey_feature(name, bars, lake=lake, benchmark=benchmark, seed=seed)
    except (InputRefused, NoData, DataRefused) as refused:
        return Report(name, FEATURE, {}, "", f"{lake.market} market", seed, (), (), (), (str(refused),))


def survey_strategy(
    name: str, bars: Bars, settings: Settings, paths: Paths | None = None, *, lake: Lake | None = None, seed: int = 7
) -> Iterator[Report]:
    """Yield the reports of a strategy: at its own parameters, on the lake as of some dates, at its grid's corners."""
    params = load_strategy_params(name, paths)
    symbols = catalog.universe(params.universe, bars, settings.data.benchmark)
    sizing = read_sizing(settings.sizing, params.sizing, name)
    with _read_of_its_file(name):
        own = catalog.build(name, symbols, sizing, params.params)
    yield examine(own, bars, portfolio=settings.portfolio, depth=OWN, seed=seed)
    if lake is not None:
        yield examine(own, lake, depth=AS_OF, seed=seed)
    for cell in grid_corners(params):
        with _read_of_its_file(name):
            try:
                strategy = catalog.build(name, symbols, sizing, cell)
            except StrategyRefused:
                continue  # a combination that the strategy itself leaves out
        if strategy != own:
            yield examine(strategy, bars, portfolio=settings.portfolio, depth=CORNER, seed=seed)


@contextmanager
def _read_of_its_file(name: str) -> Iterator[None]:
    """Say in one line what a strategy's own file raises."""
    try:
        yield
    except WorkbenchError:
        raise
    except Exception as error:  # whatever a user's code raises
        what = (str(error).splitlines() or [""])[0]
        raise StrategyRefused(
            f"src/workbench/strategies/{name}.py: {type(error).__name__}: {what}; mend it, "
            f"then: workbench lookahead {name}"
        ) from error


def survey_feature(
    name: str, bars: Bars, *, lake: Lake | None = None, benchmark: str = BENCHMARK, seed: int = 7
) -> Report:
    """Return the report of a feature on some symbols, those with gaps first; one of sessions needs the lake."""
    thing = feature(name, benchmark)
    if isinstance(thing, Intraday):
        return examine(thing, _five_minutes(name, bars, lake), name=name, seed=seed)
    return examine(thing, bars.select(_few(bars, benchmark)), name=name, seed=seed)


def survey_own(
    thing: Any, name: str, bars: Bars, settings: Settings, *, recipe: Recipe = None, seed: int = 7
) -> Report:
    """Return the report of a user's own: a strategy on all symbols, all else on some, or on all where it needs them."""
    some = bars if isinstance(thing, Strategy) else bars.select(_few(bars, settings.data.benchmark))
    try:
        return examine(thing, some, name=name, portfolio=settings.portfolio, recipe=recipe, seed=seed)
    except InputRefused:
        if some is bars:
            raise
    return examine(thing, bars, name=name, recipe=recipe, seed=seed)


def feature_names() -> tuple[str, ...]:
    """Return the names of the workbench's features, some of each family; the library Alpha158 is one."""
    return tuple(named())


def feature(name: str, benchmark: str = BENCHMARK) -> Feature | Family:
    """Return a feature by its name."""
    known = named(benchmark)
    if name not in known:
        raise InputRefused(f"unknown feature '{name}'.{did_you_mean(name, known)} For one of yours: module:name")
    return known[name]


def family_of(name: str) -> str:
    """Return the family of a feature, nothing for a user's own."""
    return next((family for family, some in families().items() if name in map(name_of, some)), "")


def _few(bars: Bars, benchmark: str) -> tuple[str, ...]:
    """Return some symbols, the benchmark among them where there is one."""
    market = (benchmark,) if benchmark in bars.symbols else ()
    return tuple(dict.fromkeys((*market, *eventful(bars, FEATURE_SYMBOLS))))


def _five_minutes(name: str, bars: Bars, lake: Lake | None) -> Bars:
    if lake is None or FIVE_MINUTES not in lake.versions():
        raise NoData(f"{name}: the lake has no {FIVE_MINUTES}, which it is made of; ingest them, or leave it out")
    days = bars.index[-INTRADAY_SESSIONS:]
    five = lake.bars(start=days[0].date(), end=days[-1].date(), dataset=FIVE_MINUTES)
    return five.select(eventful(five, FEATURE_SYMBOLS))


@contextmanager
def opened_lake(settings: Settings, paths: Paths) -> Iterator[Lake]:
    """Give the market's lake; where the sample market was not ingested yet, one made for the moment."""
    lake = open_lake(settings, paths)
    if lake.versions():
        yield lake
        return
    if settings.market != SAMPLE:
        raise NoData(f"the lake of the {settings.market} market is empty: ingest it, or try --set market=sample")
    with tempfile.TemporaryDirectory() as folder:
        made, source = Lake(Path(folder) / "lake", SAMPLE), SampleSource(settings.sample)
        for name in ("symbols", "prices_daily", "actions", FIVE_MINUTES):
            if name in source.datasets():
                made.stage(source.fetch(Request(name)))
        require_published(validate_staged(made))
        yield made


def grid_corners(params: StrategyParams) -> list[dict[str, Any]]:
    """Return the cells at the ends of every grid axis, on top of the fixed parameters."""
    if not params.grid:
        return []
    ends = [list(dict.fromkeys((values[0], values[-1]))) for values in params.grid.values()]
    return [{**params.params, **dict(zip(params.grid, point, strict=True))} for point in itertools.product(*ends)]


def eventful(bars: Bars, count: int) -> tuple[str, ...]:
    """Return symbols that are listed late, delisted, halted or split first, then the others."""
    close = bars.close.to_numpy(dtype=float)
    gaps = np.isnan(close).sum(axis=0)
    ratio = close / bars.traded_close.to_numpy(dtype=float)
    with np.errstate(invalid="ignore"):
        splits = (np.abs(ratio[1:] / ratio[:-1] - 1.0) > 0.2).sum(axis=0)
    order = np.lexsort((np.arange(len(gaps)), -splits, -gaps))
    long_enough = [place for place in order if gaps[place] < 2 * len(close) / 3]
    return tuple(str(bars.symbols[place]) for place in sorted(long_enough[:count]))


@dataclass(frozen=True)
class Line:
    """All reports of one strategy or feature on one line."""

    kind: str
    name: str
    reports: tuple[Report, ...]

    @property
    def checks(self) -> str:
        """The checks that were made."""
        return ", ".join(dict.fromkeys(check.name for report in self.reports for check in report.checks))

    @property
    def tried(self) -> int:
        """On how many dates."""
        return sum(report.tried for report in self.reports)

    @property
    def verdict(self) -> str:
        """``clean``, everything that was found, what is in doubt, or why it was not examined."""
        if not self.examined:
            return f"{NOT_EXAMINED}: {self.reports[0].notes[0]}"
        if self.findings or not self.doubts:
            return self.column
        return "; ".join(f"{IN_DOUBT}: {doubt}" for doubt in self.doubts)

    @property
    def column(self) -> str:
        """The verdict in a few words: the kinds of what was found, ``in doubt``, ``not examined`` or ``clean``."""
        if not self.examined:
            return NOT_EXAMINED
        return ", ".join(self.findings) or (IN_DOUBT if self.doubts else "clean")

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is in doubt, each sentence once."""
        return tuple(dict.fromkeys(doubt for report in self.reports for doubt in report.doubts))

    @property
    def examined(self) -> bool:
        """Whether any check could be made."""
        return any(report.checks for report in self.reports)

    @property
    def family(self) -> str:
        """What it is: a strategy, the family of a feature, or a user's own."""
        return (family_of(self.name) or "your own") if self.kind != STRATEGY or is_address(self.name) else STRATEGY

    @property
    def findings(self) -> dict[str, str]:
        """The first sentence of each kind of finding, and at how many other parameters it was found too."""
        found: dict[str, list[tuple[Report, str]]] = {}
        for report in self.reports:
            for finding in report.findings:
                found.setdefault(finding.kind, []).append((report, finding.text))
        said = {}
        for kind, several in found.items():
            (first, text), others = several[0], {report.title for report, _ in several[1:]} - {several[0][0].title}
            at = f" ({first.cell})" if first.cell else ""
            said[kind] = f"{text}{at}{f' and at {len(others)} other parameters' if others else ''}"
        return said


def lines(reports: Sequence[Report]) -> list[Line]:
    """Return one line a strategy or feature, in the order of the reports."""
    names = dict.fromkeys((report.kind, report.name) for report in reports)
    return [
        Line(kind, name, tuple(report for report in reports if (report.kind, report.name) == (kind, name)))
        for kind, name in names
    ]


def sentences(found: Sequence[Line]) -> list[str]:
    """Return what is said below the table: findings, doubts, why something was left out, and what that means."""
    wrong = [f"✗ {kind}: {text}" for each in found for kind, text in each.findings.items()]
    unsure = [f"? {each.name}: {doubt}" for each in found for doubt in each.doubts]
    out = [f"– {each.name}: {each.verdict}" for each in found if not each.examined]
    names = [each.name for each in found if each.doubts and not each.findings]
    last = []
    if names:
        last = [f"In doubt: {', '.join(names)}. No check reaches what is said above: docs/lookahead.md, As evidence."]
    elif not wrong:
        last = ["Nothing reads ahead."]
    return [*wrong, *unsure, *out, *last]


def check_writable(file: str) -> None:
    """Refuse a file that cannot be written before anything is examined; what it holds stays."""
    path = Path(file)
    try:
        there = path.exists()
        if there and not path.is_file() and not path.is_dir():
            return  # such as a pipe, whose reader would take this for the end
        with path.open("a"):
            pass
        if not there:
            path.unlink()
    except OSError as error:
        raise _cannot(file, error) from error


def write_json(reports: Sequence[Report], file: str) -> None:
    """Write the reports as a JSON list."""
    text = json.dumps([report.to_dict() for report in reports], indent=1, default=str)
    try:
        Path(file).write_text(text + "\n")
    except OSError as error:
        raise _cannot(file, error) from error


def _cannot(file: str, error: OSError) -> CannotWrite:
    return CannotWrite(f"{file}: {error.strerror}; name a file that can be written, in a folder that exists")
