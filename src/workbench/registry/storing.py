"""Where packs lie: the folder promotion/ among the artifacts of a run, one pack a run for ever.

>>> keep_pack(tracking, pack, run_id)
>>> folder = candidate_folder(tracking, newest_pack_run(tracking, "strategy", "xs_momentum"))
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from workbench.errors import NoData, PackRefused
from workbench.registry.connection import Connection
from workbench.registry.packs.candidate import FOLDER, PACK
from workbench.registry.packs.canonical import moment_text, short
from workbench.registry.packs.pack import MANIFEST, PARTS, Pack, read_pack

STRATEGY = "strategy"
# The experiment of what is promoted beside strategies, whose packs lie with their walk-forwards.
EXPERIMENT = "promotion"
DIGEST, KIND, NAME, MADE = "pack.digest", "pack.kind", "pack.name", "pack.made_at"


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
    tags = {DIGEST: pack.digest, KIND: pack.kind, NAME: pack.name, MADE: moment_text(pack.made_at)}
    with connection.doing(f"mark run {run_id}"):
        for key, value in tags.items():
            client.set_tag(run_id, key, value)


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


def newest_pack_run(connection: Connection, kind: str, name: str) -> str:
    """Return the run that holds the newest pack of a candidate."""
    found = pack_runs(connection, kind, name)
    if not found:
        make = f"make evidence STRATEGY={name}" if kind == STRATEGY else f"workbench pack make --kind {kind} {name} …"
        raise NoData(f"{name}: no pack of kind {kind} yet; make it: {make}")
    return str(found[0].info.run_id)


def pack_runs(connection: Connection, kind: str, name: str = "") -> list[Any]:
    """Return the runs that hold packs of a kind, of one name or of all, the newest pack first."""
    experiment = connection.experiment_id(None if kind == STRATEGY else EXPERIMENT)
    wanted = [f"tags.`{KIND}` = '{kind}'", *([f"tags.`{NAME}` = '{name}'"] if name else [])]
    client, token, found = connection.client(), None, []
    with connection.doing("look for packs"):
        while True:
            page = client.search_runs([experiment], " AND ".join(wanted), max_results=200, page_token=token)
            found += list(page)
            token = page.token
            if not token:
                break
    return sorted(found, key=lambda run: (run.data.tags[MADE], run.info.start_time), reverse=True)


def candidate_folder(connection: Connection, run_id: str) -> Path:
    """Return the folder of a run's candidate on this machine, fetched where the store is a server."""
    place = connection.artifact_folder(run_id)
    if place is not None:
        return place / FOLDER
    kept = connection.paths.state / "candidates" / run_id
    kept.mkdir(parents=True, exist_ok=True)
    with connection.doing(f"fetch the candidate of run {run_id}"):
        return Path(connection.client().download_artifacts(run_id, FOLDER, str(kept)))
