"""The desk where candidates are looked at and moved: the record, MLflow, the gates' policy and the approvers together.

>>> desk = Desk.open(settings, Paths())
>>> state = desk.state("strategy", "xs_momentum")
>>> candidate = desk.candidate(state, state.newest)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

from workbench.clock import read_clock
from workbench.errors import NoData, PackRefused, StrategyRefused, WorkbenchError, did_you_mean
from workbench.params import Paths, Settings, strategy_names
from workbench.registry.connection import Connection
from workbench.registry.gates.case import LedgerFacts
from workbench.registry.gates.policy import FILE as POLICY
from workbench.registry.gates.policy import Policy
from workbench.registry.gates.record_files import RecordFiles
from workbench.registry.gates.track_record import TrackRecord
from workbench.registry.lifecycle.card import description, pack_tags, pack_verdicts, state_tags
from workbench.registry.lifecycle.models import Models
from workbench.registry.lifecycle.record import Lifecycle
from workbench.registry.lifecycle.stages import BACKTEST, REGISTER, RESEARCH
from workbench.registry.lifecycle.state import State
from workbench.registry.lifecycle.transition import Transition
from workbench.registry.packs.approvers import FILE as APPROVERS
from workbench.registry.packs.approvers import Approvers
from workbench.registry.packs.candidate import Candidate, read_candidate
from workbench.registry.packs.canonical import short
from workbench.registry.packs.files import is_there
from workbench.registry.packs.pack import KINDS, Pack
from workbench.registry.storing import DIGEST, STRATEGY, pack_runs


@dataclass(frozen=True)
class Desk:
    """Everything a step is decided on; ``now`` is the moment of the decision, ``who`` the person at the keyboard."""

    settings: Settings
    paths: Paths
    record: Lifecycle
    models: Models
    now: datetime
    who: str
    simulated: bool = False  # whether the moment is of simulated time: then everything moved must be, too

    @classmethod
    def open(cls, settings: Settings, paths: Paths, now: datetime | None = None) -> Desk:
        """Return the desk of a project."""
        from workbench.registry.runs import user_name

        models, clock = Models(Connection(settings, paths)), read_clock(settings.market, paths)
        # In the record itself, under its hashes: a step of simulated time says so.
        who = f"{user_name()} (simulated time)" if clock.simulated else user_name()
        record = Lifecycle.open(settings, paths)
        return cls(settings, paths, record, models, now or clock.now(), who, clock.simulated)

    @cached_property
    def policy(self) -> Policy:
        """The gates as they are asked now."""
        return Policy.read(self.paths.params / POLICY, self.paths)

    @cached_property
    def approvers(self) -> Approvers:
        """Who may sign."""
        return Approvers.read(self.paths.params / APPROVERS, self.paths)

    def state(self, kind: str, name: str) -> State:
        """Return the state of a name that has a version; new packs of it become versions first."""
        self.register(kind, name)
        return self.known(kind, name)

    def known(self, kind: str, name: str) -> State:
        """Return the state of a name as the record alone has it: enough to take something back in an emergency."""
        state = self.record.state(kind, name)
        if not state.versions:
            raise self._unknown(kind, name)
        return state

    def register(self, kind: str, name: str) -> list[Transition]:
        """Give every pack of a name that has none a version, in the order in which they were made.

        One that is unsound gets none; it is refused aloud where no sound one was made after it.
        """
        done: list[Transition] = []
        if kind not in KINDS:
            return done
        # First: a record that was cut short must not grow again over what MLflow still shows of it.
        self.record.verify(self.models.find(kind, name).heads())
        unsound: PackRefused | None = None
        for run in reversed(pack_runs(self.models.connection, kind, name)):
            state, run_id = self.record.state(kind, name), str(run.info.run_id)
            if state.with_pack(run.data.tags[DIGEST]) is None:
                try:
                    pack = self._new_pack(kind, name, run_id)
                except PackRefused as error:
                    unsound = error
                    continue
                if state.with_pack(pack.digest) is None:  # else the run's tag was changed, the pack was not
                    done.append(self._register(state, pack, run_id))
            unsound = None
        if unsound is not None:
            raise unsound
        return done

    def candidate(self, state: State, version: int) -> Candidate:
        """Return a version's evidence, every byte verified."""
        return self.models.candidate(state, version)

    def finish(self, kind: str, name: str) -> list[Transition]:
        """Show in MLflow what was moved but is not shown yet: a step is finished where it was cut off."""
        waiting = [step for step in self.record.unshown() if (step.kind, step.name) == (kind, name)]
        if waiting:
            store = self.models.connection
            # An empty one in its place would hide that it is gone.
            if store.database is not None and not is_there(store.database, store.shown):
                raise NoData(f"{store.shown} is gone; restore it from a backup")
            state = self.record.state(kind, name)
            tags: dict[int, Mapping[str, str]] = {}
            texts: dict[int, str] = {}
            for version in sorted({number for step in waiting for number in (step.version, step.replaces) if number}):
                tags[version], texts[version] = self._card(state, version)
            self.models.show(state, tags, texts)
            self.record.mark_shown(waiting, self.now)
        return waiting

    def show(self, step: Transition) -> None:
        """Show in MLflow what was just recorded; where that fails, say that it is recorded all the same."""
        try:
            self.finish(step.kind, step.name)
        except WorkbenchError as error:
            raise type(error)(
                f"{step.name}: {step.sentence}: that is recorded and holds, MLflow does not show it yet: {error}"
            ) from error

    def ledger(self, pack: Pack) -> tuple[LedgerFacts | None, str]:
        """Return what the trial ledger says of a pack now, and the ledger's head; other kinds have no trials."""
        if pack.kind != STRATEGY:
            return None, ""
        from workbench.backtest.trials import Ledger, Question
        from workbench.registry.counting import kept_heads

        ledger, facts = Ledger(self.paths.trials), pack.json("trials.json")
        now = ledger.count(Question(facts["text"], facts["market"]))
        heads = {**kept_heads(self.models.connection), f"of pack {short(pack.digest)}": facts["head"]}
        try:
            lost = tuple(loss.sentence for loss in ledger.losses())
            return LedgerFacts(True, "", facts["trials"], now, lost), ledger.verify(heads).head
        except WorkbenchError as error:
            return LedgerFacts(False, str(error), facts["trials"], now), ""

    def track_records(self, state: State, version: int, stage: str) -> tuple[TrackRecord, ...]:
        """Return what the runner wrote of a version's time at a stage: a record of each account that traded it."""
        files = RecordFiles(self.paths, state.kind, state.name, version, stage)
        return tuple(files.read(file, self.now) for file in files.all())

    def track_record(self, state: State, version: int, stage: str) -> TrackRecord | None:
        """Return the record that gates ask, or None: of several accounts' that of the newest session, then the longest.

        What several accounts made is never taken together: a session of each day is not a longer time.
        """
        return newest_of(self.track_records(state, version, stage))

    def names_of(self, candidate: Candidate, proposal: str) -> tuple[str, ...]:
        """Return who approved a proposal, by the allow-list of now."""
        if not proposal:
            return ()
        return candidate.signed(candidate.proposal(proposal), self.approvers, self.now).names

    def _new_pack(self, kind: str, name: str, run_id: str) -> Pack:
        pack = read_candidate(self.models.folder(run_id), f"{name}, run {run_id[:8]}").pack
        if (pack.kind, pack.name) != (kind, name):
            raise PackRefused(f"{name}: run {run_id[:8]} holds a pack of {pack.kind} {pack.name}; make it anew")
        return pack

    def _register(self, state: State, pack: Pack, run_id: str) -> Transition:
        tags = {**pack_tags(pack), "stage": BACKTEST}
        text = description(pack, None, 0, pack_verdicts(pack), "")
        number = self.models.register(pack, run_id, state, tags, text)
        step = Transition(
            kind=pack.kind,
            name=pack.name,
            version=number,
            action=REGISTER,
            from_stage=RESEARCH,
            to_stage=BACKTEST,
            pack=pack.digest,
            who=self.who,
            at=self.now,
        )
        placed = self.record.append(step, after=state)
        self.show(placed)
        return placed

    def _card(self, state: State, version: int) -> tuple[dict[str, str], str]:
        """Return a version's tags and description; where its evidence is gone, the tags say where it stands."""
        known = state.versions[version]
        try:
            candidate = self.candidate(state, version)
            names = self.names_of(candidate, known.proposal)
            verdicts = candidate.proposal(known.proposal).verdicts if known.proposal else pack_verdicts(candidate.pack)
        except (PackRefused, NoData) as error:
            return state_tags(state, version, ()), f"**The evidence of this version cannot be read:** {error}"
        text = description(candidate.pack, state, version, verdicts, ", ".join(names))
        return {**pack_tags(candidate.pack), **state_tags(state, version, names)}, text

    def _unknown(self, kind: str, name: str) -> Exception:
        if kind not in KINDS:
            return StrategyRefused(f"kind '{kind}': there is none of that name.{did_you_mean(kind, KINDS)}")
        if kind != STRATEGY:
            known = sorted(called for of, called in self.record.states() if of == kind)
            return NoData(
                f"{name}: no pack of kind {kind} yet; make it: workbench pack make --kind {kind} {name} --file FILE "
                f"--reason …{did_you_mean(name, known)}"
            )
        if name not in strategy_names(self.paths):
            return StrategyRefused(f"no strategy '{name}'.{did_you_mean(name, strategy_names(self.paths))}")
        return NoData(f"{name}: no pack of evidence yet; make it: make evidence STRATEGY={name}")


def newest_of(records: Sequence[TrackRecord]) -> TrackRecord | None:
    """Return of several accounts' records that of the newest session, of two such the longer."""

    def newest(record: TrackRecord) -> tuple[date, int]:
        return record.sessions[-1].date if record.sessions else date.min, len(record.sessions)

    return max(records, key=newest, default=None)
