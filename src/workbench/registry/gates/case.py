"""What a gate may look at: the pack, the code and the ledger of now, the record of the stage left, the champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workbench.clock import kind_of_time
from workbench.registry.gates.facts import Facts, Unknown
from workbench.registry.gates.track_record import TrackRecord
from workbench.registry.packs.canonical import short
from workbench.registry.packs.code import Code
from workbench.registry.packs.lines import evidence_line, promote_line
from workbench.registry.packs.pack import Pack

# The step to a stage is judged by the record of the stage before it, made in accounts of these modes.
LEAVES: Mapping[str, str] = {"staged_live": "paper", "production": "staged_live"}
MODES: Mapping[str, tuple[str, ...]] = {"paper": ("embedded", "paper"), "staged_live": ("live",)}
RUN_FIRST: Mapping[str, str] = {"paper": "run it on paper first", "staged_live": "trade it with staged capital first"}
PAYLOAD = "payload/"


@dataclass(frozen=True)
class LedgerFacts:
    """What the trial ledger says now: is the pack's head in a sound chain (``why`` not), and how many trials.

    ``lost`` says what was given up of it for good, a sentence a loss.
    """

    head_found: bool
    why: str
    trials_at_pack: int
    trials_now: int
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One version's step: None is what is not known, and a gate that needs it fails."""

    pack: Pack
    version: int
    to_stage: str
    now: datetime
    code: Code | None = None
    ledger: LedgerFacts | None = None
    record: TrackRecord | None = None
    champion: Pack | None = None
    whose: str = ""  # of several accounts' records that one, where there are several
    restores: bool = False  # it stands there already and may only reduce: the record of the stage before is long closed

    @property
    def again(self) -> str:
        """The command that makes the evidence anew."""
        return evidence_line(self.pack.kind, self.pack.name)

    @property
    def approve_with_reason(self) -> str:
        """The command with which the second approver writes a reason; a pack has no version before it is registered."""
        of = "" if self.pack.kind == "strategy" else f" --kind {self.pack.kind}"
        return f'workbench approve {self.pack.name} --version {self.version or "N"}{of} --as NAME --reason "…"'

    def facts(self, part: str) -> Facts:
        """Return the content of one of the pack's JSON parts."""
        if not self.pack.has(part):
            raise Unknown(f"the pack has no part {part}", self.again)
        return Facts(self.pack.json(part), part)

    def payload(self, pack: Pack | None = None) -> tuple[str, bytes]:
        """Return the path and the bytes of the one file that a pack of data promotes."""
        pack = pack or self.pack
        found = [path for path in sorted(pack.files) if path.startswith(PAYLOAD)]
        if len(found) != 1:
            raise Unknown(f"{pack.shown} has {len(found)} files under {PAYLOAD}, it must have one", self.again)
        return found[0], pack.read(found[0])

    def has_model(self) -> bool:
        """Return whether the pack holds a trained model."""
        return any(path.startswith("model/") for path in self.pack.files)

    def require_record(self) -> TrackRecord:
        """Return the record of the stage that is left, of exactly this version and pack, or say why there is none."""
        stage = LEAVES.get(self.to_stage)
        if stage is None:
            raise Unknown(f"no record is kept before {self.to_stage}; ask this of the step to {' or '.join(LEAVES)}")
        remedy = f"{RUN_FIRST[stage]}, then: {promote_line(self.pack.kind, self.pack.name)}"
        if self.record is None:
            raise Unknown(f"no {stage} record yet: {RUN_FIRST[stage]}", remedy)
        record = self.record
        # The made market cannot be traded for money: there a rehearsal in the embedded account stands for it, and
        # under simulated time one at a simulated gateway, whose accounts are all of paper.
        rehearsal: tuple[str, ...] = ("embedded",) if self.pack.market == "sample" else ()
        if self.pack.simulated:
            rehearsal = (*rehearsal, "paper")
        modes = tuple(dict.fromkeys((*MODES[stage], *rehearsal)))
        wanted: tuple[tuple[str, Any, Any], ...] = (
            ("strategy", record.strategy, self.pack.name),
            ("version", record.version, self.version),
            ("pack", short(record.pack), short(self.pack.digest)),
            ("stage", record.stage, stage),
            ("market", record.market, self.pack.market),
            ("time", kind_of_time(record.simulated), kind_of_time(self.pack.simulated)),
        )
        for what, found, right in wanted:
            if found != right:
                raise Unknown(f"the record is of {what} {found}, this is {right}", remedy)
        if record.pack != self.pack.digest:
            raise Unknown(f"the record is of another pack that begins with {short(record.pack)}", remedy)
        if record.account_mode not in modes:
            raise Unknown(
                f"the record's account is {record.account_mode}, {stage} asks for {' or '.join(modes)}", remedy
            )
        if not record.sessions:
            raise Unknown(f"the {stage} record has no session yet: {RUN_FIRST[stage]}", remedy)
        record.require_past(self.now)
        first = record.sessions[0].date
        if first < self.pack.made_at.date():
            raise Unknown(
                f"the record begins on {first}, before the pack was made on {self.pack.made_at.date()}: "
                "what the evidence has seen proves nothing anew",
                remedy,
            )
        return record
