"""Evidence: make the pack of a strategy, or of weights, risk limits and prompts, and say where it lies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.edge import MADE, Fresh, Set, read_settings, run_named, show_verdicts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.params import Paths, Settings

pack = typer.Typer(no_args_is_help=True, help="Evidence packs: where one lies, and packs of what is no strategy.")


def evidence(
    strategy: Annotated[str, typer.Argument(help="The strategy to prove.")], set_: Set = None, fresh: Fresh = False
) -> None:
    """Make a strategy's evidence pack, and show what the gates of the first step say of it."""
    paths, settings = read_settings(set_, [strategy])
    result = run_named("evidence", settings, paths, fresh)
    outputs = result.step(f"evidence-{strategy}").outputs
    print()
    _show(strategy, outputs["stage"], outputs["verdicts"])
    if outputs["market"] == "sample":
        print(MADE)
    version = _register("strategy", strategy, outputs["pack"], settings, paths)
    _show_pack(version, outputs["new"], outputs["pack"], outputs["expires_at"][:10], outputs["folder"])
    print(f"\nNext: make promote STRATEGY={strategy} · notebooks/explore/30_promotion.ipynb (read it as a person)")


@pack.command()
def path(
    name: Annotated[str, typer.Argument(help="A strategy, or the name of weights, risk limits or a prompt.")],
    kind: Annotated[str, typer.Option(help="strategy, weights, risk or prompt.")] = "strategy",
    set_: Set = None,
) -> None:
    """Print the folder of the pack that promote would take, with its proposals and approvals."""
    from workbench.registry.lifecycle.desk import Desk
    from workbench.registry.lifecycle.proven import proven

    paths, settings = read_settings(set_)
    found = proven(Desk.open(settings, paths), kind, name)
    for line in found.wrong:  # beside the path, so that a command may take it
        print(f"! {line}", file=sys.stderr)
    print(found.folder.resolve())  # whole, so that it holds from any folder


@pack.command()
def make(
    name: Annotated[str, typer.Argument(help="What it is called: house_limits.")],
    kind: Annotated[str, typer.Option(help="weights, risk or prompt.")],
    file: Annotated[Path, typer.Option(metavar="FILE", help="The file to promote.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="What changes, and why.")],
    evaluation: Annotated[
        Path | None, typer.Option(metavar="JSON", help="What a prompt was tried on: its cases, passed or not.")
    ] = None,
    set_: Set = None,
) -> None:
    """Make the pack of a file of weights, risk limits or a prompt."""
    from dataclasses import asdict

    from workbench.registry.making.data import make_data_pack

    paths, settings = read_settings(set_)
    made = make_data_pack(kind, name, file, reason, settings, paths, evaluation=evaluation)
    judged = made.judged
    _show(name, judged.stage, [asdict(verdict) for verdict in judged.verdicts])
    version, until = _register(kind, name, judged.pack.digest, settings, paths), f"{judged.pack.expires_at:%Y-%m-%d}"
    _show_pack(version, made.new, judged.pack.digest, until, paths.short(made.folder))


def _register(kind: str, name: str, digest: str, settings: Settings, paths: Paths) -> int:
    """Give the pack a version in the record and in MLflow, unless it has one, and return its number.

    Of a version that is out for good the same evidence moves nothing: what makes a new one is said.
    """
    from workbench.registry.lifecycle.desk import Desk
    from workbench.registry.lifecycle.evaluation import anew
    from workbench.registry.lifecycle.stages import RETIRED

    desk = Desk.open(settings, paths)
    desk.register(kind, name)
    known = desk.record.state(kind, name).with_pack(digest)
    assert known is not None
    if known.stage == RETIRED:
        print(f"! version {known.version} of this evidence is retired: {known.reason}; a new one: {anew(kind, name)}")
    return known.version


def _show(name: str, stage: str, verdicts: Sequence[Mapping[str, Any]]) -> None:
    show_verdicts(f"{name} · the step to {stage}", verdicts)


def _show_pack(version: int, new: bool, digest: str, until: str, folder: str) -> None:
    print(f"\n  version {version}  ({'new' if new else 'made before, and still true'}; until {until})")
    print(f"  pack    {digest}\n  folder  {folder}/")
