"""One look at everything: what stands where, how old its evidence is, who approved, and what is not as it should be."""

from __future__ import annotations

from dataclasses import dataclass, replace

from workbench.errors import DataRefused, InputRefused, WorkbenchError, did_you_mean
from workbench.params import strategy_names
from workbench.registry.lifecycle.card import deflated_sharpe, trials
from workbench.registry.lifecycle.demote import expiring
from workbench.registry.lifecycle.desk import Desk
from workbench.registry.lifecycle.stages import BACKTEST, REDUCE_ONLY, RESEARCH, RETIRED, TRADED
from workbench.registry.lifecycle.state import State, Version
from workbench.registry.packs.canonical import short
from workbench.registry.packs.files import is_there
from workbench.registry.packs.lines import promote_line
from workbench.registry.packs.pack import KINDS
from workbench.registry.storing import DIGEST, NAME, STRATEGY, pack_runs


@dataclass(frozen=True)
class Line:
    """One version, or a name that has none yet; ``forced`` is the reason of a force."""

    kind: str
    name: str
    stage: str
    version: int = 0
    mode: str = ""
    market: str = ""
    age_days: int | None = None
    expires: str = ""
    dsr: float | None = None
    trials: int | None = None
    names: tuple[str, ...] = ()
    forced: str = ""
    pack: str = ""


@dataclass(frozen=True)
class Status:
    """The table, the sentences under it, and what makes the record itself unbelievable."""

    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    broken: tuple[str, ...]


def status(desk: Desk, kind: str = "", name: str = "") -> Status:
    """Return the state of every name, or of one; nothing is written."""
    if kind and kind not in KINDS:
        raise InputRefused(f"--kind '{kind}': there is none of that name.{did_you_mean(kind, KINDS)}")
    states = desk.record.states()
    for strategy in strategy_names(desk.paths):
        states.setdefault((STRATEGY, strategy), State(STRATEGY, strategy))
    lines: list[Line] = []
    notes: list[str] = []
    broken: list[str] = []
    store = desk.models.connection
    there, gone = True, False
    fresh: dict[tuple[str, str], int] = {}
    try:
        gone = store.database is not None and not is_there(store.database, store.shown)
        there = not gone
        fresh = _fresh(desk, states) if there else {}
    except WorkbenchError as error:
        notes.append(f"MLflow cannot be read, this is what the record says alone: {error}")
        there = False
    if gone and any(one.versions for one in states.values()):
        notes.append(f"MLflow: {store.shown} is gone, this is what the record says alone; restore it from a backup")
    for key in sorted(states, key=lambda key: (key[0] != STRATEGY, *key)):
        if (kind and key[0] != kind) or (name and key[1] != name):
            continue
        state = states[key]
        model = desk.models.find(*key) if there else None  # also where the record has nothing: it may be gone
        shown = [state.versions[number] for number in sorted(state.versions, reverse=True)]
        alive = [one for one in shown if one.stage in TRADED]
        newest = [one for one in shown if one.stage == BACKTEST][:1]
        lines += [_line(desk, state, one, notes, there) for one in (*alive, *newest)] or [
            Line(*key, stage=RETIRED if state.versions else RESEARCH)
        ]
        if model is not None:
            notes += [*model.differing(state), *model.unrecorded(state)] if not _half(desk, state, notes) else []
            try:
                desk.record.verify(model.heads())
            except DataRefused as error:
                broken.append(str(error))
        if fresh.get(key):
            notes.append(f"{state.name}: {fresh[key]} new pack{'s' * (fresh[key] > 1)}: {_promote(state)}")
    return Status(tuple(lines), tuple(dict.fromkeys(notes)), tuple(broken))


def _line(desk: Desk, state: State, known: Version, notes: list[str], there: bool) -> Line:
    line = Line(
        kind=state.kind,
        name=state.name,
        stage=known.stage,
        version=known.version,
        mode=known.mode if known.stage in TRADED else "",
        forced=known.forced,
        pack=short(known.pack),
    )
    if known.forced:
        notes.append(f"{state.name} version {known.version}: FORCED into paper: {known.forced}")
    if known.mode == REDUCE_ONLY:
        notes.append(f"{state.name} version {known.version}: reduce-only since {known.at:%Y-%m-%d}: {known.reason}")
    if not there:
        return line
    try:
        candidate = desk.candidate(state, known.version)
        names = desk.names_of(candidate, known.proposal)
    except WorkbenchError as error:
        notes.append(str(error))
        return line
    pack = candidate.pack
    if desk.now >= pack.expires_at:
        notes.append(f"{state.name} version {known.version}: its evidence expired on {pack.expires_at:%Y-%m-%d}")
    elif known.stage in TRADED and (soon := expiring(desk, pack, known.stage)):
        notes.append(f"{state.name} version {known.version}: {soon}")
    return replace(
        line,
        market=pack.market,
        age_days=(desk.now - pack.made_at).days,
        expires=f"{pack.expires_at:%Y-%m-%d}",
        dsr=deflated_sharpe(pack),
        trials=trials(pack),
        names=names,
    )


def _half(desk: Desk, state: State, notes: list[str]) -> bool:
    """Note the steps that MLflow does not show yet; until then its aliases are behind, not moved by hand."""
    waiting = [step for step in desk.record.unshown() if (step.kind, step.name) == (state.kind, state.name)]
    notes += [f"{state.name}: half finished: {step.sentence}; {_promote(state)} finishes it" for step in waiting[-1:]]
    return bool(waiting)


def _fresh(desk: Desk, states: dict[tuple[str, str], State]) -> dict[tuple[str, str], int]:
    """Return how many packs of each name are no version yet."""
    found: dict[tuple[str, str], int] = {}
    for kind in KINDS:
        for run in pack_runs(desk.models.connection, kind):
            key = (kind, run.data.tags[NAME])
            state = states.setdefault(key, State(*key))
            if state.with_pack(run.data.tags[DIGEST]) is None:
                found[key] = found.get(key, 0) + 1
    return found


def _promote(state: State) -> str:
    return promote_line(state.kind, state.name)
