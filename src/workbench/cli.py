"""The commands behind the Makefile. Everything is imported where it is used: ``workbench --help`` stays fast."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from workbench.errors import InputRefused, WorkbenchError

if TYPE_CHECKING:
    from workbench.params import Paths, Settings
    from workbench.pipeline import RunResult
    from workbench.search.found import Found
    from workbench.search.report import Left

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="The quant workbench. `make help` lists the same jobs as make targets.",
)

Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one setting.")]
Strategies = Annotated[list[str] | None, typer.Option("--strategy", help="Only this strategy; repeat for several.")]
STOPPED = 130
MADE = "The sample market is made, with planted effects: it tests the method, it says nothing about real markets."
Fresh = Annotated[bool, typer.Option("--fresh", help="Run every step, also what has not changed.")]


def main() -> NoReturn:
    """Run a command; an error of ours is one line and an exit code."""
    try:
        code = app(standalone_mode=False)
        if code == STOPPED:  # typer takes Ctrl-C for a result
            raise KeyboardInterrupt
    except WorkbenchError as error:
        _fail(str(error), error.exit_code)
    except typer.Abort:
        _fail("stopped", STOPPED)
    except KeyboardInterrupt:
        _fail("stopped; what was finished is kept, and the next run goes on from there", STOPPED)
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")):  # a wrong option, in click's own words
            _fail(f"{getattr(error, 'message', error)} See: workbench --help", 2)
        raise
    sys.exit(0)


@app.command()
def backtest(strategy: Strategies = None, set_: Set = None, fresh: Fresh = False) -> None:
    """Walk the strategies forward on notebooks, record them in MLflow and rank them."""
    paths, settings = _settings(set_, strategy)
    result = _run("backtest", settings, paths, fresh)
    _show_ranking(result, paths)


@app.command()
def sweep(
    strategy: Annotated[str, typer.Argument()] = "",
    grid: Annotated[
        list[str] | None, typer.Option("--grid", metavar="NAME=FROM:TO:STEP", help="One axis; or NAME=[A,B,C]. Repeat.")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Let Optuna choose this many cells, instead of all.")] = None,
    sampler: Annotated[str, typer.Option(help="How Optuna chooses: tpe or random.")] = "tpe",
    seed: Annotated[int | None, typer.Option(help="Another seed for --trials.")] = None,
    resume: Annotated[str, typer.Option(metavar="RUN", help="Go on with this run, as it was asked for.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a very large sweep.")] = False,
    set_: Set = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure every cell anew.")] = False,
) -> None:
    """Search a strategy's grid in parallel and tell the plateau from the peak."""
    from workbench.params import settings_from
    from workbench.search.command import asked_again, search
    from workbench.search.run import recall
    from workbench.search.sweep import Request

    paths, settings = _settings(set_, [strategy] if strategy else None)
    request, known = Request(strategy, tuple(grid or ()), trials, sampler, seed), None
    if resume:
        if strategy or grid or trials is not None or set_:
            raise InputRefused(f"--resume {resume}: goes on as it was asked for; leave strategy, --grid and --set out")
        asked, file = recall(paths, resume)
        settings, request, known = settings_from(file), asked_again(asked), (resume, asked)
    elif not strategy:
        raise InputRefused(f"sweep: name a strategy, one of {', '.join(settings.strategies)}: make sweep STRATEGY=...")
    _run("data", settings, paths, fresh=False)

    def agreed(question: str) -> bool:
        return yes or (sys.stdin.isatty() and typer.confirm(question))

    found, left = search(request, settings, paths, fresh=fresh, resume=known, confirm=agreed, say=print)
    _show_sweep(found, left, paths)


@app.command()
def run(pipeline: str, strategy: Strategies = None, set_: Set = None, fresh: Fresh = False) -> None:
    """Run any pipeline of pipelines/ by its name."""
    paths, settings = _settings(set_, strategy)
    _run(pipeline, settings, paths, fresh)


@app.command()
def data(set_: Set = None, fresh: Fresh = False) -> None:
    """Ingest the market, validate it, publish what is good and show the lake."""
    paths, settings = _settings(set_)
    _run("data", settings, paths, fresh)
    _show_lake(settings, paths)


