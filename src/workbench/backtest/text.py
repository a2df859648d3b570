"""Numbers and parameters as people read them, everywhere the same: true minus signs, 26.0 %, and a dash for none."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MISSING = "–"


def number(value: float | None, digits: int = 2) -> str:
    """Return a number with a thousands separator and a true minus."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.{digits}f}".replace("-", "−")
    return text.removeprefix("−") if not any(digit in text for digit in "123456789") else text


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in per cent."""
    text = number(None if value is None else 100.0 * value, digits)
    return text if text == MISSING else f"{text} %"


def chance(value: float | None, digits: int = 1) -> str:
    """Return a probability in per cent that is never rounded to certainty: >99.9 %, <0.1 %."""
    if value is None or math.isnan(value):
        return MISSING
    step = 10.0 ** -(digits + 2)
    if value > 1.0 - step:
        return f">{percent(1.0 - step, digits)}"
    return f"<{percent(step, digits)}" if value < step else percent(value, digits)


def whole(value: float | None) -> str:
    """Return a count."""
    return number(value, 0)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: 1 order, 2 orders."""
    return f"{whole(count)} {noun}{'' if count == 1 else 's'}"


def multiple(value: float | None, digits: int = 1) -> str:
    """Return a multiple: 4.2×."""
    text = number(value, digits)
    return text if text == MISSING else f"{text}×"


def short(value: Any) -> str:
    """Return a parameter's value without needless digits: 20.0 is 20."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    return f"{value:g}" if isinstance(value, (int, float, np.number)) else str(value)


def listed(params: Mapping[str, Any]) -> str:
    """Return parameters on one line: ``fast 20, slow 150``."""
    return ", ".join(f"{name} {short(value)}" for name, value in params.items())


@dataclass(frozen=True)
class Shown:
    """How one statistic is named and written."""

    title: str
    form: Callable[[float | None], str] = number


# In the order of the tear sheet; a statistic that is not listed follows under its own name.
SHOWN: Mapping[str, Shown] = {
    "sharpe": Shown("Sharpe ratio"),
    "sortino": Shown("Sortino ratio"),
    "calmar": Shown("Calmar ratio"),
    "omega": Shown("Omega ratio"),
    "cagr": Shown("CAGR", percent),
    "volatility": Shown("Volatility a year", percent),
    "total_return": Shown("Total return", percent),
    "max_drawdown": Shown("Maximum drawdown", percent),
    "max_drawdown_sessions": Shown("Longest (sessions)", whole),
    "alpha": Shown("Alpha a year", percent),
    "beta": Shown("Beta"),
    "exposure": Shown("Gross exposure", percent),
    "turnover": Shown("Turnover a year", multiple),
    "cost_per_year": Shown("Costs a year", lambda value: percent(value, 2)),
    "trades": Shown("Round trips", whole),
    "win_rate": Shown("Win rate", percent),
    "profit_factor": Shown("Profit factor"),
    "skew": Shown("Skew"),
    "kurtosis": Shown("Kurtosis"),
    "sessions": Shown("Sessions", whole),
    "crowded_orders": Shown("Crowded orders", whole),
    "trials": Shown("Trials", whole),
    "dsr": Shown("Deflated Sharpe ratio", chance),
    "pbo": Shown("Probability of overfitting", chance),
}


def written(name: str, value: float | None) -> str:
    """Return a statistic as it is written everywhere: in the terminal, on tear sheets, in tables."""
    return SHOWN[name].form(value)


def remarks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what must be said with a ranking's rows: dates that differ, and why a number is missing."""
    said = []
    if later := max(row["later"] for row in rows):
        spans = ", ".join(f"{row['strategy']} {row['first']} to {row['last']}" for row in rows)
        said.append(
            f"not over the same dates: {spans}. What begins later looks back further than "
            f"walk_forward.warm_up_sessions; raise that by {counted(later, 'session')} or more and all begin together"
        )
    return said + [f"{row['strategy']}: {row['missing']}" for row in rows if row.get("missing")]
