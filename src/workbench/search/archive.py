"""What a search has found so far, in its run's folder: a small Parquet file for each finished batch.

A file appears whole or not at all. A cell that is in one of them is never measured again, so a search that was stopped
or killed goes on where it was.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.disk import whole, writing
from workbench.errors import DataRefused
from workbench.search.problem import Cell, Measured

Array = NDArray[np.float64]
Key = tuple[str, int]  # a cell's parameters, and the training windows it was judged on


def cell_text(cell: Cell) -> str:
    """Return a cell's parameters in one canonical line."""
    return json.dumps(dict(cell), sort_keys=True, default=lambda value: value.item())


class Archive:
    """The finished cells of one run; everything in its folder is read when it is opened."""

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self.folder, self.columns = folder, tuple(columns)
        self._numbers: dict[Key, Array] = {}
        self._errors: dict[Key, str] = {}
        self._returns: dict[Key, Array] = {}
        for file in sorted(folder.glob("*.parquet")):
            self._read(file)

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, key: Key) -> bool:
        return key in self._numbers

    def add(self, cells: Sequence[Cell], found: Measured, keep: frozenset[str] = frozenset()) -> None:
        """Write a finished batch; the returns of the cells that ``keep`` names are written with it."""
        texts = [cell_text(cell) for cell in cells]
        table = pd.DataFrame(found.numbers, columns=list(self.columns))
        table.insert(0, "cell", texts)
        table.insert(1, "folds", found.folds)
        table["error"] = list(found.errors)
        table["returns"] = [
            row.tolist() if text in keep else None for text, row in zip(texts, found.returns, strict=True)
        ]
        file = self.folder / f"{len(self):08d}-{secrets.token_hex(4)}.parquet"
        with writing(file):
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole(file) as half:
                table.to_parquet(half, index=False)
        self._take(table)

    def numbers(self, cells: Sequence[Cell], folds: Sequence[int]) -> pd.DataFrame:
        """Return the numbers of cells that are here."""
        rows = [self._numbers[cell_text(cell), seen] for cell, seen in zip(cells, folds, strict=True)]
        return pd.DataFrame(np.array(rows), columns=list(self.columns))

    def error(self, cell: Cell, folds: int) -> str:
        """Return why a cell failed, or nothing."""
        return self._errors[cell_text(cell), folds]

    def returns(self, cell: Cell, folds: int) -> Array | None:
        """Return the returns of a cell where they were kept."""
        return self._returns.get((cell_text(cell), folds))

    def measured(self, cells: Sequence[Cell], folds: int) -> Measured:
        """Return cells as they were measured; the returns of each must have been kept."""
        returns = [self._returns[cell_text(cell), folds] for cell in cells]
        errors = tuple(self.error(cell, folds) for cell in cells)
        return Measured(self.numbers(cells, [folds] * len(cells)).to_numpy(), np.array(returns), errors, folds)

    def _read(self, file: Path) -> None:
        try:
            table = pd.read_parquet(file)
        except (OSError, ValueError) as error:
            raise DataRefused(f"{file}: damaged ({error}); delete it, its cells are measured again") from error
        missing = [name for name in self.columns if name not in table]
        if missing:
            raise DataRefused(f"{file}: no column '{missing[0]}', another version wrote it; search again with --fresh")
        self._take(table)

    def _take(self, table: pd.DataFrame) -> None:
        values = table[list(self.columns)].to_numpy(dtype=float)
        for text, folds, row, error, returns in zip(
            table["cell"], table["folds"], values, table["error"], table["returns"], strict=True
        ):
            key = (str(text), int(folds))
            self._numbers[key], self._errors[key] = row, str(error)
            if returns is not None:
                self._returns[key] = np.asarray(returns, dtype=float)
