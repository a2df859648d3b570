"""Risk limits: what an order, a position, a day and a market may be, read from params/risk/<profile>.yaml.

More is looser, except for ``min_…``, where less is: the gate of packs of kind ``risk`` reads them by the same rule.
A file tightens at once. It loosens only where a promoted pack of kind ``risk`` holds the same numbers::

    watch = Watch("default", paths, account, in_force, promoted)
    limits = watch.poll().limits          # every minute; never raises, and never loosens by itself
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from workbench.errors import DataRefused, ParamsRefused, WorkbenchError, did_you_mean
from workbench.params import Paths, Section, digest, read_section, read_yaml

# Made for the embedded account, where nothing is real: sixty symbols need more than five positions.
EMBEDDED_ONLY = ("sample",)
STRICTEST = "default"


class Limits(Section):
    """Every limit; what is set here is the strictest of all that the workbench was asked for, and holds by itself.

    Shares are of the account's equity unless told otherwise.
    """

    # One order.
    max_order_value: float = Field(25_000.0, gt=0.0)
    confirm_above: float = Field(10_000.0, ge=0.0)  # waits for a person
    max_order_quantity: int = Field(10_000, ge=1)
    max_price_collar: float = Field(0.05, gt=0.0, le=1.0)  # how far through the market a price may reach
    max_gap: float = Field(0.20, gt=0.0, le=10.0)  # between a quote and the last validated close
    max_quote_age_seconds: float = Field(60.0, gt=0.0)
    max_account_age_seconds: float = Field(200.0, gt=0.0)  # IB sends an account's values every three minutes
    max_minutes_before_open: float = Field(30.0, ge=0.0, le=1440.0)
    min_minutes_before_close: float = Field(1.0, ge=0.0, le=390.0)
    # The flow of orders.
    max_orders_per_second: int = Field(5, ge=1)
    max_orders_per_minute: int = Field(10, ge=1)
    max_orders_per_day: int = Field(10, ge=1)
    min_duplicate_seconds: float = Field(10.0, ge=1.0)
    max_repeats: int = Field(3, ge=1)  # filled orders of one side of a symbol within the window
    min_repeat_minutes: float = Field(30.0, ge=1.0)
    # What is held, orders that may still fill included.
    max_position: float = Field(0.10, gt=0.0)
    max_position_value: float = Field(25_000.0, gt=0.0)
    max_positions: int = Field(5, ge=1)
    max_gross: float = Field(1.0, gt=0.0, le=10.0)
    max_net: float = Field(1.0, gt=0.0, le=10.0)
    max_sector: float = Field(0.30, gt=0.0, le=10.0)
    max_correlation: float = Field(0.70, ge=0.0, le=1.0)
    min_correlation_sessions: int = Field(60, ge=20)
    min_free_equity: float = Field(0.10, ge=0.0, lt=1.0)  # what no order may tie up as margin
    # What may be lost.
    max_daily_loss: float = Field(0.03, gt=0.0, le=1.0)
    max_daily_loss_value: float = Field(5_000.0, gt=0.0)
    warn_loss_at: float = Field(0.75, gt=0.0, le=1.0)  # of the daily loss limit
    max_drawdown: float = Field(0.10, gt=0.0, le=1.0)
    # What the monitor stops for.
    min_margin_cushion: float = Field(0.15, ge=0.0, lt=1.0)  # equity above maintenance margin
    max_reconcile_age_minutes: float = Field(3.0, gt=0.0)
    max_cash_difference: float = Field(0.001, ge=0.0, le=1.0)  # between books and broker; beyond it only reducing
    max_data_age_sessions: int = Field(1, ge=0)
    max_blind_minutes: float = Field(3.0, gt=0.0)  # without any look at the broker
    max_market_move: float = Field(0.07, gt=0.0, le=1.0)  # of the median symbol since its last close
    max_bad_rows: float = Field(0.05, ge=0.0, le=1.0)  # share of the newest rows in quarantine
    max_silent_quotes: float = Field(0.20, ge=0.0, le=1.0)  # share of symbols without a fresh quote

    @property
    def digest(self) -> str:
        """What the numbers are, whatever the file looks like."""
        return digest(self.model_dump(mode="json"))

    def daily_loss(self, equity: float) -> float:
        """Return the most that a day may lose, in money: the smaller of both limits."""
        return min(self.max_daily_loss * equity, self.max_daily_loss_value)


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
    return _limits(read_yaml(file, paths), paths.short(file))


def parse_limits(content: bytes, origin: str) -> Limits:
    """Return the limits that a promoted pack holds."""
    try:
        read = yaml.safe_load(content.decode())
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataRefused(f"{origin}: cannot be read ({' '.join(str(error).split())}); make the pack again") from error
    if not isinstance(read, Mapping):
        raise DataRefused(f"{origin}: holds no limits; make the pack again")
    return _limits(read, origin)


def folder(paths: Paths) -> Path:
    """Return where the profiles lie."""
    return paths.params / "risk"


def _limits(content: Mapping[str, Any], origin: str) -> Limits:
    limits = read_section(Limits, content, origin)
    if missing := sorted(Limits.model_fields.keys() - content.keys()):
        raise ParamsRefused(f"{origin}: '{missing[0]}' is missing; write every limit down ({len(missing)} missing)")
    return limits


@dataclass(frozen=True)
class Reading:
    """The limits in force after a look at the file, what changed by it, and what was refused."""

    limits: Limits
    changes: tuple[Change, ...] = ()
    refused: str = ""


class Watch:
    """The profile in force. What was in force before a restart is given, so that a restart loosens nothing either."""

    def __init__(
        self,
        profile: str,
        paths: Paths,
        *,
        embedded: bool,
        in_force: Limits | None,
        promoted: Callable[[], Limits],
    ) -> None:
        self.profile, self.paths, self.embedded = profile, paths, embedded
        self._promoted = promoted
        # A broker's account begins at the strictest limits; the embedded one at what its file says.
        self.limits = in_force or (read_limits(profile, paths, embedded=True) if embedded else Limits())

    def poll(self) -> Reading:
        """Read the file again: what is tighter holds from now, what is looser only if it is promoted."""
        before, refused = self.limits, ""
        try:
            new = read_limits(self.profile, self.paths, embedded=self.embedded)
        except WorkbenchError as error:
            return Reading(before, refused=str(error))
        if loose := loosened(before, new):
            try:
                self._require_promoted(new, loose)
            except WorkbenchError as error:
                refused = str(error)
                new = new.model_copy(update={change.name: getattr(before, change.name) for change in loose})
        self.limits = new
        return Reading(new, changed(before, new), refused)

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
