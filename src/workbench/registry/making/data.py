"""Makes the pack of what is data and no strategy, and a run that holds it.

>>> make_data_pack("risk", "house_limits", Path("limits.yaml"), "halve the gross after the review", settings, Paths())
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import workbench
from workbench.clock import read_clock
from workbench.params import Paths, Settings
from workbench.registry.gates.policy import FILE, Policy
from workbench.registry.lifecycle.models import Models
from workbench.registry.lifecycle.record import Lifecycle
from workbench.registry.making.evidence import Made, sound_pack
from workbench.registry.making.packing import Judged, judged_pack, same_evidence
from workbench.registry.making.payload import payload_parts
from workbench.registry.packs.pack import Pack
from workbench.registry.recording import failed_on_error
from workbench.registry.runs import Tracking, user_name
from workbench.registry.storing import EXPERIMENT, candidate_folder, confirm_pack, keep_pack, pack_runs


def make_data_pack(
    kind: str,
    name: str,
    file: Path,
    reason: str,
    settings: Settings,
    paths: Paths,
    *,
    evaluation: Path | None = None,
    now: datetime | None = None,
) -> Made:
    """Make a pack of one file and store it with a run of its own; the same file for the same reason is packed once."""
    tracking, now = Tracking(settings, paths), now or read_clock(settings.market, paths).now()
    parts = payload_parts(kind, name, file, reason, evaluation)
    champion = _champion(kind, name, tracking)
    for run in pack_runs(tracking, kind, name)[:1]:
        run_id = str(run.info.run_id)
        before = sound_pack(tracking, run_id)
        again = judged_pack(kind, name, settings.market, parts, paths, now, champion=champion, run_id=run_id)
        if before is not None and before.expires_at > now and same_evidence(before, again.pack):
            confirm_pack(tracking, before, run_id, now)
            # Its verdicts are of when it was made; against the champion of now they may be others.
            judged = Judged(before, again.stage, again.verdicts)
            return Made(judged, run_id, candidate_folder(tracking, run_id), new=False)
    client = tracking.client()
    tags = {
        "mlflow.runName": f"{kind} {name} {now:%m-%d %H:%M}",
        "mlflow.user": user_name(),
        "mlflow.note.content": reason,
        "market": settings.market,
        "workbench": workbench.__version__,
    }
    with tracking.doing(f"record the pack of {name}"):
        run_id = str(client.create_run(tracking.experiment_id(EXPERIMENT), tags=tags).info.run_id)
    with failed_on_error(client, run_id):
        judged = judged_pack(kind, name, settings.market, parts, paths, now, champion=champion, run_id=run_id)
        keep_pack(tracking, judged.pack, run_id)
    with tracking.doing(f"end run {run_id}"):
        client.set_terminated(run_id, "FINISHED")
    return Made(judged, run_id, candidate_folder(tracking, run_id), new=True)


def _champion(kind: str, name: str, tracking: Tracking) -> Pack | None:
    """Return the evidence that a promotion to the first stage will compare with, or None where nothing stands."""
    state = Lifecycle.open(tracking.settings, tracking.paths).state(kind, name)
    stage, _ = Policy.read(tracking.paths.params / FILE, tracking.paths).first_step(kind)
    version = state.champion(stage)
    return Models(tracking).candidate(state, version).pack if version else None