@app.command()
def validate(set_: Set = None) -> None:
    """Audit the published tables again: files, rules, and what is in quarantine."""
    from workbench.data.datasets import dataset
    from workbench.data.inventory import kept_out
    from workbench.data.lake import Lake
    from workbench.data.quality import audit
    from workbench.data.second_source import differences

    paths, settings = _settings(set_)
    lake = Lake(paths.lake, settings.market)
    reports = audit(lake)
    _table(
        f"Audit of the lake · {settings.market} market",
        ["dataset", "version", "files", "rows", "broken rows", "rules broken"],
        [
            [r.dataset, str(r.version), str(r.files), f"{r.rows:,}", f"{r.broken:,}", ", ".join(r.rules) or "none"]
            for r in reports
        ],
    )
    quarantined = [[name, rule, f"{rows:,}", newest] for name, rule, rows, newest in kept_out(lake)]
    if quarantined:
        _table("In quarantine, never repaired", ["dataset", "rule", "rows", "newest"], quarantined, numbers_from=2)
    for name in dict.fromkeys(name for name, rule, *_ in quarantined if rule == "second_source"):
        widest = differences(lake, dataset(name)).head(10)
        rows = [
            ["" if value is None else str(value) for value in (*row[:-1], f"{row[-1]:.2%}")] for row in widest.rows()
        ]
        _table(
            f"{name}: a second source says otherwise, the widest first",
            widest.columns,
            rows,
            numbers_from=len(widest.columns) - 1,
        )
    if any(r.broken for r in reports):
        raise WorkbenchError("the lake holds rows that break a rule (see above); publish a correction: docs/lake.md")


@app.command()
def report(strategy: Strategies = None, set_: Set = None) -> None:
    """Write the comparison report of the newest backtest as one HTML file."""
    from workbench.reports.export import export_html

    paths, settings = _settings(set_, strategy)
    result = _run("backtest", settings, paths, fresh=False)
    step = result.step("report")
    page = export_html(step.notebook, paths.reports / f"{result.run_id}.html", settings.market)
    print(f"report: {paths.short(page)}")


@app.command()
def ui(port: int = 5000, browser: bool = True, set_: Set = None) -> None:
    """Start the MLflow UI on the comparison of the newest runs."""
    from workbench.registry.ui import serve

    paths, settings = _settings(set_)
    serve(paths, settings, port=port, open_browser=browser)


@app.command()
def lookahead(
    strategy: Annotated[list[str] | None, typer.Argument(metavar="[STRATEGY]...")] = None,
    feature: Annotated[list[str] | None, typer.Option("--feature", help="Only this feature; repeat for more.")] = None,
    json: Annotated[str, typer.Option("--json", metavar="FILE", help="Write the reports as JSON, too.")] = "",
    set_: Set = None,
) -> None:
    """Check that no strategy and no feature reads ahead: all of them, or those named."""
    from workbench.backtest.lookahead.survey import lines, survey, write_json

    paths, settings = _settings(set_)
    reports = []
    for report in survey(settings, paths, strategy or (), feature or ()):
        reports.append(report)
        print(report.line, file=sys.stderr, flush=True)
    if json:
        write_json(reports, json)
    found = lines(reports)
    _table(
        f"Look-ahead guard · {settings.market} market",
        ["name", "checks", "cells", "dates tried", "verdict"],
        [[each.name, each.checks, str(len(each.reports)), f"{each.tried:,}", each.verdict] for each in found],
        numbers_from=2,
    )
    sentences = [f"{kind}: {text}" for each in found for kind, text in each.findings.items()]
    for sentence in sentences:
        print(f"✗ {sentence}")
    if sentences:
        raise WorkbenchError(f"{len(sentences)} to mend, see above; what each means: docs/lookahead.md")
    print("Nothing reads ahead.")


@app.command(name="new-strategy")
def new_strategy(name: Annotated[str, typer.Argument()] = "") -> None:
    """Write a strategy, its parameters and its test."""
    from workbench.params import Paths
    from workbench.scaffold import new_strategy as write

    paths = Paths()
    for file in write(name, paths):
        print(f"wrote {paths.short(file)}")
    print(f"\nNext: make backtest STRATEGY={name}   then edit weights() in the first file and run it again")


