"""Where packs lie: the folder promotion/ among the artifacts of a run, one pack a run for ever.

>>> keep_pack(tracking, pack, run_id)
>>> folder = candidate_folder(tracking, run_id)
"""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench.errors import PackRefused
from workbench.registry.connection import Connection
from workbench.registry.packs.candidate import FOLDER, PACK
from workbench.registry.packs.canonical import moment_text, short
from workbench.registry.packs.pack import MANIFEST, PARTS, Pack, read_pack
from workbench.registry.packs.pack import NAME as PACK_NAME
from workbench.registry.store import alone

STRATEGY = "strategy"
# The experiment of what is promoted beside strategies, whose packs lie with their walk-forwards.
EXPERIMENT = "promotion"
DIGEST, KIND, NAME, TRUE_AT, AGAIN = "pack.digest", "pack.kind", "pack.name", "pack.true_at", "pack.walk_forward"


def keep_pack(connection: Connection, pack: Pack, run_id: str) -> None:
    """Store a pack with a run that has none, and read it back; the manifest comes last, so half a pack is none."""
    client = connection.client()
    with tempfile.TemporaryDirectory(prefix="workbench-pack-") as name:
        folder = Path(name)
        pack.write(folder)
        with connection.doing(f"store the pack with run {run_id}"):
            client.log_artifacts(run_id, str(folder / PARTS), f"{FOLDER}/{PACK}/{PARTS}")
            client.log_artifact(run_id, str(folder / MANIFEST), f"{FOLDER}/{PACK}")
    stored = stored_pack(connection, run_id)
    if stored is None or stored.digest != pack.digest:
        found = "none" if stored is None else short(stored.digest)
        raise PackRefused(
            f"run {run_id}: the store gave back pack {found} instead of {short(pack.digest)}; "
            "mend the artifact store, then make the evidence again"
        )
    confirm_pack(connection, pack, run_id, pack.made_at)


def confirm_pack(connection: Connection, pack: Pack, run_id: str, now: datetime) -> None:
    """Note that the pack of a run was made, or found to be still true, at this moment.

    All of it is noted each time: whoever stored the pack may have been killed before. A run is found by its kind, so
    that comes last.
    """
    _tag(connection, run_id, {DIGEST: pack.digest, NAME: pack.name, TRUE_AT: moment_text(now), KIND: pack.kind})


def mark_recorded_again(connection: Connection, run_id: str, before: str) -> None:
    """Note that a run records the walk-forward of an earlier one again, because that one holds another pack."""
    _tag(connection, run_id, {AGAIN: before})


def recorded_again(connection: Connection, run_id: str) -> list[str]:
    """Return the runs that recorded the walk-forward of a run again, the newest first."""
    found = _search(connection, connection.experiment_id(), {AGAIN: run_id})
    return [str(run.info.run_id) for run in sorted(found, key=lambda run: run.info.start_time, reverse=True)]


def stored_pack(connection: Connection, run_id: str) -> Pack | None:
    """Return the pack that lies with a run, or None where nothing does; what is there but unsound is refused."""
    if not has_folder(connection, run_id):
        return None
    with connection.artifacts(run_id, f"{FOLDER}/{PACK}") as folder:
        return read_pack(folder, f"run {run_id[:8]}/{FOLDER}/{PACK}")


def has_folder(connection: Connection, run_id: str) -> bool:
    """Return whether anything of a candidate lies with a run: a pack, or half of one."""
    with connection.doing(f"look into run {run_id}"):
        return bool(connection.client().list_artifacts(run_id, FOLDER))


def pack_runs(connection: Connection, kind: str, name: str = "") -> list[Any]:
    """Return the runs that hold packs of a kind, of one name or of all; first the one that was true last."""
    if name and not PACK_NAME.fullmatch(name):  # no pack is called so, and MLflow is asked no such question
        return []
    experiment = connection.experiment_id(None if kind == STRATEGY else EXPERIMENT)
    found = _search(connection, experiment, {KIND: kind, **({NAME: name} if name else {})})
    return sorted(found, key=lambda run: (run.data.tags.get(TRUE_AT, ""), run.info.start_time), reverse=True)


def candidate_folder(connection: Connection, run_id: str) -> Path:
    """Return the folder of a run's candidate on this machine, fetched where the store is a server."""
    place = connection.artifact_folder(run_id)
    if place is not None:
        return place / FOLDER
    kept = connection.paths.state / "candidates" / run_id
    kept.mkdir(parents=True, exist_ok=True)
    with alone(kept / FOLDER):
        for left in kept.glob(".fetching-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=kept, prefix=".fetching-") as name:
            with connection.doing(f"fetch the candidate of run {run_id}"):
                fetched = Path(connection.client().download_artifacts(run_id, FOLDER, name))
            # In the place of an older copy, not over it: what is gone from the server is not seen here any more.
            if (kept / FOLDER).exists():
                (kept / FOLDER).rename(Path(name) / "old")
            fetched.rename(kept / FOLDER)
    return kept / FOLDER


def _tag(connection: Connection, run_id: str, tags: dict[str, str]) -> None:
    client = connection.client()
    with connection.doing(f"mark run {run_id}"):
        for key, value in tags.items():
            client.set_tag(run_id, key, value)


def _search(connection: Connection, experiment: str, tags: dict[str, str]) -> list[Any]:
    wanted = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    client, token, found = connection.client(), None, []
    with connection.doing("look for packs"):
        while True:
            page = client.search_runs([experiment], wanted, max_results=200, page_token=token)
            found += list(page)
            token = page.token
            if not token:
                return found
