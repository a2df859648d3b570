"""What a run adds to the trial ledger: its cells before anything else is recorded of it, or one for its failure."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.backtest.overfit import Overfitting, evidence
from workbench.backtest.result import WalkForward
from workbench.backtest.trials import Ledger, Question, Receipt, record_failure, record_walk_forward
from workbench.errors import WorkbenchError
from workbench.params import Paths, Settings, StrategyParams, load_strategy_params
from workbench.registry import record
from workbench.registry.connection import Connection, load_mlflow
from workbench.registry.store import masked
from workbench.types import SAMPLE


@dataclass(frozen=True)
class Counted:
    """A run's place in the ledger, and the evidence as it stood then; both are kept with the run."""

    receipt: Receipt
    evidence: Overfitting

    @property
    def tags(self) -> dict[str, str]:
        """What ``Ledger.verify`` needs of a run, and which numbers it has not."""
        missing = "; ".join(f"{name}: {why}" for name, why in self.evidence.missing.items())
        return {
            "trials.head": self.receipt.head,
            "trials.count": str(self.receipt.trials),
            **({"overfit.missing": missing} if missing else {}),
        }

    def write(self, file: Path) -> None:
        """Write both as JSON."""
        file.write_text(json.dumps({"receipt": asdict(self.receipt), "evidence": asdict(self.evidence)}, indent=1))


def count_cells(
    paths: Paths,
    settings: Settings,
    wf: WalkForward,
    params: StrategyParams | None,
    tables: record.Tables,
    run_id: str,
) -> Counted:
    """Count every cell of a walk-forward, and return what that leaves of its result."""
    ledger = Ledger(paths.trials)
    made = made_by(settings, params, tables)
    receipt = record_walk_forward(ledger, wf, made_by=made, run_id=run_id)
    return Counted(receipt, evidence(wf, ledger))


def made_by(settings: Settings, params: StrategyParams | None, tables: record.Tables) -> dict[str, Any]:
    """Return what shapes a trial besides its parameters: the same cell of a sweep and of a walk-forward counts once."""
    return {
        **_shaped_by(settings),
        **(params.model_dump(mode="json", include={"universe", "sizing"}) if params else {}),
        "data": {name: record.table_text(table) for name, table in tables.items()},
    }


def count_failure(paths: Paths, settings: Settings, strategy: str, error: str, run_id: str) -> None:
    """Count a run that failed once, unless its cells are counted already."""
    ledger = Ledger(paths.trials)
    if ledger.knows(run_id):
        return
    try:
        text = load_strategy_params(strategy, paths).question
    except WorkbenchError:
        text = f"{strategy}: its question could not be read"
    question = Question(text, settings.market)
    record_failure(ledger, question, strategy, masked(error)[:1000], made_by=_shaped_by(settings), run_id=run_id)


def kept_heads(connection: Connection) -> dict[str, str]:
    """Return, by run, the head of the ledger that each run kept, deleted runs included.

    A server has the runs of other machines too, which have ledgers of their own: those are left out.
    """
    client, experiment = connection.client(), connection.experiment_id()
    everything, token = load_mlflow().entities.ViewType.ALL, None
    heads: dict[str, str] = {}
    with connection.doing("read the runs"):
        while True:
            page = client.search_runs([experiment], run_view_type=everything, max_results=500, page_token=token)
            for run in page:
                host = run.data.tags.get("process", "").partition(":")[0]
                if "trials.head" in run.data.tags and (connection.database or host == socket.gethostname()):
                    heads[str(run.info.run_id)] = run.data.tags["trials.head"]
            token = page.token
            if not token:
                return heads


@contextlib.contextmanager
def counted_on_error(paths: Paths, settings: Settings, strategy: str, run_id: str) -> Iterator[None]:
    """Count a failed or stopped run; where even that fails, the first error says so and is the one to report."""
    try:
        yield
    except BaseException as error:
        try:
            count_failure(paths, settings, strategy, f"{type(error).__name__}: {error}".strip(), run_id)
        except WorkbenchError as uncounted:
            error.add_note(f"and the failed run is not in the trial ledger: {uncounted}")
        raise


def _shaped_by(settings: Settings) -> Mapping[str, Any]:
    sections = [name for name in record.SECTIONS if name != SAMPLE or settings.market == SAMPLE]
    return {"settings": settings.digest(sections)}
