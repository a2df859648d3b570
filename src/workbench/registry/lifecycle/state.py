"""The state of one name: its versions, who stands at each stage, and who stood there before; folded from the record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from workbench.errors import InputRefused, PromotionRefused
from workbench.registry.lifecycle.stages import (
    ACTIVE,
    BACKTEST,
    DEMOTE,
    NEXT,
    PAPER,
    PRODUCTION,
    PROMOTE,
    REDUCE_ONLY,
    REGISTER,
    RESEARCH,
    RESTORE,
    RETIRE,
    RETIRED,
    ROLLBACK,
    TRADED,
)
from workbench.registry.lifecycle.transition import Transition
from workbench.registry.packs.canonical import short

TICK = timedelta(seconds=1)


@dataclass(frozen=True)
class Standing:
    """Which version stands at a stage, since when, and whether it may open positions; ``number`` is its transition.

    ``taken`` is when the step of its proposal was recorded; a rollback or demotion after that takes no other.
    """

    version: int
    pack: str
    proposal: str
    mode: str
    number: int
    head: str
    at: datetime
    taken: datetime
    restored: datetime | None = None  # when a new approval lifted reduce-only
    positions: str = ""
    forced: bool = False


@dataclass(frozen=True)
class Version:
    """One candidate: its pack, its stage and since when; ``proposal`` is the last one that moved it, at ``taken``.

    ``moved`` is ``at``, and later with every step also where the clock stands still: a proposal must be younger, or
    name ``head``, the transition that moved it last: that holds also where a clock was wrong. ``halted`` is the step
    since which it may only reduce.
    """

    version: int
    pack: str
    stage: str
    at: datetime
    taken: datetime
    moved: datetime
    head: str = ""
    restored: datetime | None = None
    proposal: str = ""
    mode: str = ACTIVE
    forced: str = ""  # why it was forced into paper
    reason: str = ""  # of the last transition
    halted: Transition | None = None


@dataclass(frozen=True)
class State:
    """``replaced`` has by stage the versions that stood there and may come back, the newest last.

    ``used`` are the proposals by which a step was taken: none is taken twice.
    """

    kind: str
    name: str
    versions: Mapping[int, Version] = field(default_factory=dict)
    standing: Mapping[str, Standing] = field(default_factory=dict)
    replaced: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    last: Transition | None = None
    used: frozenset[str] = frozenset()

    @property
    def newest(self) -> int:
        """The highest version, or 0."""
        return max(self.versions, default=0)

    def version(self, number: int) -> Version:
        """Return a version, or say which there are."""
        if number not in self.versions:
            known = ", ".join(map(str, sorted(self.versions))) or "none yet"
            raise InputRefused(f"{self.name}: no version {number}; there is {known} (workbench status)")
        return self.versions[number]

    def champion(self, stage: str, version: int = 0) -> int:
        """Return the version that a candidate for a stage is compared with: who stands there, else in production, or 0.

        ``version`` is the candidate's own, where it has one.
        """
        for place in (stage, PRODUCTION):
            standing = self.standing.get(place)
            if standing is not None and standing.version != version:
                return standing.version
        return 0

    def with_pack(self, pack: str) -> Version | None:
        """Return the version of a pack."""
        return next((version for version in self.versions.values() if version.pack == pack), None)

    def after(self, step: Transition) -> State:
        """Return the state after a transition; one that does not follow from this state is refused."""
        if wrong := self._wrong(step):
            raise PromotionRefused(
                f"{self.name} version {step.version}: cannot {step.action}: {wrong}; see: workbench status"
            )
        versions, standing = dict(self.versions), dict(self.standing)
        replaced = {stage: list(numbers) for stage, numbers in self.replaced.items()}
        known = versions.get(step.version) or Version(step.version, step.pack, RESEARCH, step.at, step.at, step.at)
        lifts = self._lifts(step)
        approved = step.action == PROMOTE or lifts  # anything else stands by the proposal of before
        mode = step.mode if known.mode == ACTIVE or lifts else REDUCE_ONLY
        versions[step.version] = replace(
            known,
            stage=step.to_stage,
            at=step.at,
            moved=max(step.at, known.moved + TICK),
            head=step.head,
            taken=step.at if approved else known.taken,
            restored=(step.at if step.action == RESTORE else None) if approved else known.restored,
            proposal=step.proposal if approved else known.proposal,
            mode=mode,
            forced=step.reason if step.forced else known.forced,
            reason=step.reason,
            halted=None if mode == ACTIVE else known.halted or step,
        )
        if step.action in (PROMOTE, RETIRE):  # it leaves where it stood
            for stage in [stage for stage, one in standing.items() if one.version == step.version]:
                del standing[stage]
        if step.action == RETIRE:  # by hand: it does not come back
            replaced = {stage: [one for one in old if one != step.version] for stage, old in replaced.items()}
        if step.action == ROLLBACK:
            replaced[step.to_stage].pop()
        if step.replaces:
            if step.action == PROMOTE:
                replaced.setdefault(step.to_stage, []).append(step.replaces)
            versions[step.replaces] = replace(
                versions[step.replaces],
                stage=RETIRED,
                at=step.at,
                moved=max(step.at, versions[step.replaces].moved + TICK),
                head=step.head,
                reason=f"replaced by version {step.version}",
            )
        if step.to_stage in TRADED:
            standing[step.to_stage] = Standing(
                version=step.version,
                pack=step.pack,
                proposal=versions[step.version].proposal,
                mode=mode,
                number=step.number,
                head=step.head,
                at=step.at,
                taken=versions[step.version].taken,
                restored=versions[step.version].restored,
                positions=step.positions,
                forced=bool(versions[step.version].forced),
            )
        return replace(
            self,
            versions=versions,
            standing=standing,
            replaced={stage: tuple(old) for stage, old in replaced.items() if old},
            last=step,
            used=self.used | {step.proposal} if approved and step.proposal else self.used,
        )

    def refuse_new(self, step: Transition) -> None:
        """Refuse what is asked of new steps alone: what is recorded is read, and lifts nothing that it may not lift."""
        before = self.versions.get(step.version)
        if before is None or before.mode != REDUCE_ONLY:
            return
        wrong = ""
        if step.action == DEMOTE:
            wrong = "it is reduce-only already; see: workbench status"
        elif step.action == RESTORE and not self._lifts(step):
            wrong = f"proposal {short(step.proposal)} was used already; propose and sign anew"
        elif step.action in (PROMOTE, ROLLBACK) and step.mode != REDUCE_ONLY:
            wrong = "it may only reduce until new approvals lift that; see: workbench status"
        if wrong:
            raise PromotionRefused(f"{self.name} version {step.version}: cannot {step.action}: {wrong}")

    def _lifts(self, step: Transition) -> bool:
        """Whether a step lifts reduce-only: a restoration alone does, by a proposal that no step was taken by."""
        return step.action == RESTORE and step.proposal not in self.used

    def _wrong(self, step: Transition) -> str:
        if step.action == REGISTER:
            return self._wrong_registration(step)
        known = self.versions.get(step.version)
        if known is None:
            return "it is not registered"
        if known.pack != step.pack:
            return f"its pack is {short(known.pack)}, not {short(step.pack)}"
        here = self.standing.get(step.to_stage)
        stands = here is not None and here.version == step.version
        if step.action == RETIRE:
            again = known.stage == RETIRED and not any(step.version in old for old in self.replaced.values())
            return "it is retired already" if again or step.to_stage != RETIRED else ""
        if step.replaces != (0 if here is None or stands else here.version):
            return (
                f"version {here.version if here else 'none'} stands at {step.to_stage}, not {step.replaces or 'none'}"
            )
        if step.action == PROMOTE:
            if known.stage != step.from_stage or NEXT.get(known.stage) != step.to_stage:
                return f"it stands at {known.stage}, from where {NEXT.get(known.stage, 'nothing')} is next"
            if not step.proposal:
                return "no proposal was made for it"
            return "force exists for paper only" if step.forced and step.to_stage != PAPER else ""
        if step.action == ROLLBACK:
            before = self.replaced.get(step.to_stage, ())
            return "" if before and before[-1] == step.version else f"it is not what stood at {step.to_stage} before"
        if not stands:
            return f"it does not stand at {step.to_stage}"
        if step.action == DEMOTE:
            return "" if step.mode == REDUCE_ONLY else "a demotion is to reduce-only"
        if step.action == RESTORE:
            return "" if known.mode == REDUCE_ONLY and step.proposal else "it is not reduce-only, or has no proposal"
        return f"there is no action '{step.action}'"

    def _wrong_registration(self, step: Transition) -> str:
        if step.version in self.versions:
            return f"version {step.version} is registered with pack {short(self.versions[step.version].pack)}"
        twin = self.with_pack(step.pack)
        if twin is not None:
            return f"its pack {short(step.pack)} is version {twin.version} already"
        return "" if step.to_stage == BACKTEST else f"a version begins at {BACKTEST}"


def fold(transitions: Iterable[Transition]) -> dict[tuple[str, str], State]:
    """Return the state of every kind and name after these transitions."""
    states: dict[tuple[str, str], State] = {}
    for step in transitions:
        key = (step.kind, step.name)
        states[key] = states.get(key, State(*key)).after(step)
    return states
