"""Play with a strategy: a slider for every parameter of its grid, and the curve that belongs to where they stand.

The picture is one image that is replaced, not an output that is captured: notebooks with captured outputs hang now and
then when they are executed without a browser (nbclient issue 312).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ipywidgets
import pandas as pd
from matplotlib.figure import Figure

from workbench.backtest import figures, stats
from workbench.backtest.engine import simulate
from workbench.backtest.kernel.weights import sweep_cells
from workbench.backtest.result import Curve, Simulation
from workbench.backtest.text import multiple, number, percent, whole
from workbench.backtest.trials import Ledger, Question, record, record_failure
from workbench.backtest.walkforward import params_text
from workbench.errors import StrategyRefused, WorkbenchError
from workbench.params import Settings, StrategyParams
from workbench.strategies import catalog
from workbench.strategies.exits import exits_of
from workbench.strategies.protocol import Strategy
from workbench.types import FIELDS, Bars


@dataclass(frozen=True)
class Look:
    """What one setting shows, in sample."""

    curve: Curve
    statistics: Mapping[str, float]

    def __str__(self) -> str:
        """Return the numbers one looks at first, on one line."""
        own = self.statistics
        return (
            f"Sharpe {number(own['sharpe'])} · CAGR {percent(stats.cagr(self.curve.returns))} · "
            f"drawdown {percent(own['max_drawdown'])} · turnover {multiple(own['turnover'])} a year · "
            f"costs {percent(own['cost_per_year'], 2)} a year · {whole(own['trades'])} trades · in sample"
        )


@dataclass(frozen=True)
class Explorer:
    """One strategy on one set of bars, in sample: how the rule behaves, not whether it pays.

    >>> explorer = Explorer("sma_cross", params, bars, settings)    # doctest: +SKIP
    >>> explorer.panel()                                            # doctest: +SKIP
    """

    name: str
    params: StrategyParams
    bars: Bars
    settings: Settings
    ledger: Ledger | None = None

    def look(self, **chosen: Any) -> Look:
        """Return the curve of the strategy at these parameters; the file's own stand for those not named.

        The kernel walks it, so that a slider feels like one. What is looked at was tried: with a ledger it counts as a
        trial of the strategy's question, also where it fails. What the strategy refuses to be was not tried.
        """
        cell = {**self.params.params, **chosen}
        made, universe = self._made(cell)
        with self._counted_on_error(cell):
            account, costs = self.settings.portfolio, self.settings.costs
            weights = made.weights(self.bars)
            sweep, returns = sweep_cells([weights], universe, account, costs, exits=[exits_of(made)])
        curve = Curve(returns[0].rename("return"), self.settings.portfolio.cash, self.bars.market)
        if self.ledger is not None:
            self._count(self.ledger, cell, curve.returns)
        return Look(curve, {name: float(values[0, 0]) for name, values in sweep.statistics.items()})

    def simulation(self, **chosen: Any) -> Simulation:
        """Return the same with its positions, orders and trades; it takes longer, and counts as a trial too."""
        cell = {**self.params.params, **chosen}
        made, universe = self._made(cell)
        with self._counted_on_error(cell):
            account, costs = self.settings.portfolio, self.settings.costs
            simulation = simulate(made.weights(self.bars), universe, account, costs, exits_of(made))
        if self.ledger is not None:
            self._count(self.ledger, cell, simulation.returns)
        return simulation

    def curve(self, **chosen: Any) -> Figure:
        """Draw the growth and the drawdown at these parameters, beside the benchmark."""
        return self._draw(self.look(**chosen), chosen)

    def panel(self) -> ipywidgets.Widget:
        """Return the sliders with the curve below them; it is drawn again when a slider is let go."""
        sliders = {
            name: ipywidgets.SelectionSlider(
                options=values, value=values[len(values) // 2], description=name, continuous_update=False
            )
            for name, values in self.params.grid.items()
        }
        picture, text = ipywidgets.Image(format="png", width=820), ipywidgets.HTML()

        def redraw(_: object = None) -> None:
            chosen = {name: slider.value for name, slider in sliders.items()}
            try:
                look = self.look(**chosen)
            except StrategyRefused as error:
                text.value = f"<b style='color:#b3261e'>{error}</b>"
                return
            picture.value = figures.png(self._draw(look, chosen))
            text.value = str(look)

        for slider in sliders.values():
            slider.observe(redraw, names="value")
        redraw()
        return ipywidgets.VBox([ipywidgets.HBox(list(sliders.values())), text, picture])

    def _made(self, cell: Mapping[str, Any]) -> tuple[Strategy, Bars]:
        symbols = catalog.universe(self.params.universe, self.bars, self.settings.data.benchmark)
        return catalog.build(self.name, symbols, self.settings.sizing, cell), self.bars.select(symbols)

    @contextmanager
    def _counted_on_error(self, cell: Mapping[str, Any]) -> Iterator[None]:
        """Count a look that failed; where even that fails, the first error says so and is the one to report."""
        try:
            yield
        except Exception as error:
            if self.ledger is not None:
                text = " ".join(f"{type(error).__name__}: {error}".split())[:1000]
                try:
                    record_failure(self.ledger, self._question, self.name, text, params=cell, made_by=self._made_by)
                except WorkbenchError as uncounted:
                    error.add_note(f"and the failed look is not in the trial ledger: {uncounted}")
            raise

    def _count(self, ledger: Ledger, cell: Mapping[str, Any], returns: pd.Series) -> None:
        frame, made_by = returns.to_frame(), self._made_by
        record(ledger, self._question, self.name, [cell], frame, source="notebook", made_by=made_by)

    @property
    def _question(self) -> Question:
        return Question(self.params.question, self.bars.market)

    @property
    def _made_by(self) -> dict[str, Any]:
        """What shapes a look besides its parameters."""
        return {
            "settings": self.settings.digest(("data", "sizing", "portfolio", "costs")),
            **self.params.model_dump(mode="json", include={"universe", "sizing"}),
            "data": self._data,
        }

    @cached_property
    def _data(self) -> str:
        """What the bars are, told once for all that is looked at: every number of them."""
        seen = hashlib.sha256(repr((self.bars.symbols, sorted(self.bars.sectors.items()))).encode())
        for name in (*FIELDS, "traded_close"):
            seen.update(getattr(self.bars, name).to_numpy(dtype=float).tobytes())
        return f"{self.bars.index[0].date()} to {self.bars.index[-1].date()}, bars {seen.hexdigest()}"

    def _draw(self, look: Look, chosen: Mapping[str, Any]) -> Figure:
        benchmark: pd.Series = self.bars.close[self.settings.data.benchmark].pct_change(fill_method=None)
        title = f"{self.name}: {params_text({**self.params.params, **chosen})}"
        return figures.curve(look.curve, benchmark, title)
