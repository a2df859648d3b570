"""The robustness card: what each change left of a walk-forward, and the verdict in plain words.

Every word of the verdict follows from a row of the card by the rules of ``verdict``; the bounds stand here and nowhere
else, and docs/robustness.md explains them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

from workbench.backtest.text import number, percent

# The groups in the order of the card.
COSTS, DELAY, PARAMETERS, LUCK, UNIVERSE, REGIMES, YEARS = (
    "costs",
    "delay",
    "parameters",
    "luck",
    "universe",
    "regimes",
    "years",
)
GROUPS: Mapping[str, str] = {
    COSTS: "Costs",
    DELAY: "Delay",
    PARAMETERS: "One parameter step",
    LUCK: "Without its best",
    UNIVERSE: "Part of the universe",
    REGIMES: "Market regimes",
    YEARS: "Calendar years",
}
# What could have been otherwise all the time; regimes and years are parts of what was.
STRESSES = (COSTS, DELAY, PARAMETERS, LUCK, UNIVERSE)

# A change that leaves at least this share of the Sharpe ratio leaves the result standing.
KEPT = 0.5
# At least this share of the years earned money: holds up; below the second: fragile, whatever else is true.
GOOD_YEARS, FEW_YEARS = 2 / 3, 0.5

_BEFORE = {COSTS: "at ", PARAMETERS: "with "}
HOLDS_UP, IN_PART, FRAGILE, NOTHING = "Holds up", "Holds up in part", "Fragile", "Nothing to hold up"


@dataclass(frozen=True)
class Variant:
    """One change and what it left; ``kept`` is the share of the base's Sharpe ratio, NaN where that is not positive.

    ``sharpe`` is a number: what did not trade is no variant, the card says it is missing.
    """

    group: str
    name: str
    changed: str
    sharpe: float
    cagr: float
    max_drawdown: float
    kept: float
    sessions: int

    @property
    def verdict(self) -> str:
        """What became of it, in a word."""
        if self.group == YEARS or math.isnan(self.kept):
            return "earned" if self.sharpe > 0 else "lost"
        if self.sharpe <= 0:
            return "breaks"
        return "holds" if self.kept >= KEPT else "fades"

    @property
    def where(self) -> str:
        """The name as it stands in a sentence: ``at 3× costs``."""
        return f"{_BEFORE.get(self.group, '')}{self.name}"

    @property
    def key(self) -> str:
        """The name by which a run records it: ``costs.2x_costs``."""
        word = "".join(letter if letter.isalnum() else "_" for letter in self.name.lower().replace("×", "x"))
        return f"{self.group}.{'_'.join(part for part in word.split('_') if part)}"


@dataclass(frozen=True)
class Robustness:
    """A walk-forward's card; ``missing`` says why a row that one would look for is not there."""

    base: Variant
    variants: tuple[Variant, ...]
    missing: Mapping[str, str] = field(default_factory=dict)

    def group(self, name: str) -> tuple[Variant, ...]:
        """Return the rows of one group."""
        return tuple(variant for variant in self.variants if variant.group == name)

    @property
    def weakest(self) -> Variant | None:
        """The change that leaves least; a single year is too short to say."""
        asked = [variant for variant in self.variants if variant.group != YEARS and not math.isnan(variant.kept)]
        return min(asked, key=lambda variant: variant.kept, default=None)

    @property
    def level(self) -> str:
        """The verdict in two words.

        1. Nothing to hold up: the base earned nothing.
        2. Fragile: some stress turns it into a loss, or fewer than half of the years earned.
        3. Holds up in part: some stress leaves less than half, some regime lost, or fewer than two thirds of the years
           earned.
        4. Holds up: none of these.
        """
        if not self.base.sharpe > 0:
            return NOTHING
        stresses = [variant for name in STRESSES for variant in self.group(name)]
        years, regimes = self.group(YEARS), self.group(REGIMES)
        good = sum(year.sharpe > 0 for year in years) / len(years) if years else 1.0
        if any(not variant.sharpe > 0 for variant in stresses) or good < FEW_YEARS:
            return FRAGILE
        weak = any(variant.kept < KEPT for variant in stresses) or any(not regime.sharpe > 0 for regime in regimes)
        return IN_PART if weak or good < GOOD_YEARS else HOLDS_UP

    @property
    def verdict(self) -> str:
        """The card in one line, its weakest point first."""
        if self.level == NOTHING:
            return f"{NOTHING}: the Sharpe ratio out of sample is {number(self.base.sharpe)}."
        weakest = self.weakest
        at = (
            f" At its weakest {weakest.where}: {_left(weakest.kept)} of its Sharpe ratio is left "
            f"({number(self.base.sharpe)} → {number(weakest.sharpe)})."
            if weakest
            else ""
        )
        return f"{self.level}.{at}{self._more()}"

    def table(self) -> pd.DataFrame:
        """Return the card as a table, the base first."""
        rows = [{**asdict(variant), "verdict": variant.verdict} for variant in (self.base, *self.variants)]
        rows[0]["verdict"] = ""
        return pd.DataFrame(rows)

    def metrics(self) -> dict[str, float]:
        """Return the card as numbers by name: ``robust.costs.2x_costs.sharpe``."""
        found = {f"robust.{variant.key}.sharpe": variant.sharpe for variant in self.variants}
        found |= {f"robust.{v.key}.kept": v.kept for v in self.variants if v.group != YEARS}
        if self.weakest is not None:
            found["robust.weakest_kept"] = self.weakest.kept
        years = self.group(YEARS)
        return {
            **found,
            "robust.good_years": float(sum(year.sharpe > 0 for year in years)),
            "robust.all_years": float(len(years)),
        }

    def save(self, file: Path) -> None:
        """Write the card as JSON."""
        file.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, file: Path) -> Robustness:
        """Return a card written by ``save``."""
        facts = json.loads(file.read_text())
        base, *variants = (Variant(**row) for row in (facts["base"], *facts["variants"]))
        return cls(base, tuple(variants), facts["missing"])

    def _more(self) -> str:
        years, luck = self.group(YEARS), [variant for variant in self.group(LUCK) if variant.name.endswith("month")]
        kept = [f"{_left(variant.kept)} {variant.where}" for variant in (*self.group(COSTS)[-1:], *self.group(DELAY))]
        kept += _range(self.group(PARAMETERS), "one parameter step away")
        kept += [f"{_left(variant.kept)} {variant.where}" for variant in luck]
        kept += _range(self.group(UNIVERSE), "on part of the universe")
        losing = [regime.name for regime in self.group(REGIMES) if not regime.sharpe > 0]
        said = [f"It keeps {', '.join(kept)}."] if kept else []
        said += [f"It earned in {sum(year.sharpe > 0 for year in years)} of {len(years)} years."] if years else []
        said += [f"It lost {' and '.join(losing)}."] if losing else []
        return "".join(f" {sentence}" for sentence in said)


def _left(kept: float) -> str:
    return percent(kept, 0) if kept > 0 else "nothing"


def _range(variants: Sequence[Variant], where: str) -> list[str]:
    kept = [variant.kept for variant in variants]
    if not kept:
        return []
    low, high = _left(min(kept)), _left(max(kept))
    return [f"{low} {where}" if low == high else f"{low} to {high} {where}"]
