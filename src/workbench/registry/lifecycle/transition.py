"""One line of the record: what was moved where, by whom, why, and on which evidence."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime

from workbench.registry.lifecycle.stages import ACTIVE
from workbench.registry.packs.canonical import canonical, jsonable, moment_text, sha256


@dataclass(frozen=True)
class Transition:
    """``replaces`` is the version that stood at the stage before, or 0; ``head`` covers everything but itself."""

    kind: str
    name: str
    version: int
    action: str
    from_stage: str
    to_stage: str
    pack: str
    who: str
    at: datetime
    proposal: str = ""
    replaces: int = 0
    reason: str = ""
    forced: bool = False
    positions: str = ""
    mode: str = ACTIVE
    number: int = 0
    previous: str = ""
    head: str = ""

    def after(self, number: int, head: str) -> Transition:
        """Return the transition chained to the one before, whose number and head are given."""
        placed = replace(self, at=self.at.replace(microsecond=0), number=number + 1, previous=head)
        return replace(placed, head=placed.digest)

    @property
    def digest(self) -> str:
        """What ``head`` must be."""
        facts = jsonable(asdict(self))
        del facts["head"]
        return sha256(canonical(facts))

    @property
    def sentence(self) -> str:
        """The transition in words: ``alice promoted version 3 to paper at 2026-01-31T22:00:00Z``."""
        return f"{self.who} {self._did} at {moment_text(self.at)}"

    @property
    def _did(self) -> str:
        match self.action:
            case "register":
                return f"registered version {self.version}"
            case "demote":
                return f"set version {self.version} at {self.to_stage} to reduce-only"
            case "retire":
                return f"retired version {self.version}"
            case "rollback":
                return f"rolled {self.to_stage} back to version {self.version}"
            case "restore":
                return f"restored version {self.version} at {self.to_stage}"
        forced = " by force" if self.forced else ""
        return f"promoted version {self.version} to {self.to_stage}{forced}"
