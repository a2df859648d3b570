"""Risk limits: what an order, a position, a day and a market may be, read from params/risk/<profile>.yaml.

More is looser, except for ``min_…``, where less is: the gate of packs of kind ``risk`` reads them by the same rule.
A file tightens at once. It loosens only where a promoted pack of kind ``risk`` holds the same numbers. Nothing looser
than the pack that stands is in force from the next session on, so that a rollback of limits is one::

    watch = Watch("default", paths, account, in_force, promoted)
    limits = watch.poll().limits          # every minute; never raises, and never loosens by itself
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import ParamsRefused, WorkbenchError, did_you_mean
from workbench.params import Paths, read_yaml
from workbench.risk_limits import Limits as Limits
from workbench.risk_limits import parse_limits as parse_limits
from workbench.risk_limits import whole_limits

# Made for the embedded account, where nothing is real: sixty symbols need more than five positions.
EMBEDDED_ONLY = ("sample",)
STRICTEST = "default"


@dataclass(frozen=True)
class Change:
    """One limit that became another."""

    name: str
    before: float
    after: float

    @property
    def looser(self) -> bool:
        """Whether it allows more."""
        return (self.after < self.before) if self.name.startswith("min_") else (self.after > self.before)

    def __str__(self) -> str:
        return f"{self.name} {self.before:,g} → {self.after:,g}"


def changed(old: Limits, new: Limits) -> tuple[Change, ...]:
    """Return every limit that differs."""
    before, after = old.model_dump(), new.model_dump()
    return tuple(Change(name, before[name], after[name]) for name in before if before[name] != after[name])


def tightened(old: Limits, new: Limits) -> tuple[Change, ...]:
    """Return what the new limits forbid more of."""
    return tuple(change for change in changed(old, new) if not change.looser)


def loosened(old: Limits, new: Limits) -> tuple[Change, ...]:
    """Return what the new limits allow more of."""
    return tuple(change for change in changed(old, new) if change.looser)


def read_limits(profile: str, paths: Paths, *, embedded: bool) -> Limits:
    """Return params/risk/<profile>.yaml, validated; every limit must be written down."""
    known = sorted(file.stem for file in folder(paths).glob("*.yaml"))
    if not re.fullmatch(r"[a-z][a-z0-9_]*", profile) or profile not in known:
        raise ParamsRefused(f"risk profile '{profile}': no params/risk/{profile}.yaml.{did_you_mean(profile, known)}")
    if profile in EMBEDDED_ONLY and not embedded:
        raise ParamsRefused(
            f"risk profile '{profile}' is for the embedded account only; a broker's account uses '{STRICTEST}', or a "
            f"profile of its own that a promoted pack of kind risk allows"
        )
    file = folder(paths) / f"{profile}.yaml"
    return whole_limits(read_yaml(file, paths), paths.short(file))


def folder(paths: Paths) -> Path:
    """Return where the profiles lie."""
    return paths.params / "risk"


def _with(limits: Limits, changes: tuple[Change, ...]) -> Limits:
    return limits.model_copy(update={change.name: change.after for change in changes})


@dataclass(frozen=True)
class Reading:
    """The limits in force after a look at the file, what changed by it, and what was refused.

    ``unasked`` says why the promoted limits that stand could not be asked where a session begins.
    """

    limits: Limits
    changes: tuple[Change, ...] = ()
    refused: str = ""
    unasked: str = ""


def _nothing_stands() -> str:
    return ""


class Watch:
    """The profile in force. What was in force before a restart is given, so that a restart loosens nothing either.

    ``stands`` names the promoted version that stands for this account, or nothing; ``promoted`` are its limits.
    """

    def __init__(
        self,
        profile: str,
        paths: Paths,
        *,
        embedded: bool,
        in_force: Limits | None,
        promoted: Callable[[], Limits],
        stands: Callable[[], str] = _nothing_stands,
    ) -> None:
        self.profile, self.paths, self.embedded = profile, paths, embedded
        self._promoted = promoted
        self._stands = stands
        # A broker's account begins at the strictest limits; the embedded one at what its file says.
        self.limits = in_force or (read_limits(profile, paths, embedded=True) if embedded else Limits())

    def poll(self, *, begins: bool = False) -> Reading:
        """Read the file again: what is tighter holds from now, what is looser only if it is promoted.

        Where a session begins, what is in force is first brought down to the promoted limits that stand.
        """
        before, refused, unasked = self.limits, "", ""
        if begins:
            try:
                self.limits = _with(before, self.bound()[1])
            except WorkbenchError as error:
                unasked = (
                    f"risk profile {self.profile}: what was promoted cannot be asked, what was in force stays: {error}"
                )
        held = self.limits
        try:
            new = read_limits(self.profile, self.paths, embedded=self.embedded)
        except WorkbenchError as error:
            return Reading(held, changed(before, held), str(error), unasked)
        if loose := loosened(held, new):
            try:
                self._require_promoted(new, loose)
            except WorkbenchError as error:
                refused = str(error)
                new = new.model_copy(update={change.name: change.before for change in loose})
        self.limits = new
        return Reading(new, changed(before, new), refused, unasked)

    def bound(self) -> tuple[str, tuple[Change, ...]]:
        """Return which promoted version stands, or nothing, and where it is tighter than what is in force."""
        where = self._stands()
        return where, tightened(self.limits, self._promoted()) if where else ()

    def _require_promoted(self, new: Limits, loose: tuple[Change, ...]) -> None:
        what = ", ".join(map(str, loose[:3])) + (f" and {len(loose) - 3} more" if len(loose) > 3 else "")
        file = self.paths.short(folder(self.paths) / f"{self.profile}.yaml")
        refusal = (
            f"{file}: loosens {what}; the limits before stay in force until a pack of these is promoted: "
            f'workbench pack make {self.profile} --kind risk --file {file} --reason "…"'
        )
        try:
            promoted = self._promoted()
        except WorkbenchError as error:
            raise ParamsRefused(f"{refusal} ({error})") from error
        if promoted.digest != new.digest:
            raise ParamsRefused(f"{refusal} (promoted are {promoted.digest[:12]}, the file holds {new.digest[:12]})")
