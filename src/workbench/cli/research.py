"""Questions to strategies: search a grid, look for a look-ahead, count what was tried."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.edge import MADE, Set, read_settings, run_named, show_table
from workbench.errors import CannotWrite, InputRefused, WorkbenchError

if TYPE_CHECKING:
    from workbench.params import Paths
    from workbench.search.found import Found
    from workbench.search.report import Left


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
    from workbench.cli.asked import check_walks
    from workbench.params import load_strategy_params, settings_from
    from workbench.search.command import asked_again, search
    from workbench.search.run import recall
    from workbench.search.sweep import Request, asked_grid

    paths, settings = read_settings(set_, [strategy] if strategy else None)
    request, known = Request(strategy, tuple(grid or ()), trials, sampler, seed), None
    if resume:
        if strategy or grid or trials is not None or set_:
            raise InputRefused(f"--resume {resume}: goes on as it was asked for; leave strategy, --grid and --set out")
        asked, file = recall(paths, resume)
        settings, request, known = settings_from(file), asked_again(asked), (resume, asked)
    elif not strategy:
        raise InputRefused(f"sweep: name a strategy, one of {', '.join(settings.strategies)}: make sweep STRATEGY=...")
    asked_grid(request, load_strategy_params(request.strategy, paths))
    check_walks(settings, paths)
    run_named("data", settings, paths, fresh=False)

    def agreed(question: str) -> bool:
        return yes or (sys.stdin.isatty() and typer.confirm(question))

    found, left = search(request, settings, paths, fresh=fresh, resume=known, confirm=agreed, say=print)
    _show_sweep(found, left, paths)


def lookahead(
    strategy: Annotated[list[str] | None, typer.Argument(metavar="[STRATEGY]...")] = None,
    feature: Annotated[
        list[str] | None,
        typer.Option("--feature", help="Only this feature, or one of yours: module:name. Repeat for more."),
    ] = None,
    json: Annotated[str, typer.Option("--json", metavar="FILE", help="Write the reports as JSON, too.")] = "",
    set_: Set = None,
) -> None:
    """Check that no strategy and no feature reads ahead: all of them, or those named."""
    from workbench.backtest.lookahead.survey import check_writable, lines, sentences, survey, write_json

    paths, settings = read_settings(set_)
    if json:
        check_writable(json)
    reports = []
    for report in survey(settings, paths, strategy or (), feature or ()):
        reports.append(report)
        print(report.line, file=sys.stderr, flush=True)
    found = lines(reports)
    show_table(
        f"Look-ahead guard · {settings.market} market",
        ["name", "family", "checks", "cells", "dates tried", "verdict"],
        [
            [each.name, each.family, each.checks, str(len(each.reports)), f"{each.tried:,}", each.column]
            for each in found
        ],
        numbers_from=3,
    )
    for sentence in sentences(found):
        print(sentence)
    if json:
        write_json(reports, json)
    wrong = sum(len(each.findings) for each in found)
    if wrong:
        raise WorkbenchError(f"{wrong} to mend, see above; what each means: docs/lookahead.md")
    if not strategy and not feature:
        print("Features of your own: workbench lookahead --feature module:name")


def trials(
    set_: Set = None,
    lost: Annotated[
        str | None, typer.Option(metavar="WHY", help="Say that trials which runs keep a head of are lost for good.")
    ] = None,
) -> None:
    """Show what was tried for each question, and check that nothing was taken out of the ledger."""
    from textwrap import shorten

    from workbench.backtest.trials import Ledger, Question
    from workbench.registry.connection import Connection
    from workbench.registry.counting import kept_heads, swept_heads

    paths, settings = read_settings(set_)
    ledger, unread = Ledger(paths.trials), ""
    heads = swept_heads(paths)
    try:
        heads = kept_heads(Connection(settings, paths))
    except CannotWrite as error:  # MLflow opens its store for writing only
        unread = f"; the runs could not be asked for theirs: {error}"
    if lost is not None:
        print(f"recorded: {ledger.give_up(lost, heads).sentence}", file=sys.stderr)
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
    show_table(f"Trials · {paths.short(paths.trials)}", columns, rows, numbers_from=3)
    print(
        f"whole: {chain.trials:,} trials in {chain.batches:,} batches, head {chain.head[:12]}; "
        f"{len(heads)} runs keep a head of it{unread}"
    )
    for loss in ledger.losses():
        print(f"✗ {loss.sentence}")


def _show_sweep(found: Found, left: Left, paths: Paths) -> None:
    from workbench.backtest.text import chance, number, short
    from workbench.search.page import verdict
    from workbench.search.report import next_lines

    columns = ["plateau", "train_score", "train_worst", "train_turnover", "test_score"]
    rows = [
        [short(row[name]) for name in found.varied] + [number(float(row[name])) for name in columns]
        for row in found.plateaus.head(8).to_dict("records")
    ]
    print()
    show_table(
        f"The best plateaus of {found.cells:,} cells · {found.select_by} · {found.market} market",
        [*found.varied, *columns],
        rows,
        numbers_from=0,
    )
    luck, strategy = found.luck, found.asked.strategy
    if found.failure:
        print(f"✗ {found.failure}")
    print(found.terrain.sentence)
    print(verdict(found))
    print(
        f"Trials in the ledger for this question: {luck.trials:,}, different bets among them: {luck.bets:,}. "
        f"Deflated Sharpe ratio {chance(luck.dsr)}, probability of overfitting {chance(luck.pbo)}."
    )
    if "trials" in luck.missing:
        print(f"✗ {luck.missing['trials']}")
    if found.market == "sample":
        print(MADE)
    print(f"\n  page   {paths.short(left.page)}\n  table  {paths.short(found.folder)}/table.parquet")
    print(f"\nNext: put the plateau into params/strategies/{strategy}.yaml,\n{next_lines(found)}")
    print(f"then walk it forward: make backtest STRATEGY={strategy}   (make ui: experiment 'sweep')")
