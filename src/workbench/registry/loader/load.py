"""From a stage to the object that is traded: record, bytes, digests, signatures, rules, and only then the strategy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from workbench.clock import read_clock
from workbench.errors import (
    DataRefused,
    InputRefused,
    NoData,
    PackRefused,
    PromotionRefused,
    WorkbenchError,
    did_you_mean,
)
from workbench.params import Paths, Settings
from workbench.registry.connection import Connection
from workbench.registry.lifecycle.record import Lifecycle
from workbench.registry.lifecycle.stages import ACTIVE, REDUCE_ONLY, TRADED
from workbench.registry.lifecycle.state import Standing, State, fold
from workbench.registry.loader.account import AccountMode
from workbench.registry.loader.cache import Cache
from workbench.registry.loader.fetch import Away, fetch
from workbench.registry.loader.memory import Memory, Seen
from workbench.registry.loader.rules import Agreed, Asked, agree
from workbench.registry.packs.approvers import Approvers
from workbench.registry.packs.candidate import candidate_from
from workbench.registry.packs.canonical import sha256, short
from workbench.registry.packs.lines import promote_line
from workbench.registry.packs.pack import KINDS, Pack
from workbench.registry.storing import STRATEGY
from workbench.sizing_params import SizingParams
from workbench.strategies.classes import build
from workbench.strategies.protocol import Strategy

FOLDER = "loader"
PARAMS, PAYLOAD, REASON = "params.json", "payload/", "reason.json"
Source = Literal["mlflow", "cache"]
States = Mapping[tuple[str, str], State]


@dataclass(frozen=True)
class _Verified:
    """Evidence that holds; in mode ``reduce_only`` positions may only shrink, ``limits`` bound what a stage may do."""

    pack: Pack
    version: int
    stage: str
    mode: str
    limits: Mapping[str, Any]
    source: Source
    approved_by: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def reduce_only(self) -> bool:
        """Whether nothing new may be opened."""
        return self.mode == REDUCE_ONLY


@dataclass(frozen=True)
class Loaded(_Verified):
    """A strategy that may be traded at its stage, and why it may."""

    strategy: Strategy


@dataclass(frozen=True)
class LoadedPayload(_Verified):
    """Promoted data, such as risk limits: the file's name and its bytes."""

    file: str
    content: bytes = field(repr=False)


def load(
    name: str,
    stage: str,
    *,
    account: AccountMode,
    settings: Settings,
    paths: Paths,
    approvers: Approvers,
    now: datetime,
) -> Loaded:
    """Return the strategy that stands at a stage, built by the installed code from verified parameters, or refuse."""
    found = _Door(settings, paths, approvers).open(_asked(STRATEGY, name, stage, account, settings, paths, now))
    return Loaded(**vars(found), strategy=_strategy(found.pack))


def load_payload(
    kind: str,
    name: str,
    stage: str,
    *,
    account: AccountMode,
    settings: Settings,
    paths: Paths,
    approvers: Approvers,
    now: datetime,
) -> LoadedPayload:
    """Return the bytes of the weights, risk limits or prompt that stand at a stage, or refuse."""
    if kind not in KINDS or kind == STRATEGY:
        known = [one for one in KINDS if one != STRATEGY]
        raise InputRefused(f"loader: kind '{kind}' is none of {', '.join(known)}; a strategy is loaded by its name")
    found = _Door(settings, paths, approvers).open(_asked(kind, name, stage, account, settings, paths, now))
    file = _payload(found.pack)
    return LoadedPayload(**vars(found), file=file.removeprefix(PAYLOAD), content=found.pack.read(file))


def stands(kind: str, name: str, stage: str, *, settings: Settings, paths: Paths) -> int:
    """Return which version stands at a stage and is not reduce-only, or 0: what the record says, unverified."""
    found = Lifecycle.open(settings, paths).current(kind, name, stage)
    return found.version if found is not None and found.mode == ACTIVE else 0