@app.command()
def doctor() -> None:
    """Check this machine and clone, and say what to mend."""
    from rich.console import Console
    from rich.table import Table

    from workbench.doctor import examine
    from workbench.params import Paths

    findings = examine(Paths())
    table = Table(box=None, show_header=False, padding=(0, 1))
    for finding in findings:
        sign = "[red]✗[/]" if finding.mend else "[green]✓[/]"
        table.add_row(sign, finding.what, finding.found + (f"  → {finding.mend}" if finding.mend else ""))
    Console().print(table)
    wrong = sum(1 for finding in findings if finding.mend)
    if wrong:
        raise WorkbenchError(f"{wrong} to mend, see the arrows above")
    print("\nAll well. Next: make backtest")


@app.command()
def runs() -> None:
    """List the pipeline runs: when, how long, what failed, where the notebooks are."""
    from workbench.params import Paths
    from workbench.pipeline import run_history

    paths = Paths()
    history = run_history(paths)
    if not history:
        print("no runs yet: make backtest")
        return
    rows = [[h.run_id, h.status, f"{h.seconds:.0f} s", h.summary, paths.short(h.folder)] for h in history[:20]]
    _table("Pipeline runs, newest first", ["run", "status", "took", "steps", "folder"], rows)


@app.command()
def trials(set_: Set = None) -> None:
    """Show what was tried for each question, and check that nothing was taken out of the ledger."""
    from textwrap import shorten

    from workbench.backtest.trials import Ledger, Question
    from workbench.registry.counting import kept_heads
    from workbench.registry.runs import Tracking

    paths, settings = _settings(set_)
    ledger = Ledger(paths.trials)
    heads = kept_heads(Tracking(settings, paths))
    chain = ledger.verify(heads)
    if not chain.batches:
        print("nothing was tried yet: make backtest")
        return
    rows = []
    for q in ledger.questions().to_dict("records"):
        bets = ledger.effective(Question(q["text"], q["market"])).trials
        numbers = [f"{number:,}" for number in (q["trials"], q["failed"], bets)]
        rows.append([shorten(q["text"], 60, placeholder=" …"), q["market"], q["strategies"], *numbers, q["last"][:10]])
    columns = ["question", "market", "strategies", "trials", "failed", "different bets", "last"]
    _table(f"Trials · {paths.short(paths.trials)}", columns, rows, numbers_from=3)
    print(
        f"whole: {chain.trials:,} trials in {chain.batches:,} batches, head {chain.head[:12]}; "
        f"{len(heads)} runs keep a head of it"
    )


@app.command()
def lake(set_: Set = None) -> None:
    """Show the tables of the lake: versions, rows, dates, quarantine."""
    paths, settings = _settings(set_)
    _show_lake(settings, paths)


def _settings(overrides: list[str] | None, strategies: list[str] | None = None) -> tuple[Paths, Settings]:
    from workbench.params import Paths, load_settings, load_strategy_params

    paths = Paths()
    settings = load_settings(paths, overrides or [])
    if strategies:
        settings = settings.model_copy(update={"strategies": tuple(dict.fromkeys(strategies))})
    for name in settings.strategies:
        load_strategy_params(name, paths)
    return paths, settings


def _run(name: str, settings: Settings, paths: Paths, fresh: bool) -> RunResult:
    from workbench.data.log import states
    from workbench.pipeline import run_pipeline

    def recorder() -> Callable[[RunResult], object]:
        from workbench.registry.runs import PIPELINES, Tracking

        tracking = Tracking(settings, paths)
        tracking.experiment_id(PIPELINES)  # MLflow takes seconds to import and to make its tables
        return tracking.record_pipeline

    versions = partial(states, paths.lake / settings.market)
    return run_pipeline(name, settings, paths, table_versions=versions, fresh=fresh, recorder=recorder)


