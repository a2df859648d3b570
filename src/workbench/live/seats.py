"""Who sits at the desk: what stands at a stage, through the loader and nothing else, with its share of the money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from workbench.errors import InputRefused, did_you_mean
from workbench.live.session import Seat
from workbench.params import LiveParams, Paths, Settings
from workbench.registry.loader import AccountMode, Loaded, load
from workbench.registry.packs.approvers import Approvers, list_file
from workbench.types import Bars

PARAMS = "params.json"
LEAVING = "retired"


@dataclass(frozen=True)
class Leaving:
    """A strategy that was retired: it wants nothing any more, so what it still holds is closed."""

    name: str
    symbols: tuple[str, ...]
    lookback: int = 1

    def weights(self, bars: Bars) -> pd.DataFrame:
        """Return that nothing is wanted."""
        return pd.DataFrame(0.0, index=bars.index, columns=list(self.symbols))


def load_seat(
    name: str, stage: str, share: float, settings: Settings, paths: Paths, now: datetime
) -> tuple[Seat, tuple[str, ...]]:
    """Return the seat of what stands at a stage, every byte of its evidence verified, and what a person should know."""
    approvers = Approvers.read(list_file(settings, paths), paths)
    account = AccountMode(settings.live.mode)
    loaded = load(name, stage, account=account, settings=settings, paths=paths, approvers=approvers, now=now)
    return seat_of(loaded, share, settings.live), loaded.warnings


def leaving_seat(name: str, version: int, pack: str, flatten: int, held: Mapping[str, int]) -> Seat:
    """Return the seat from which what a retired version left is closed; it has no share of the money."""
    return Seat(Leaving(name, tuple(sorted(held))), pack, version, LEAVING, "reduce_only", 0.0, flatten=flatten)


def seat_of(loaded: Loaded, share: float, live: LiveParams) -> Seat:
    """Return the seat of a loaded strategy; staged live is bounded by the step of capital that it has reached."""
    steps: Sequence[float] = loaded.limits.get("capital_steps", ())
    step = live.capital_step.get(loaded.strategy.name, 1)
    if steps and step > len(steps):
        raise InputRefused(
            f"live.capital_step of {loaded.strategy.name} is {step}, its approval has {len(steps)} steps "
            f"({', '.join(f'{one:,.0f}' for one in steps)}); lower it in params/base.yaml"
        )
    facts = loaded.pack.json(PARAMS)
    return Seat(
        loaded.strategy, loaded.pack.digest, loaded.version, loaded.stage, loaded.mode, share,
        float(steps[step - 1]) if steps else None, facts["sizing"]["max_gross"], facts["portfolio"]["rebalance"],
        facts["costs"]["spread_bps"] / 2.0,
    )  # fmt: skip


def shares_of(names: Sequence[str], live: LiveParams) -> Mapping[str, float]:
    """Return each strategy's share of the equity: as written, or all the same."""
    if not live.shares:
        return {name: 1.0 / len(names) for name in names}
    for name in names:
        if name not in live.shares:
            raise InputRefused(
                f"live.shares has no share of '{name}', which stands here; write one, or leave live.shares empty for "
                f"equal ones.{did_you_mean(name, live.shares)}"
            )
    total = sum(live.shares[name] for name in names)
    if total > 1.0 + 1e-9:
        raise InputRefused(f"live.shares of {', '.join(names)} sum to {total:g}, more than 1; lower them")
    return {name: live.shares[name] for name in names}
