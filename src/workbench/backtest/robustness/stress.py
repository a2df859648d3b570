"""Makes the card: the weights that a walk-forward traded, traded again with one thing changed.

>>> card = robustness("xs_momentum", params, bars, settings, result)
>>> print(card.verdict)
>>> result = replace(result, robustness=card)     # the tear sheet and the run show it

What needs other weights (a parameter step, part of the universe) asks the strategy for them, with the choice that each
fold had made: nothing is chosen anew, so nothing is fitted to the change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from workbench.backtest import stats
from workbench.backtest.kernel.weights import sweep_returns
from workbench.backtest.result import WalkForward
from workbench.backtest.robustness.card import (
    COSTS,
    DELAY,
    LUCK,
    PARAMETERS,
    REGIMES,
    UNIVERSE,
    YEARS,
    Robustness,
    Variant,
)
from workbench.backtest.robustness.regimes import MEANING, regimes
from workbench.backtest.text import percent
from workbench.errors import InputRefused, StrategyRefused
from workbench.params import PortfolioParams, Settings, StrategyParams, read_sizing
from workbench.strategies import catalog
from workbench.strategies.exits import Exits, exits_of
from workbench.types import Bars

# A year or a regime with fewer sessions says nothing.
ENOUGH_SESSIONS = 63
# Random splits of the universe into two halves.
SPLITS = 2
# How far the result's returns may be from those of the weights found here, a session.
SAME = 1e-6


def robustness(name: str, params: StrategyParams, bars: Bars, settings: Settings, result: WalkForward) -> Robustness:
    """Return the card of a walk-forward that was made with these parameters, bars and settings."""
    return _Stress(name, params, bars, settings, result).card()


def dearer(result: WalkForward) -> Iterator[Variant]:
    """Take every session's costs off once or twice more: positions are shares of equity, so they stay the same."""
    simulation = result.simulation
    before = simulation.equity.shift(1).fillna(simulation.cash)
    cost = simulation.costs.sum(axis=1) / before
    for times in (2, 3):
        changed = f"commission, spread, impact and borrow cost {times} times as much"
        returns = simulation.returns - (times - 1) * cost
        yield variant(COSTS, f"{times}× costs", changed, returns, stats.sharpe(simulation.returns))


def variant(group: str, name: str, changed: str, returns: pd.Series, base_sharpe: float) -> Variant:
    """Return the row of a change that left these returns."""
    sharpe = stats.sharpe(returns)
    return Variant(
        group=group,
        name=name,
        changed=changed,
        sharpe=sharpe,
        cagr=stats.cagr(returns),
        max_drawdown=stats.max_drawdown(returns),
        kept=sharpe / base_sharpe if base_sharpe > 0 else float("nan"),
        sessions=len(returns),
    )


Stitched = tuple[pd.DataFrame, tuple[Exits | None, ...]]


