"""Batches that wait for validation: a file each, named by the digest of its bytes, with a copy kept as raw snapshot."""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from workbench.data.datasets import DATASETS, dataset
from workbench.data.facts import shaped
from workbench.data.source import Batch
from workbench.disk import short, write_whole, writing
from workbench.errors import BatchRefused, LakeDamaged

REFUSED = "refused"


@dataclass(frozen=True)
class Staged:
    """One waiting file: its dataset, its source and the digest that names it."""

    path: Path
    dataset: str
    source: str
    digest: str

    def rows(self) -> pl.DataFrame:
        """Return the batch's rows, or say that the file is damaged."""
        content = self.path.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise LakeDamaged(
                f"{short(self.path)} holds other bytes than were staged; delete it and ingest again: make data"
            )
        return pl.read_parquet(io.BytesIO(content))

    def done(self) -> None:
        """Remove the file: its rows are in the lake or in quarantine."""
        with writing(self.path.parent):
            self.path.unlink(missing_ok=True)

    def set_aside(self, report: str) -> Path:
        """Move a refused batch, with the report that says why, to where nothing publishes it; return the report."""
        folder = self.path.parent.parent / REFUSED / self.dataset
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / f"{self.digest}.json", report, flushed=True)
            self.path.replace(folder / self.path.name)
        return folder / f"{self.digest}.json"


def stage(batch: Batch, market: str, staged_root: Path, raw_root: Path) -> Path:
    """Write a batch below ``staged_root`` for validation and below ``raw_root`` for ever, once for the same content."""
    contract = dataset(batch.dataset)
    if batch.market != market:
        raise BatchRefused(
            f"{batch.dataset}: the batch of source '{batch.source}' is of market '{batch.market}', this lake holds "
            f"'{market}'; stage it in Lake(root, '{batch.market}')"
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", batch.source):
        raise BatchRefused(
            f"{batch.dataset}: source '{batch.source}' cannot name a folder; use letters, digits, '_', '-' and '.'"
        )
    rows = shaped(contract, batch.rows)
    others = rows.filter(pl.col("source").ne_missing(batch.source))
    if len(others):
        raise BatchRefused(
            f"{batch.dataset}: {len(others)} rows name the source {others['source'][0]!r}, the batch comes from "
            f"'{batch.source}'; stage one batch per source"
        )
    buffer = io.BytesIO()
    rows.rechunk().write_parquet(buffer, compression="zstd", metadata={"market": market, "source": batch.source})
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    raw = raw_root / market / batch.source / batch.dataset / f"{digest}.parquet"
    staged = staged_root / market / batch.dataset / raw.name
    with writing(staged.parent):
        for path in (raw, staged):
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                write_whole(path, content, flushed=True)
    return staged


def waiting(market: str, staged_root: Path) -> list[Staged]:
    """Return the batches that wait for validation, a dataset after the other, each in the order of arrival."""
    found = []
    for name in DATASETS:
        files = list((staged_root / market / name).glob("[!.]*.parquet"))
        for path in sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.name)):
            told = _told(path)
            if told.get("market") != market:
                raise BatchRefused(
                    f"{short(path)} is of market '{told.get('market')}', not '{market}'; "
                    "delete it and stage it in its own market"
                )
            found.append(Staged(path, name, str(told["source"]), path.stem))
    return found


def _told(path: Path) -> dict[str, Any]:
    try:
        return dict(pl.read_parquet_metadata(path))
    except (pl.exceptions.PolarsError, OSError, json.JSONDecodeError) as error:
        raise LakeDamaged(f"{short(path)} is not a Parquet file; delete it and ingest again: make data") from error
