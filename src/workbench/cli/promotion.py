"""Promotion: the step itself, approvals, what undoes it, and what stands where."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.edge import MADE, Set, show_folding, show_verdicts
from workbench.errors import PromotionRefused, WorkbenchError
from workbench.registry.packs.lines import promote_line, typed

if TYPE_CHECKING:
    from workbench.registry.lifecycle.demote import Checked
    from workbench.registry.lifecycle.desk import Desk
    from workbench.registry.lifecycle.evaluation import Evaluation
    from workbench.registry.lifecycle.state import State
    from workbench.registry.lifecycle.status import Line

Name = Annotated[str, typer.Argument(metavar="STRATEGY", help="A strategy, or what --kind names.")]
Kind = Annotated[str, typer.Option(help="strategy, weights, risk or prompt.")]
Version = Annotated[int | None, typer.Option("--version", help="Without it: the newest that is not retired.")]
Stopped = Annotated[int | None, typer.Option("--version", help="Without it: the one that stands, where only one does.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays in the record.")]
Positions = Annotated[str, typer.Option(help="What becomes of open positions: keep, reduce_only or flatten.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def promote(
    strategy: Name,
    version: Version = None,
    kind: Kind = "strategy",
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show everything, write nothing.")] = False,
    force: Annotated[
        str | None, typer.Option("--force", metavar="REASON", help="To paper only: although a gate fails.")
    ] = None,
    set_: Set = None,
) -> None:
    """Take the next step of a candidate: gates, champion, approvals, confirmation."""
    from workbench.registry.lifecycle.evaluation import evaluate
    from workbench.registry.lifecycle.promote import commit, propose, rule
    from workbench.registry.lifecycle.proven import choose_proven

    desk = _desk(set_)
    state = _state(desk, kind, strategy)
    found = evaluate(desk, state, choose_proven(desk, state, version))
    _show_evaluation(found)
    _show_champion(found)
    ruling = rule(found, force)
    if ruling.forced:
        print(f"\nFORCED: {ruling.reason} (stays visible in every report)")
    if ruling.waits and not dry_run:
        propose(desk, ruling)
        _say_who_signs(desk, found)
    if ruling.refusal:
        raise PromotionRefused(ruling.refusal)
    if dry_run:
        print("\nAll is there; nothing was written (--dry-run).")
        return
    print(f"\nApproved by {', '.join(found.signed.names)}." if found.signed.names else "\nNo approval is asked for.")
    step = f"{strategy} version {found.version} from {found.step.from_stage} to {found.step.to_stage}"
    _confirm(f"Move {step}?", yes)
    done = commit(_desk(set_), ruling)  # at the moment of the answer
    print(f"{strategy}: {done.sentence} (transition {done.number}, pack {done.pack[:12]})")
    back = ""
    if done.replaces:
        print(f"It replaces version {done.replaces}.")
        back = f" · back to version {done.replaces}: {typed('rollback', kind, strategy)} --stage {done.to_stage}"
    print(f"\nNext: make status{back}")


def approve(
    strategy: Name,
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="Who you are: the name of your key.")],
    version: Version = None,
    kind: Kind = "strategy",
    reason: Reason = "",
    yes: Yes = False,
    set_: Set = None,
) -> None:
    """Read the verdicts of the newest proposal, and sign it; ledger and records stay on the machine that promotes."""
    from workbench.registry.lifecycle.evaluation import proposed
    from workbench.registry.lifecycle.promote import approve as sign
    from workbench.registry.lifecycle.proven import choose_proven
    from workbench.registry.packs.keys import needs_passphrase

    desk = _desk(set_)
    state = _state(desk, kind, strategy)
    found = proposed(desk, state, choose_proven(desk, state, version))
    _show_evaluation(found)
    signable = found.stored and not found.voids
    if signable and not yes and sys.stdin.isatty() and not typer.confirm(f"Sign {found.proposal.step} as {name}?"):
        raise PromotionRefused("nothing was signed")
    words = typer.prompt(f"passphrase of {name}", hide_input=True) if needs_passphrase(name, desk.paths) else ""
    made = sign(desk, found, name, reason, words)
    print(f"\n{name} approved {found.proposal.step} (proposal {made.proposal[:12]}, key {made.key})")
    again = proposed(desk, state, found.version)
    step = promote_line(kind, strategy, found.version)
    print(f"It waits for {again.waits_for}." if again.waits_for else f"Next: {step}")


def rollback(
    strategy: Name,
    kind: Kind = "strategy",
    stage: Annotated[str, typer.Option(help="paper, staged_live or production.")] = "production",
    positions: Positions = "keep",
    reason: Reason = "",
    yes: Yes = False,
    set_: Set = None,
) -> None:
    """Return to the version that stood at a stage before, in one step."""
    from workbench.registry.lifecycle.rollback import plan_rollback, roll_back
    from workbench.registry.lifecycle.stages import POSITIONS

    desk = _desk(set_)
    state = desk.known(kind, strategy)
    plan = plan_rollback(desk, state, stage, positions)
    print(f"{strategy} {stage}: version {plan.instead_of or 'none'} → version {plan.version}")
    print(f"  pack {plan.pack.digest}, every byte verified; approved by {', '.join(plan.names)}")
    print(f"  positions: {POSITIONS[positions]}")
    if plan.mode != "active" and positions != plan.mode:
        print("  it was reduce-only when it left, and stays so until a new approval")
    _confirm(f"Roll {stage} back to version {plan.version}?", yes)
    print(f"{strategy}: {roll_back(desk, plan, reason).sentence}")
    _say_in_force(kind, strategy, plan.version if plan.mode == "active" else 0, stage)


def retire(
    strategy: Name,
    version: Stopped = None,
    kind: Kind = "strategy",
    reason: Reason = "",
    positions: Positions = "keep",
    yes: Yes = False,
    set_: Set = None,
) -> None:
    """Take a version out for good; no rollback brings it back."""
    from workbench.registry.lifecycle.rollback import check_positions, choose_standing, reason_of
    from workbench.registry.lifecycle.rollback import retire as take_out
    from workbench.registry.lifecycle.stages import LEFT, TRADED

    desk = _desk(set_)
    state = desk.known(kind, strategy)
    number = choose_standing(state, version, "retire")
    reason_of(reason)
    check_positions(positions)
    if state.versions[number].stage in TRADED:
        print(f"version {number} stands at {state.versions[number].stage}; {LEFT[positions]}")
    _confirm(f"Retire {strategy} version {number} for good?", yes)
    print(f"{strategy}: {take_out(desk, state, number, reason, positions).sentence}")
    if state.versions[number].stage in TRADED:
        _say_in_force(kind, strategy)


def demote(
    strategy: Annotated[str, typer.Argument(metavar="[STRATEGY]")] = "",
    version: Stopped = None,
    kind: Kind = "strategy",
    reason: Reason = "",
    check: Annotated[bool, typer.Option("--check", help="Judge by the rules; of all strategies, or of one.")] = False,
    set_: Set = None,
) -> None:
    """Set a version to reduce-only where it stands: by hand with a reason, or by the rules."""
    from workbench.errors import InputRefused
    from workbench.registry.lifecycle.demote import demote as reduce
    from workbench.registry.lifecycle.rollback import choose_standing

    desk = _desk(set_)
    if check:
        _check(desk, kind, strategy)
        return
    if not strategy:
        raise InputRefused(
            "demote: name a strategy and a --reason, or let the rules judge all: workbench demote --check"
        )
    state = desk.known(kind, strategy)
    done = reduce(desk, state, choose_standing(state, version, "demote"), reason)
    lifted = promote_line(kind, strategy, done.version)
    may = "its limits loosen nothing" if kind == "risk" else "it may only reduce positions"
    _say_in_force(kind, strategy)
    print(f"{strategy}: {done.sentence}; {may} until a new approval lifts that:")
    print(f"  {lifted}")


def show_promotions(kind: str, set_: list[str] | None) -> None:
    """Show what stands where, how old its evidence is, and who approved it; a broken record is an error."""
    from workbench.registry.lifecycle.status import status as look

    desk = _desk(set_)
    found = look(desk, kind)
    kinds = ["kind"] if len({line.kind for line in found.lines}) > 1 else []
    columns = ["name", "stage", "v", "mode", "market", "evidence", "DSR", "trials", "approved by", "pack"]
    show_folding(
        f"Promotions · {desk.settings.market} market · record {desk.record.shown}",
        [*kinds, *columns],
        [[line.kind for _ in kinds] + _cells(line) for line in found.lines],
    )
    for note in found.notes:
        print(f"! {note}")
    if found.broken:
        raise WorkbenchError(found.broken[0])
    if not any(line.version for line in found.lines):
        print("nothing was promoted yet: make evidence STRATEGY=…, then make promote STRATEGY=…")


def _desk(set_: list[str] | None) -> Desk:
    from workbench.params import Paths, load_settings
    from workbench.registry.lifecycle.desk import Desk

    paths = Paths()
    return Desk.open(load_settings(paths, set_ or []), paths)


def _state(desk: Desk, kind: str, name: str) -> State:
    """Return a name's state; a step that was cut off is finished first, and new packs become versions."""
    for step in desk.finish(kind, name):
        print(f"finished what was cut off: {name}: {step.sentence} is shown in MLflow now")
    state = desk.state(kind, name)
    model = desk.models.find(kind, name)
    for line in (*model.differing(state), *model.unrecorded(state)):
        print(f"! {line}")
    return state