class _Stress:
    """One walk-forward under stress: what it traded, and each change to it."""

    def __init__(self, name: str, params: StrategyParams, bars: Bars, settings: Settings, result: WalkForward) -> None:
        self.name, self.params, self.bars, self.settings, self.result = name, params, bars, settings, result
        self.benchmark = settings.data.benchmark
        self.sizing = read_sizing(settings.sizing, params.sizing, name)
        self.symbols = catalog.universe(params.universe, bars, self.benchmark)
        self.cells = [dict(chosen) for chosen in result.folds["params"]]
        self.returns = result.simulation.returns
        self.base_sharpe = stats.sharpe(self.returns)
        self.missing: dict[str, str] = {}
        self._weights: dict[tuple[tuple[str, ...], str], tuple[pd.DataFrame, Exits | None]] = {}

    def card(self) -> Robustness:
        """Return the base and every variant, group by group."""
        self._refuse_another_result()
        asked = [
            *dearer(self.result),
            *self._later(),
            *self._stepped(),
            *self._without_the_best(),
            *self._smaller(),
            *self._by_regime(),
            *self._by_year(),
        ]
        for variant in asked:
            if np.isnan(variant.sharpe):
                self.missing[variant.name] = "nothing was traded, or every return is the same"
        variants = tuple(variant for variant in asked if not np.isnan(variant.sharpe))
        return Robustness(self._variant("", "as traded", "nothing", self.returns), variants, self.missing)

    # Changes --------------------------------------------------------------------------------------------------------

    def _later(self) -> Iterator[Variant]:
        portfolio = self.settings.portfolio
        lag = portfolio.lag_bars + 1
        later = portfolio.model_copy(update={"lag_bars": lag})
        changed = f"each decision is traded {lag} bars later instead of {portfolio.lag_bars}"
        yield self._variant(DELAY, "traded one bar later", changed, self._traded([self.stitched], later)[0])

    def _stepped(self) -> Iterator[Variant]:
        axes = self._axes()
        if not axes:
            self.missing["parameters"] = "the grid has one value of each parameter"
        found: list[tuple[str, str, Stitched]] = []
        for axis, values in axes.items():
            for step, word in ((-1, "down"), (1, "up")):
                name = f"{axis} one step {word}"
                moved = [self._neighbour(cell, axis, values, step) for cell in self.cells]
                count = sum(cell is not None for cell in moved)
                if not count:
                    self.missing[name] = "every fold chose the edge of the grid, or the strategy refuses the step"
                    continue
                stayed = len(moved) - count
                changed = f"{axis} one grid step {word} in {count} of {len(moved)} folds"
                changed += f"; in {stayed} the grid ends or the strategy refuses it" if stayed else ""
                cells = [cell or own for cell, own in zip(moved, self.cells, strict=True)]
                found.append((name, changed, self._stitch(self.symbols, cells)))
        if not found:
            return
        traded = self._traded([stitched for _, _, stitched in found], self.settings.portfolio)
        for (name, changed, _), returns in zip(found, traded, strict=True):
            yield self._variant(PARAMETERS, name, changed, returns)

    def _without_the_best(self) -> Iterator[Variant]:
        returns, index = self.returns.to_numpy(dtype=float), pd.DatetimeIndex(self.returns.index)
        month_of = index.year.to_numpy() * 100 + index.month.to_numpy()
        months = (1.0 + self.returns).groupby(month_of).prod() - 1.0
        month = int(months.index[int(months.to_numpy().argmax())])
        changed = f"{month // 100}-{month % 100:02d} left out, it earned {percent(float(months.max()))}"
        yield from self._period(LUCK, "without its best month", changed, month_of != month)
        day = int(returns.argmax())
        changed = f"{index[day].date()} left out, it earned {percent(float(returns[day]))}"
        yield from self._period(LUCK, "without its best day", changed, np.arange(len(returns)) != day)

    def _smaller(self) -> Iterator[Variant]:
        for name, changed, symbols in self._parts():
            try:
                stitched = self._stitch(symbols, self.cells)
            except Exception as error:  # noqa: BLE001 (a strategy may need a symbol that is not in this part)
                self.missing[name] = f"the strategy cannot be run on it: {type(error).__name__}: {error}"
                continue
            yield self._variant(UNIVERSE, name, changed, self._traded([stitched], self.settings.portfolio)[0])

    def _by_regime(self) -> Iterator[Variant]:
        known = regimes(self.bars.close[self.benchmark]).loc[self.returns.index]
        for name in known:
            held = known[name].to_numpy()
            yield from self._period(REGIMES, str(name), f"only sessions where {MEANING[str(name)]}", held)

    def _by_year(self) -> Iterator[Variant]:
        years = pd.DatetimeIndex(self.returns.index).year.to_numpy()
        for year in np.unique(years):
            yield from self._period(YEARS, str(year), f"only sessions of {year}", years == year)

    # Parts ----------------------------------------------------------------------------------------------------------

    @cached_property
    def stitched(self) -> Stitched:
        """The weights that the walk-forward traded, and their exits."""
        return self._stitch(self.symbols, self.cells)

    def _refuse_another_result(self) -> None:
        again = self._traded([self.stitched], self.settings.portfolio)[0]
        same = len(again) == len(self.returns) and np.allclose(again, self.returns, rtol=0.0, atol=SAME)
        if not same:
            raise InputRefused(
                f"robustness of {self.name}: these bars, parameters and settings give other returns than the result "
                f"has (total {stats.total_return(again):.4f} against {stats.total_return(self.returns):.4f}); "
                "pass what the walk-forward was made with"
            )

    def _stitch(self, symbols: tuple[str, ...], cells: Sequence[Mapping[str, Any]]) -> Stitched:
        folds = zip(self.result.folds["test_start"], self.result.folds["test_end"], cells, strict=True)
        said = [(*self._weights_of(symbols, cell), first, last) for first, last, cell in folds]
        parts = [(weights.loc[first:last], exits) for weights, exits, first, last in said]
        return pd.concat([part for part, _ in parts]), tuple(exits for part, exits in parts for _ in range(len(part)))

    def _weights_of(self, symbols: tuple[str, ...], cell: Mapping[str, Any]) -> tuple[pd.DataFrame, Exits | None]:
        key = (symbols, str(sorted(cell.items())))
        if key not in self._weights:
            strategy = catalog.build(self.name, symbols, self.sizing, cell)
            self._weights[key] = strategy.weights(self.bars), exits_of(strategy)
        return self._weights[key]

    def _traded(self, stitched: Sequence[Stitched], portfolio: PortfolioParams) -> list[pd.Series]:
        """Return the returns after costs of several weights of the same symbols."""
        index = stitched[0][0].index
        whole = self.bars.select([str(symbol) for symbol in stitched[0][0].columns])
        returns = sweep_returns(
            [weights for weights, _ in stitched], whole.between(index[0], index[-1]), portfolio, self.settings.costs,
            history=whole, exits=[exits for _, exits in stitched],
        )  # fmt: skip
        return [returns[column] for column in returns]

    def _axes(self) -> dict[str, list[Any]]:
        """Return the values of each parameter that the grid varies: numbers by size, others as they were listed."""
        axes = {}
        for name, values in self.params.grid.items():
            distinct = list(dict.fromkeys(values))
            if len(distinct) > 1:
                axes[name] = (
                    sorted(distinct) if all(isinstance(value, (int, float)) for value in distinct) else distinct
                )
        return axes

    def _neighbour(self, cell: Mapping[str, Any], axis: str, values: Sequence[Any], step: int) -> dict[str, Any] | None:
        place = values.index(cell[axis]) + step
        if not 0 <= place < len(values):
            return None
        moved = {**cell, axis: values[place]}
        try:
            catalog.build(self.name, self.symbols, self.sizing, moved)
        except StrategyRefused:
            return None
        return moved

    def _parts(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Return the parts of the universe: each sector left out, and random halves of every sector."""
        sector_of = {symbol: self.bars.sectors.get(symbol, "") for symbol in self.symbols}
        sectors = list(dict.fromkeys(sector_of.values()))
        if len(sectors) > 1:
            for sector in sectors:
                kept = tuple(symbol for symbol in self.symbols if sector_of[symbol] != sector)
                yield f"without {sector or 'no sector'}", f"{len(kept)} of {len(self.symbols)} symbols", kept
        else:
            self.missing["sectors"] = "the universe is one sector"
        if len(self.symbols) < 4:
            self.missing["halves"] = f"the universe has {len(self.symbols)} symbols, too few to halve"
            return
        for split in range(SPLITS):
            draw = np.random.default_rng((self.settings.sample.seed, split))
            first: set[str] = set()
            for sector in sectors:
                members = [symbol for symbol in self.symbols if sector_of[symbol] == sector]
                # An odd one goes to one half in one split and to the other in the next.
                first |= set(draw.permutation(members)[: (len(members) + split) // 2])
            for inside in (True, False):
                half = tuple(symbol for symbol in self.symbols if (symbol in first) == inside)
                number = 2 * split + 2 - inside
                changed = f"{len(half)} of {len(self.symbols)} symbols, drawn from each sector by sample.seed"
                yield f"on random half {number}", changed, half

    def _period(self, group: str, name: str, changed: str, held: np.ndarray[Any, Any]) -> Iterator[Variant]:
        count = int(held.sum())
        if count < ENOUGH_SESSIONS:
            self.missing[name] = f"{count} sessions, fewer than {ENOUGH_SESSIONS}"
            return
        yield self._variant(group, name, changed, self.returns[held])

    def _variant(self, group: str, name: str, changed: str, returns: pd.Series) -> Variant:
        return variant(group, name, changed, returns, self.base_sharpe)
