"""What sound data is: one Great Expectations suite a dataset, each expectation under the name of the rule it checks.

A row that breaks a rule is kept out of the lake, with the rule's name, in quarantine. A batch that breaks a rule on
batches is refused whole. Rules that need to look beyond the row ask columns that ``evidence.py`` computes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.data.datasets import Dataset

DUPLICATE = "duplicate_key"


@dataclass(frozen=True)
class Bounds:
    """The numbers in the rules."""

    jump: float = 0.5  # |return| between two bars that no split or dividend explains
    broken_share: float = 0.05  # of a batch's rows in quarantine; above, the source itself is broken
    broken_rows: int = 3  # that many may be broken in a small batch
    off_calendar_share: float = 0.01  # of a batch's rows on days without a session
    coverage: float = 0.5  # of the symbols that the source's newest stored session has, on a newer one
    agree: float = 1e-4  # relative: two sources that are nearer say the same
    agree_volume: float = 0.05  # the same for volumes, which every source counts in its own way


@dataclass(frozen=True)
class Rule:
    """One expectation under a name that stays the same, and why it is asked."""

    name: str
    reason: str
    expectation: str
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the expectation looks at."""
        names = ("column", "column_A", "column_B")
        return tuple(self.asked[name] for name in names if name in self.asked) or tuple(self.asked["column_list"])


def rules(contract: Dataset, bounds: Bounds) -> tuple[Rule, ...]:
    """Return a dataset's rules: those that follow from its contract, and its own."""
    needed = [column for column in contract.schema if column not in contract.nullable]
    general = [_needs(column) for column in needed]
    general += [
        Rule(
            DUPLICATE,
            "two rows with the same key and known_at: nobody can say which one holds",
            "ExpectCompoundColumnsToBeUnique",
            {"column_list": [*contract.key, "known_at"]},
        ),
        Rule(
            "blank_name",
            f"'{contract.symbol}' is empty, or has blanks around it",
            "ExpectColumnValuesToBeInSet",
            {"column": "named", "value_set": [1]},
        ),
        _between("known_in_future", "known_ahead_seconds", "known_at lies in the future", high=0.0),
    ]
    own = _OWN.get(contract.name)
    return (*general, *(own(bounds) if own is not None else ()))


def _needs(column: str) -> Rule:
    return Rule("missing_value", f"'{column}' is missing", "ExpectColumnValuesToNotBeNull", {"column": column})


def _between(
    name: str, column: str, reason: str, low: float | None = None, high: float | None = None, strict: bool = False
) -> Rule:
    asked = {"column": column, "min_value": low, "max_value": high, "strict_min": strict, "strict_max": strict}
    return Rule(name, reason, "ExpectColumnValuesToBeBetween", {k: v for k, v in asked.items() if v is not None})


def _not_below(name: str, upper: str, lower: str) -> Rule:
    return Rule(
        name,
        f"'{upper}' is below '{lower}'",
        "ExpectColumnPairValuesAToBeGreaterThanB",
        {"column_A": upper, "column_B": lower, "or_equal": True, "ignore_row_if": "either_value_is_missing"},
    )


def _prices(bounds: Bounds) -> tuple[Rule, ...]:
    return (
        *(
            _between("not_positive", column, f"'{column}' is not finite and positive", 0.0, 1e9, strict=True)
            for column in ("open", "high", "low", "close")
        ),
        _between("negative_volume", "volume", "'volume' is not finite, or below zero", 0.0, 1e15),
        *(_not_below("high_low", "high", column) for column in ("open", "low", "close")),
        *(_not_below("high_low", column, "low") for column in ("open", "close")),
        _session("no session of the calendar at that time"),
        _between("known_too_early", "known_lag_seconds", "known_at lies before the bar had ended", low=0.0),
        _between(
            "jump",
            "jump",
            f"a return beyond {bounds.jump:.0%} that no split or dividend explains",
            -bounds.jump,
            bounds.jump,
        ),
    )


def _actions(_: Bounds) -> tuple[Rule, ...]:
    return (
        Rule(
            "unknown_kind",
            "'kind' is neither split nor dividend",
            "ExpectColumnValuesToBeInSet",
            {"column": "kind", "value_set": ["split", "dividend"]},
        ),
        _between("not_positive", "value", "'value' is not finite and positive", 0.0, 1e9, strict=True),
        _session("the ex-date is no session of the calendar"),
        _between(
            "dividend_too_large",
            "dividend_share",
            "the dividend is not below the close before its ex-date",
            high=1.0,
            strict=True,
        ),
    )


def _macro(_: Bounds) -> tuple[Rule, ...]:
    return (
        _between("not_finite", "value", "'value' is not finite", -1e15, 1e15),
        _between("known_too_early", "known_lag_seconds", "known_at lies before the period began", low=0.0),
    )


def _events(_: Bounds) -> tuple[Rule, ...]:
    return (
        _between("not_finite", "surprise", "'surprise' is not finite", -1e15, 1e15),
        _between("known_too_early", "known_lag_seconds", "known_at lies before it was published", low=0.0),
    )


def _symbols(_: Bounds) -> tuple[Rule, ...]:
    return (_not_below("delisted_before_listed", "delisted", "listed"),)


def _session(reason: str) -> Rule:
    return Rule("no_session", reason, "ExpectColumnValuesToBeInSet", {"column": "in_session", "value_set": [1]})


_OWN = {
    "prices_daily": _prices,
    "prices_5min": _prices,
    "actions": _actions,
    "macro": _macro,
    "events": _events,
    "symbols": _symbols,
}