def _check(desk: Desk, kind: str, name: str) -> None:
    from workbench.registry.lifecycle.demote import check as judge

    rows: list[list[str]] = []
    demoted: list[str] = []
    failed: list[str] = []
    limits: list[str] = []
    for (of, called), state in sorted(desk.record.states().items()):
        if name and (of, called) != (kind, name):
            continue
        for one in judge(desk, state):
            demoted += [promote_line(of, called, one.version)] if one.demoted is not None else []
            limits += [called] if of == "risk" and one.demoted is not None else []
            failed += [one.failed] if one.failed else []
            rows.append(
                [called, one.stage, str(one.version), one.seen, _verdict(one), "; ".join(one.wrong) or one.soon]
            )
    if not rows:
        print(f"{name or 'nothing'}: stands at no stage where it trades; nothing to check")
        return
    show_folding("Demotion rules", ["name", "stage", "v", "judged by", "verdict", "why"], rows)
    for line in failed:
        print(f"! {line}")
    for called in limits:
        _say_in_force("risk", called)
    if demoted:
        raise PromotionRefused(
            f"{len(demoted)} set to reduce-only, see the table; new approvals lift it: {'; '.join(demoted)}"
        )
    if failed:
        raise WorkbenchError(f"demote --check: {failed[0]}{_more(failed)}")


