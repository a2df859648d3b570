"""What weights may share out: money goes to strategies that stand, for what their own evidence measured."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.registry.gates.case import PAYLOAD
from workbench.registry.gates.facts import Facts, Unknown
from workbench.registry.lifecycle.desk import Desk
from workbench.registry.lifecycle.stages import PAPER, PRODUCTION, STAGED, TRADED
from workbench.registry.lifecycle.state import State
from workbench.registry.packs.pack import Pack
from workbench.registry.storing import STRATEGY

WEIGHTS = "weights"  # the kind of pack
STATISTICS = "statistics.json"
# One account with money trades both, the higher stage of a name first; so the weights of either name both.
WITH_MONEY = (PRODUCTION, STAGED)
AS_WRITTEN = 0.01  # so near must a Sharpe ratio be to the one of the evidence


def unproven_shares(
    desk: Desk, pack: Pack, to_stage: str, again: str, champion: Pack | None = None, *, restores: bool = False
) -> list[str]:
    """Say which strategies are given money without standing that far, or for more than their evidence showed.

    What the weights say to better is measured: against the ``champion``'s, or equal ones where none stand. It was
    written for the first step; where others stand at a later one, it must still be something. Who is restored takes
    nobody's place.
    """
    try:
        payload = _payload(pack)
        given = _given(payload)
        claimed = {name: payload.at("strategies").at(name).at("sharpe").number() for name in given}
        signals = {name: payload.at("strategies").at(name).at("signals").count() for name in given}
        better = payload.at("expected_improvement").number()
    except (Unknown, StopIteration):  # the gates say what is wrong with it
        return []
    reaches, states = WITH_MONEY if to_stage in WITH_MONEY else TRADED, desk.record.states()
    found = []
    packs: dict[str, Pack] = {}
    for name in given:
        state = states.get((STRATEGY, name))
        stage = _stage(state, reaches)
        if state is None or not stage:
            found.append(
                f"the weights give '{name}' money, which does not stand at {' or '.join(reaches)}; promote it first, "
                f"or: {again}"
            )
            continue
        packs[name] = evidence = desk.candidate(state, state.standing[stage].version).pack
        try:
            out = Facts(evidence.json(STATISTICS), STATISTICS).at("out_of_sample")
            shown, trades = out.at("sharpe").number(), out.at("trades").count()
        except Unknown as error:  # it was forced into paper without one
            found.append(
                f"the weights give '{name}' money, whose evidence at {stage} shows no Sharpe ratio or trades "
                f"({error}); leave {name} out, then: {again}"
            )
            continue
        if abs(shown - claimed[name]) > AS_WRITTEN:
            found.append(
                f"the weights say that {name} has a Sharpe ratio of {claimed[name]:g}, its evidence at {stage} says "
                f"{shown:.2f}; write that, then: {again}"
            )
        if signals[name] > trades:
            found.append(
                f"the weights say that {name} gave {signals[name]:,} signals, its evidence at {stage} has {trades:,} "
                f"trades; write no more, then: {again}"
            )
    if found or restores:
        return found
    from workbench.registry.lifecycle.improvement import improvement  # with tables to read: a demotion needs none

    try:
        before = _given(_payload(champion)) if champion else {}
        for name in before:
            state = states.get((STRATEGY, name))
            stage = _stage(state, reaches)
            if state and stage and name not in packs:
                packs[name] = desk.candidate(state, state.standing[stage].version).pack
        before = {name: share for name, share in before.items() if name in packs}  # who left is paid no more
        measured = improvement(packs, given, before or dict.fromkeys(given, 1.0))
    except (Unknown, StopIteration) as error:
        return [f"what the weights better cannot be measured: {error}; mend that, then: {again}"]
    of = "the weights of now" if before else "equal ones"
    if to_stage != PAPER and round(measured, 2) <= 0.0:
        return [
            f"the weights better nothing at {to_stage}: by the strategies' returns out of sample it is {measured:+.2f} "
            f"of Sharpe ratio over {of}; others, then: {again}"
        ]
    if to_stage != PAPER or abs(measured - better) <= AS_WRITTEN:
        return []
    return [
        f"the weights say that they better the Sharpe ratio by {better:g}; by the strategies' returns out of sample it "
        f"is {measured:+.2f} over {of}; write that, then: {again}"
    ]


def _payload(pack: Pack) -> Facts:
    return next(Facts(pack.json(path), path) for path in sorted(pack.files) if path.startswith(PAYLOAD))


def _given(payload: Facts) -> dict[str, float]:
    return {name: share.number() for name, share in payload.at("weights").items()}


def _stage(state: State | None, reaches: Sequence[str]) -> str:
    return next((one for one in reaches if state and one in state.standing), "")
