"""A fill on the bar that decided it: the price must have been known before the order, or the backtest is a dream."""

from __future__ import annotations

from collections.abc import Iterable

from workbench.backtest.lookahead.answer import compare
from workbench.backtest.lookahead.case import Case
from workbench.backtest.lookahead.finding import Finding
from workbench.backtest.lookahead.noise import MOVES, other_values, wide_future
from workbench.params import PortfolioParams

# What of its bar is known when an order fills there: at the close only the open, at the open nothing.
KNOWN = {"close": ("open",), "open": ()}


def same_bar_fill(case: Case, rows: Iterable[int], portfolio: PortfolioParams) -> Finding | None:
    """Return the row whose weights read what its own fill did not know yet; only lag 0 fills on the same bar."""
    unknown = [name for name in case.world.fields if name not in (*KNOWN[portfolio.fill], "traded_close")]
    for row in rows:
        wide = wide_future(case.world.between(0, row), row - 1)
        reference = case.answer(wide)
        if reference is None:
            continue
        read, label = [], None
        for name in unknown:
            for move in MOVES:
                found = case.answer(other_values(wide, [name], slice(row, row + 1), case.seed, move=move))
                apart = None if found is None else compare(reference, found, slice(row, row + 1))
                if apart:
                    read.append(name)
                    label = label or apart.labels[apart.columns[0]]
                    break
        if label is not None:
            day = case.day(row)
            text = case.subject.say(
                f"{label} on {day} is decided by the {_listed(read)} of {day} and filled at the {portfolio.fill} of "
                "the same bar (portfolio.lag_bars 0): that was not known in time; use lag_bars 1"
            )
            return Finding("same-bar fill", text, str(label), day, read[0], label.symbol, day, 0, 0)
    return None


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