def _say_in_force(kind: str, name: str, stands: int = 0, stage: str = "") -> None:
    """Say what becomes of the limits in force where the promoted ones are others now, or none."""
    if kind != "risk":
        return
    from workbench.live.operator import PROFILES, asked_at

    asked, file = asked_at(name), f"params/risk/{name}.yaml"
    of = " and ".join(f"{mode} accounts ask '{name}' at {where}" for mode, where in asked.items())
    if not asked:
        read = ", ".join(f"{mode} ones '{profile}'" for mode, profile in PROFILES.items())
        print(f"No account asks for limits named '{name}', so these bind none: {read}.")
    elif stands and stage not in asked.values():
        print(f"No account asks for limits at {stage}, so what is in force stays as it is: {of}.")
    elif "embedded" in asked:  # it keeps none between two starts
        bound = f", and nothing looser than version {stands}" if stands else ""
        print(f"The embedded account begins at what {file} says{bound}, the next time that it trades.")
    elif stands:
        print(f"From the next session on nothing looser than version {stands} is in force; with its numbers in {file}")
        print(f"nothing looser is within a minute. It is asked by its stage: {of}.")
    else:
        print(f"What is in force stays as it is; to tighten it within a minute, write the numbers into {file}.")
    print("See what is in force: workbench limits")


def _verdict(one: Checked) -> str:
    if one.demoted is not None:
        return "✗ reduce-only"
    if one.failed:
        return "? not demoted" if one.wrong else "? not judged"
    return "✗ reduce-only already" if one.wrong else "✓ goes on"


def _more(lines: list[str]) -> str:
    return f" and {len(lines) - 1} more, see above" if len(lines) > 1 else ""


def _show_evaluation(found: Evaluation) -> None:
    pack = found.pack
    title = (
        f"{found.state.name} version {found.version} · {found.step.from_stage} → {found.step.to_stage} · "
        f"{pack.market} market{' · SIMULATED TIME' if pack.simulated else ''} · pack {pack.digest[:12]}"
    )
    show_verdicts(title, map(vars, found.verdicts))
    for void in found.voids:
        print(f"  ✗ {void}")
    for line in found.told:
        print(f"  ! {line}")
    if found.outdated:
        print(f"  the proposal before this one, and its signatures, count no more: {found.outdated}")
    for refusal in found.signed.refusals:
        print(f"  ✗ {refusal}")
    if pack.market == "sample":
        print(MADE)


def _show_champion(found: Evaluation) -> None:
    if found.champion is None or found.champion.kind != "strategy":
        return
    from workbench.registry.lifecycle.champion import compare

    compared = compare(found.champion, found.pack)
    if compared is None:
        print(f"\nChampion version {found.champion_version}: one of the packs has no result to compare.")
        return
    print()
    columns = ["", f"champion: version {found.champion_version}", f"challenger: version {found.version}"]
    show_folding(
        "Champion against challenger", columns, [[row.what, row.champion, row.challenger] for row in compared.rows]
    )
    for line in compared.lines():
        print(line)


def _say_who_signs(desk: Desk, found: Evaluation) -> None:
    from workbench.registry.lifecycle.promote import may_sign

    print(f"\nProposal {found.proposal.digest[:12]} stands until {found.proposal.expires_at:%Y-%m-%d %H:%M} UTC.")
    if found.signed.names:
        print(f"Approved so far by {', '.join(found.signed.names)}.")
    people = may_sign(desk, found)
    if not people:
        print(
            f"Nobody else in {desk.approvers.shown} may approve {found.step.to_stage}: workbench keys new NAME, then "
            "add the line that it prints"
        )
        return
    print("Each approver types, on the machine with their key:")
    why = ' --reason "…"' if found.reviewed else ""
    step = typed("approve", found.state.kind, found.state.name, found.version)
    for approver in people:
        print(f"  {step} --as {approver.name}{why}")


def _cells(line: Line) -> list[str]:
    from workbench.backtest.text import chance

    old = "" if line.age_days is None else f"{line.age_days} d, until {line.expires}"
    return [
        line.name,
        line.stage + (" (forced)" if line.forced else ""),
        str(line.version or ""),
        line.mode,
        line.market,
        old,
        "" if line.dsr is None else chance(line.dsr),
        "" if line.trials is None else f"{line.trials:,}",
        ", ".join(line.names),
        line.pack,
    ]


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise PromotionRefused(f"{question} nobody is here to answer; nothing was moved; say --yes to go on")
    if not typer.confirm(question):
        raise PromotionRefused("nothing was moved")
