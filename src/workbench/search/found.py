"""What a finished search hands to the pictures, the page and MLflow: frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any

import pandas as pd

from workbench.search.luck import Luck
from workbench.search.plateau import Terrain, assigned
from workbench.search.run import Asked
from workbench.search.table import DONE, FAILED, Rule

# Of an error, as much as is read in one line.
MOST_OF_ERROR = 300


@dataclass(frozen=True)
class Found:
    """A finished search; ``table`` has the best plateau first, ``COLUMNS`` says what its columns mean."""

    run_id: str
    folder: Path
    asked: Asked
    market: str
    select_by: str
    tested: tuple[pd.Timestamp, pd.Timestamp]
    table: pd.DataFrame
    terrain: Terrain
    rules: tuple[Rule, Rule]
    luck: Luck
    head: str  # of the ledger, after the last batch
    seconds: float
    measured: int  # cells that this call measured; the others were known
    trials: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def cells(self) -> int:
        """How many different cells were looked at."""
        return len(self.table)

    @property
    def folds(self) -> int:
        """How many training windows each was judged on."""
        return len(self.rules[0].test_scores)

    @property
    def varied(self) -> list[str]:
        """The parameters that have more than one value."""
        return [name for name, values in self.asked.grid.items() if len(values) > 1]

    @property
    def scored(self) -> pd.DataFrame:
        """The rows of the table that were measured on all windows; the others have nothing to compare."""
        return self.table[self.table["status"] == DONE]

    @property
    def plateaus(self) -> pd.DataFrame:
        """The rows of the table that are a plateau, the best first; a cell with too few neighbours is none."""
        return self.scored[self.scored["plateau"].notna()]

    @property
    def failure(self) -> str:
        """How many cells failed, with the first error and where, in one line; empty where none failed."""
        failed = self.table[self.table["status"] == FAILED]
        if failed.empty:
            return ""
        first = failed.iloc[0]
        why = shorten(str(first["error"]), MOST_OF_ERROR, placeholder=" …").rstrip(".")
        where = assigned({name: first[name] for name in self.varied})
        return f"{len(failed):,} of {self.cells:,} cells failed, the first: {why} at {where}"

    @property
    def best(self) -> dict[str, Any]:
        """All parameters of the best plateau, the fixed ones too."""
        return {**self.asked.fixed, **plain(self.terrain.plateau.params)}


def plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without numpy's numbers."""
    return {name: value.item() if hasattr(value, "item") else value for name, value in params.items()}