@dataclass(frozen=True)
class _Door:
    settings: Settings
    paths: Paths
    approvers: Approvers

    def open(self, asked: Asked) -> _Verified:
        """Return what stands at a stage, verified."""
        _check(asked)
        folder = self.paths.state / FOLDER
        memory = Memory(folder, self.paths.short(folder))
        states, seen = self._states(asked, memory)
        state = states.get((asked.kind, asked.name), State(asked.kind, asked.name))
        standing = state.standing.get(asked.stage)
        if standing is None:
            raise NoData(_nothing_there(asked, state))
        files, source, warnings = self._files(asked, standing, Cache(folder))
        where = f"{asked.name} version {standing.version} ({source})"
        manifest = files.get("pack/manifest.json", b"")
        if manifest and sha256(manifest) != standing.pack:
            raise PackRefused(
                f"{where}: holds pack {short(sha256(manifest))}, the record names {short(standing.pack)}; it was "
                "exchanged: restore mlruns/ from a backup, or make the evidence again"
            )
        candidate = candidate_from(files, where)
        agreed = agree(asked, standing, candidate, self.approvers)
        if source == "mlflow":
            Cache(folder).keep(standing.pack, files, _wanted(states.values()))
        memory.keep(replace(seen, at=asked.now))
        return _verified(candidate.pack, standing, asked, agreed, source, warnings)

    def _states(self, asked: Asked, memory: Memory) -> tuple[States, Seen]:
        """Return every state by a record that is no older than what was seen, and remember that one."""
        record = Lifecycle.open(self.settings, self.paths)
        before = memory.read()
        before.check_clock(asked.now, memory.shown)
        steps = record.transitions()
        before.check_record(steps, record.shown, memory.shown)
        try:
            states = fold(steps)
        except PromotionRefused as error:
            raise DataRefused(
                f"{record.shown}: holds a step that was never allowed ({error}); restore the file from a backup"
            ) from error
        seen = replace(before, transitions=len(steps), head=steps[-1].head if steps else "")
        memory.keep(seen)
        return states, seen

    def _files(
        self, asked: Asked, standing: Standing, cache: Cache
    ) -> tuple[dict[str, bytes], Source, tuple[str, ...]]:
        """Return a candidate's bytes from MLflow or, where that is away, from here, and what to say of it."""
        try:
            connection = Connection(self.settings, self.paths)
            found = fetch(connection, asked.kind, asked.name, standing.version, asked.stage)
        except Away as away:
            kept = cache.read(standing.pack, f"{asked.name} version {standing.version} (cache)")
            if kept is None:
                raise PackRefused(
                    f"{asked.name}: {away}; and no verified copy of pack {short(standing.pack)} is kept here, so "
                    "nothing is loaded; bring MLflow back"
                ) from away
            return kept, "cache", (f"{away}; loaded from the verified copy kept here",)
        return found.files, "mlflow", (found.alias,) if found.alias else ()


def _asked(
    kind: str, name: str, stage: str, account: AccountMode, settings: Settings, paths: Paths, now: datetime
) -> Asked:
    """Return what is asked for; whether time is simulated is read from the project, not believed of the caller."""
    simulated = read_clock(settings.market, paths).simulated
    return Asked(kind, name, stage, account, settings.market, now, simulated)


def _check(asked: Asked) -> None:
    if asked.stage not in TRADED:
        raise InputRefused(f"loader: nothing is traded at stage '{asked.stage}'.{did_you_mean(asked.stage, TRADED)}")
    if not isinstance(asked.account, AccountMode):
        raise InputRefused(f"loader: account {asked.account!r} is none of {', '.join(AccountMode)}")
    if asked.now.tzinfo is None:
        raise InputRefused(f"loader: the moment {asked.now} has no time zone; write datetime.now(UTC)")


def _nothing_there(asked: Asked, state: State) -> str:
    there = (
        ", ".join(f"version {one.version} at {stage}" for stage, one in state.standing.items()) or "nothing anywhere"
    )
    return f"{asked.name}: nothing stands at {asked.stage} ({there}); {promote_line(asked.kind, asked.name)}"


def _wanted(states: Iterable[State]) -> set[str]:
    """Return the packs that stand somewhere or may come back; the others are never loaded again."""
    wanted = set()
    for state in states:
        wanted |= {one.pack for one in state.standing.values()}
        wanted |= {state.versions[number].pack for old in state.replaced.values() for number in old}
    return wanted


def _verified(
    pack: Pack, standing: Standing, asked: Asked, agreed: Agreed, source: Source, warnings: tuple[str, ...]
) -> _Verified:
    return _Verified(
        pack=pack,
        version=standing.version,
        stage=asked.stage,
        mode=standing.mode,
        limits=dict(agreed.proposal.limits),
        source=source,
        approved_by=agreed.names,
        warnings=(*warnings, *agreed.warnings),
    )


def _strategy(pack: Pack) -> Strategy:
    """Return the strategy as the pack's parameters say; what it then is must be what the evidence was made of."""
    facts = pack.json(PARAMS)
    try:
        name, symbols, params = facts["strategy"], facts["symbols"], facts["params"]
        sizing, lookback = SizingParams(**facts["sizing"]), facts["lookback"]
        sound = isinstance(params, dict) and bool(symbols) and all(isinstance(symbol, str) for symbol in symbols)
        if not sound or isinstance(symbols, str):
            raise TypeError("params" if symbols else "symbols")
    except (KeyError, TypeError, ValueError) as error:
        raise PackRefused(
            f"{pack.shown}: {PARAMS} lacks or misspells {str(error).splitlines()[0]}; "
            f"make evidence STRATEGY={pack.name}"
        ) from error
    if name != pack.name:
        raise PackRefused(f"{pack.shown}: {PARAMS} is of '{name}'; make evidence STRATEGY={pack.name}")
    try:
        made = build(name, tuple(symbols), sizing, params)
    except WorkbenchError as error:
        raise PackRefused(f"{pack.shown}: {PARAMS}: {error}") from error
    if (made.lookback, made.symbols) != (lookback, tuple(symbols)):
        raise DataRefused(
            f"{pack.shown}: the strategy looks back {made.lookback} bars, its evidence {lookback}; "
            f"make evidence STRATEGY={pack.name}"
        )
    return made


def _payload(pack: Pack) -> str:
    found = [part for part in pack.parts if part.path.startswith(PAYLOAD)]
    if len(found) != 1:
        raise PackRefused(
            f"{pack.shown}: has {len(found)} files under {PAYLOAD}, it must have one; make the pack again"
        )
    return found[0].path
