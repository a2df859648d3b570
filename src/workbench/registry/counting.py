"""What a run adds to the trial ledger: its cells before anything else is recorded of it, or one for its failure."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.backtest.by_cell import failure_is_counted
from workbench.backtest.overfit import Overfitting, evidence
from workbench.backtest.result import WalkForward
from workbench.backtest.trials import Ledger, Question, Receipt, record_failure, record_walk_forward
from workbench.backtest.trials.kept import HEAD, kept_by_sweeps
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
            HEAD: self.receipt.head,
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


def count_failure(paths: Paths, settings: Settings, strategy: str, error: str, run_id: str) -> Receipt | None:
    """Count a run that failed once and return its receipt; None where its cells are counted already."""
    ledger = Ledger(paths.trials)
    if ledger.knows(run_id):
        return None
    try:
        text = load_strategy_params(strategy, paths).question
    except WorkbenchError:
        text = f"{strategy}: its question could not be read"
    question = Question(text, settings.market)
    return record_failure(ledger, question, strategy, masked(error)[:1000], made_by=_shaped_by(settings), run_id=run_id)


def kept_heads(connection: Connection) -> dict[str, str]:
    """Return, by run, the head of the ledger that each run kept: walk-forwards, sweeps and failed ones, deleted or not.

    The project's own store is searched whole, whatever an experiment is called. A store that is shared has the runs of
    other ledgers too: there it is the project's experiment, on a server the runs of this machine.
    """
    client, mlflow = connection.client(), load_mlflow()
    everything, own = mlflow.entities.ViewType.ALL, connection.database == connection.paths.mlruns / "mlflow.db"
    heads, ids = swept_heads(connection.paths), [] if own else [connection.experiment_id()]
    with connection.doing("read the runs"):
        if own:
            experiments = _pages(lambda token: client.search_experiments(everything, page_token=token))
            ids = [str(experiment.experiment_id) for experiment in experiments]
        kept = f"tags.`{HEAD}` LIKE '_%'"
        for run in _pages(lambda token: client.search_runs(ids, kept, everything, 500, page_token=token)):
            tags = run.data.tags
            if connection.database or tags.get("process", "").partition(":")[0] == socket.gethostname():
                heads[tags.get("sweep", str(run.info.run_id))] = tags[HEAD]
    return heads


def swept_heads(paths: Paths) -> dict[str, str]:
    """Return, by run, the head that each sweep on this disk kept with the last cells it counted, killed ones too."""
    return {kept.run: kept.head for kept in kept_by_sweeps(paths)}


@contextlib.contextmanager
def counted_on_error(
    paths: Paths, settings: Settings, strategy: str, run_id: str, keep: Callable[[str], object]
) -> Iterator[None]:
    """Count a failed or stopped run; where even that fails, the first error says so and is the one to report.

    ``keep`` is given the ledger's head then, to keep it with the run.
    """
    try:
        yield
    except BaseException as error:
        try:
            receipt = count_failure(paths, settings, strategy, f"{type(error).__name__}: {error}".strip(), run_id)
            if receipt is not None:
                failure_is_counted(error)
                keep(receipt.head)
        except WorkbenchError as uncounted:
            error.add_note(f"and the failed run is not in the trial ledger: {uncounted}")
        raise


def _pages(search: Callable[[str | None], Any]) -> Iterator[Any]:
    token = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return


def _shaped_by(settings: Settings) -> Mapping[str, Any]:
    sections = [name for name in record.SECTIONS if name != SAMPLE or settings.market == SAMPLE]
    return {"settings": settings.digest(sections)}
