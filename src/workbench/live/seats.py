"""Who sits at the desk: what stands at a stage, through the loader and nothing else, with its share of the money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from workbench.errors import InputRefused, did_you_mean
from workbench.live.session import Seat
from workbench.params import LiveParams, Paths, Settings
from workbench.registry.loader import AccountMode, Loaded, load
from workbench.registry.packs.approvers import Approvers

PARAMS = "params.json"


def load_seats(
    names: Sequence[str], stage: str, settings: Settings, paths: Paths, now: datetime
) -> tuple[tuple[Seat, ...], tuple[str, ...]]:
    """Return a seat for each name, every byte of its evidence verified, and what a person should know all the same."""
    approvers = Approvers.read(paths.params / "approvers.yaml", paths)
    account = AccountMode(settings.live.mode)
    loaded = [
        load(name, stage, account=account, settings=settings, paths=paths, approvers=approvers, now=now)
        for name in names
    ]
    shares = shares_of(names, settings.live)
    seats = tuple(seat_of(one, shares[name], settings.live) for name, one in zip(names, loaded, strict=True))
    return seats, tuple(warning for one in loaded for warning in one.warnings)


def seat_of(loaded: Loaded, share: float, live: LiveParams) -> Seat:
    """Return the seat of a loaded strategy; staged live is bounded by the step of capital that it has reached."""
    steps: Sequence[float] = loaded.limits.get("capital_steps", ())
    step = live.capital_step.get(loaded.strategy.name, 1)
    if steps and step > len(steps):
        raise InputRefused(
            f"live.capital_step of {loaded.strategy.name} is {step}, its approval has {len(steps)} steps "
            f"({', '.join(f'{one:,.0f}' for one in steps)}); lower it in params/base.yaml"
        )
    rebalance = loaded.pack.json(PARAMS)["portfolio"]["rebalance"]
    return Seat(
        loaded.strategy, loaded.pack.digest, loaded.version, loaded.stage, loaded.mode, share,
        float(steps[step - 1]) if steps else None, rebalance,
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
