"""What a strategy's evidence earned out of sample, read from its pack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.registry.packs.pack import Pack

if TYPE_CHECKING:
    import pandas as pd

CURVES = "result/curves.parquet"


def returns_in(pack: Pack) -> pd.Series[float]:
    """Return the returns out of sample; what is no such table is a ValueError, TypeError, KeyError or OSError.

    Read in this thread: of a table in memory, a worker of pyarrow lets go while the process ends, which aborts it.
    """
    import pyarrow as pa  # with a table to read: the loader, which asks no gate, stays light
    from pyarrow.parquet import ParquetFile

    with ParquetFile(pa.BufferReader(pack.read(CURVES))) as file:
        table = file.read(columns=["return"], use_threads=False, use_pandas_metadata=True)
    returns: pd.Series[float] = table.to_pandas(use_threads=False)["return"]
    return returns
