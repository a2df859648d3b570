"""What weights may share out: money goes to strategies that stand, for what their own evidence measured."""

from __future__ import annotations

from workbench.registry.gates.case import PAYLOAD
from workbench.registry.gates.facts import Facts, Unknown
from workbench.registry.lifecycle.desk import Desk
from workbench.registry.lifecycle.stages import PRODUCTION, STAGED, TRADED
from workbench.registry.packs.pack import Pack
from workbench.registry.storing import STRATEGY

WEIGHTS = "weights"  # the kind of pack
STATISTICS = "statistics.json"
# One account with money trades both, the higher stage of a name first; so the weights of either name both.
WITH_MONEY = (PRODUCTION, STAGED)
AS_WRITTEN = 0.01  # so near must a Sharpe ratio be to the one of the evidence


def unproven_shares(desk: Desk, pack: Pack, to_stage: str, again: str) -> list[str]:
    """Say which strategies are given money without standing that far, or for another Sharpe ratio than they showed."""
    try:
        payload = next(Facts(pack.json(path), path) for path in sorted(pack.files) if path.startswith(PAYLOAD))
        given = [name for name, _ in payload.at("weights").items()]
        claimed = {name: payload.at("strategies").at(name).at("sharpe").number() for name in given}
    except (Unknown, StopIteration):  # the gates say what is wrong with it
        return []
    reaches, states = WITH_MONEY if to_stage in WITH_MONEY else TRADED, desk.record.states()
    found = []
    for name in given:
        state = states.get((STRATEGY, name))
        stage = next((one for one in reaches if state and one in state.standing), None)
        if state is None or stage is None:
            found.append(
                f"the weights give '{name}' money, which does not stand at {' or '.join(reaches)}; promote it first, "
                f"or: {again}"
            )
            continue
        evidence = desk.candidate(state, state.standing[stage].version).pack
        try:
            shown = Facts(evidence.json(STATISTICS), STATISTICS).at("out_of_sample").at("sharpe").number()
        except Unknown as error:  # it was forced into paper without one
            found.append(
                f"the weights give '{name}' money, whose evidence at {stage} shows no Sharpe ratio ({error}); leave "
                f"{name} out, then: {again}"
            )
            continue
        if abs(shown - claimed[name]) > AS_WRITTEN:
            found.append(
                f"the weights say that {name} has a Sharpe ratio of {claimed[name]:g}, its evidence at {stage} says "
                f"{shown:.2f}; write that, then: {again}"
            )
    return found