def _show_ranking(result: RunResult, paths: Paths) -> None:
    from workbench.backtest.text import chance

    outputs = result.step("compare").outputs
    rows = []
    for place, row in enumerate(outputs["ranking"], start=1):
        low, high = row["sharpe_low"], row["sharpe_high"]
        figures = (
            f"{row['sharpe']:.2f}",
            f"{low:.2f} … {high:.2f}",
            f"{row['in_sample']:.2f}",
            f"{row['trials']}",
            *(chance(row[name], 0) for name in ("dsr", "pbo")),
            f"{row['cagr']:+.1%}",
            f"{row['volatility']:.1%}",
            f"{row['max_drawdown']:.1%}",
            f"{row['turnover']:.0f}×",
            f"{row['cost_per_year']:.2%}",
            f"{row['good_folds']}/{row['folds']}",
        )
        rows.append([str(place), row["strategy"], *figures])
    print()
    _table(
        f"Out of sample, after costs · {outputs['first']} to {outputs['last']} · {outputs['market']} market",
        [
            *("#", "strategy", "Sharpe", "95 %", "in sample", "trials", "DSR", "PBO"),
            *("CAGR", "vol", "max DD", "turnover", "costs/yr", "folds > 0"),
        ],
        rows,
        numbers_from=2,
    )
    for row in outputs["ranking"]:
        if row["missing"]:
            print(f"{row['strategy']}: {row['missing']}")
    if outputs["market"] == "sample":
        print(MADE)
    print()
    for row in outputs["ranking"]:
        print(f"  tear sheet  {row['tearsheet']}")
    print(f"  notebooks   {paths.short(result.folder)}/")
    print("\nNext: make ui (compare the runs) · make report (one HTML page) · make lab (play with a parameter)")


def _show_sweep(found: Found, left: Left, paths: Paths) -> None:
    from workbench.backtest.text import number, percent, short
    from workbench.search.page import verdict
    from workbench.search.report import next_lines

    columns = ["plateau", "train_score", "train_worst", "train_turnover", "test_score"]
    rows = [
        [short(row[name]) for name in found.varied] + [number(float(row[name])) for name in columns]
        for row in found.table.head(8).to_dict("records")
    ]
    print()
    _table(
        f"The best plateaus of {found.cells:,} cells · {found.select_by} · {found.market} market",
        [*found.varied, *columns],
        rows,
        numbers_from=0,
    )
    luck, strategy = found.luck, found.asked.strategy
    print(found.terrain.sentence)
    print(verdict(found))
    print(
        f"Trials in the ledger for this question: {luck.trials:,}, different bets among them: {luck.bets:,}. "
        f"Deflated Sharpe ratio {percent(luck.dsr)}, probability of overfitting {percent(luck.pbo)}."
    )
    if found.market == "sample":
        print(MADE)
    print(f"\n  page   {paths.short(left.page)}\n  table  {paths.short(found.folder)}/table.parquet")
    print(f"\nNext: put the plateau into params/strategies/{strategy}.yaml,\n{next_lines(found)}")
    print(f"then walk it forward: make backtest STRATEGY={strategy}   (make ui: experiment 'sweep')")


def _show_lake(settings: Settings, paths: Paths) -> None:
    from workbench.data.inventory import inventory
    from workbench.data.lake import Lake

    rows = [
        [f.dataset, str(f.version), f"{f.rows:,}", f.first, f.last, f"{f.size_mb:.1f}", f"{f.quarantined:,}"]
        for f in inventory(Lake(paths.lake, settings.market))
    ]
    if not rows:
        first = "make data" if settings.market == "sample" else "stage what you have, then make data (docs/lake.md)"
        print(f"the lake of the {settings.market} market is empty: {first}")
        return
    _table(
        f"The lake · {settings.market} market · {paths.short(paths.lake / settings.market)}/",
        ["dataset", "version", "rows", "first", "last", "MB", "quarantined"],
        rows,
    )


def _table(title: str, columns: list[str], rows: list[list[str]], numbers_from: int = 1) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number >= numbers_from else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console()
    # Piped into a file or a log, a table is as wide as it needs to be.
    Console(width=None if console.is_terminal else 160).print(table)


def _fail(message: str, code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
