"""Bars kept as dense arrays beside the columns, so that reading the same bars again costs no decoding and no sorting.

They are named by the digests of the tables that they were read from, and by what was asked: another version of a table
has another name. The folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.data.lake import Lake
from workbench.disk import write_whole, writing
from workbench.features.store import check_of, read_checked
from workbench.types import FIELDS, Bars

TABLES = ("prices_daily", "actions", "symbols")
FRAMES = (*FIELDS, "traded_close")
When = date | datetime | str | None


def kept_bars(
    lake: Lake,
    folder: Path,
    symbols: Sequence[str] | None = None,
    start: When = None,
    end: When = None,
    as_of: datetime | str | None = None,
    versions: Mapping[str, int] | None = None,
) -> Bars:
    """Return the lake's daily bars, as ``Lake.bars`` does; what was read before is mapped, not read again."""
    have = lake.versions()
    pins = {name: (versions or {}).get(name, have.get(name)) for name in TABLES}
    tables = {name: lake.digest(name, pin) for name, pin in pins.items() if pin is not None}
    asked = _digest([list(symbols) if symbols is not None else None, str(start), str(end), str(as_of)])
    place = folder / f"{asked}-{_digest(tables)}.json"
    found = _load(place, lake.market)
    if found is None:
        found = lake.bars(symbols, start, end, as_of, {name: pin for name, pin in pins.items() if pin is not None})
        _keep(place, found)
    return found


def _load(place: Path, market: str) -> Bars | None:
    try:
        told: dict[str, Any] = json.loads(place.read_text())
    except (OSError, ValueError):
        return None
    values = read_checked(place.with_suffix(".npy"), told["check"])
    shape = (len(FRAMES), len(told["days"]), len(told["symbols"]))
    if values is None or values.shape != shape:
        return None
    index = pd.DatetimeIndex(np.array(told["days"], dtype="datetime64[D]").astype("datetime64[ns]"))
    frames = {
        name: pd.DataFrame(values[number], index=index, columns=told["symbols"], copy=False)
        for number, name in enumerate(FRAMES)
    }
    return Bars(**frames, market=market, sectors=told["sectors"])


def _keep(place: Path, bars: Bars) -> None:
    """Write the arrays, then what they are; bars of other versions that were asked for alike go away."""
    values = np.stack([getattr(bars, name).to_numpy(dtype=float) for name in FRAMES])
    told = {
        "symbols": list(bars.symbols),
        "days": [int(day) for day in bars.index.to_numpy().astype("datetime64[D]").astype(int)],
        "sectors": bars.sectors,
        "check": check_of(values),
    }
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    with writing(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place.with_suffix(".npy"), buffer.getvalue(), flushed=True)
        write_whole(place, json.dumps(told), flushed=True)
        for other in place.parent.glob(f"{place.stem.split('-')[0]}-*"):
            if other.stem != place.stem:
                other.unlink(missing_ok=True)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
