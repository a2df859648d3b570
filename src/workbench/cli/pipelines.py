"""Pipelines and what they leave: backtest, any pipeline by name, the runs there were, the page of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.edge import MADE, Fresh, Set, Strategies, read_settings, run_named, show_table
from workbench.errors import NoData, WorkbenchError

if TYPE_CHECKING:
    from workbench.params import Paths
    from workbench.pipeline import RunResult

NEWEST = 20  # runs that are listed
SHOWN_IN_RANKING = ("trials", "dsr", "pbo", "cagr", "volatility", "max_drawdown", "turnover", "cost_per_year")


def backtest(strategy: Strategies = None, set_: Set = None, fresh: Fresh = False) -> None:
    """Walk the strategies forward on notebooks, record them in MLflow and rank them."""
    paths, settings = read_settings(set_, strategy)
    result = run_named("backtest", settings, paths, fresh)
    _show_ranking(result, paths)


def run(pipeline: str, strategy: Strategies = None, set_: Set = None, fresh: Fresh = False) -> None:
    """Run any pipeline of pipelines/ by its name."""
    paths, settings = read_settings(set_, strategy)
    run_named(pipeline, settings, paths, fresh)


def runs() -> None:
    """List the newest 20 pipeline runs: when, how long, what failed, where the notebooks are."""
    from workbench.params import Paths
    from workbench.pipeline import run_history

    paths = Paths()
    history = run_history(paths)
    if not history:
        print("no runs yet: make backtest")
        return
    rows = [[h.run_id, h.status, f"{h.seconds:.0f} s", h.summary, paths.short(h.folder)] for h in history[:NEWEST]]
    show_table("Pipeline runs, newest first", ["run", "status", "took", "steps", "folder"], rows)


def repeat(
    run: Annotated[str, typer.Argument(help="The run's id in MLflow, or its first digits: 63bbc6b3.")],
    set_: Set = None,
) -> None:
    """Make a recorded walk-forward again from its own table versions, and say whether it is the same."""
    from workbench.registry.repeating import repeat as make_again
    from workbench.registry.runs import Tracking

    paths, settings = read_settings(set_)
    found = make_again(Tracking(settings, paths), run, print)
    tables = ", ".join(f"{name} version {version}" for name, version in found.tables.items())
    then, now = (one.out_of_sample["sharpe"] for one in (found.then, found.now))
    print(f"run {found.run_id[:8]} · {found.then.strategy} · {tables}")
    print(f"Sharpe ratio out of sample: {then:.6f} then, {now:.6f} now")
    if found.worst == 0.0:
        print("the same, to the last digit of every session's return; nothing was recorded or counted")
        return
    code = "by the same commit" if found.same_code else "the code is not that of the run (git.commit in MLflow)"
    raise WorkbenchError(f"run {found.run_id[:8]}: a session's return differs by up to {found.worst:.3g}; {code}")


def report(strategy: Strategies = None) -> None:
    """Write the newest finished backtest as one HTML page to send."""
    from workbench.params import Paths, load_strategy_params
    from workbench.pipeline import run_history
    from workbench.reports.export import export_html

    paths, wanted = Paths(), list(dict.fromkeys(strategy or ()))
    for name in wanted:
        load_strategy_params(name, paths)
    finished = [run for run in run_history(paths) if run.pipeline == "backtest" and run.status == "done"]
    alone = (run for run in finished if set(_ranked(run)) == set(wanted))
    among_others = (run for run in finished if set(_ranked(run)) >= set(wanted))
    result = next(alone, None) or next(among_others, None)
    if result is None:
        which, choice = (f" of {', '.join(wanted)}", f" STRATEGY='{' '.join(wanted)}'") if wanted else ("", "")
        raise NoData(f"no finished backtest{which} yet: make backtest{choice}")
    step = result.step("report")
    page = export_html(step.notebook, paths.reports / f"{result.run_id}.html", step.outputs["market"])
    print(f"backtest {result.run_id}: {', '.join(_ranked(result))}")
    print(f"report: {paths.short(page)}")


def _ranked(result: RunResult) -> list[str]:
    return [row["strategy"] for row in result.step("compare").outputs["ranking"]]


def _show_ranking(result: RunResult, paths: Paths) -> None:
    from workbench.backtest.text import number, remarks, written

    outputs = result.step("compare").outputs
    differ = any(row["later"] for row in outputs["ranking"])
    span = "dates differ" if differ else f"{outputs['first']} to {outputs['last']}"
    rows = []
    for place, row in enumerate(outputs["ranking"], start=1):
        low, high = row["sharpe_low"], row["sharpe_high"]
        figures = (
            written("sharpe", row["sharpe"]),
            f"{number(low)} … {number(high)}",
            number(row["in_sample"]),
            *(written(name, row[name]) for name in SHOWN_IN_RANKING),
            f"{row['good_folds']}/{row['folds']}",
        )
        rows.append([str(place), row["strategy"], *figures])
    print()
    show_table(
        f"Out of sample, after costs · {span} · {outputs['market']} market",
        [
            *("#", "strategy", "Sharpe", "95 %", "in sample", "trials", "DSR", "PBO"),
            *("CAGR", "vol", "max DD", "turnover", "costs/yr", "folds > 0"),
        ],
        rows,
        numbers_from=2,
    )
    for remark in remarks(outputs["ranking"]):
        print(remark)
    if outputs["market"] == "sample":
        print(MADE)
    print()
    for row in outputs["ranking"]:
        print(f"  tear sheet  {row['tearsheet']}")
    print(f"  notebooks   {paths.short(result.folder)}/")
    print("\nNext: make ui (compare the runs) · make report (one HTML page) · make lab (play with a parameter)")
