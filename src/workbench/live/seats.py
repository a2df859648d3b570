"""Who sits at the desk: what stands at a stage, through the loader and nothing else, with its share of the money."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from workbench.errors import DataRefused, InputRefused, did_you_mean
from workbench.live.session import Seat
from workbench.params import LiveParams, Paths, Settings
from workbench.registry.loader import AccountMode, Loaded, load, load_payload
from workbench.registry.packs.approvers import Approvers, list_file
from workbench.registry.packs.lines import promote_line
from workbench.types import Bars

PARAMS = "params.json"
WEIGHTS = "weights"  # the kind of pack
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


@dataclass(frozen=True)
class Promoted:
    """The shares of promoted weights (None: none stand here), whether they may only reduce, what to know of them."""

    shares: Mapping[str, float] | None = None
    reduce_only: bool = False
    told: tuple[str, ...] = ()


def promoted_shares(standing: Mapping[str, str], settings: Settings, paths: Paths, now: datetime) -> Promoted:
    """Return what the promoted weights that stand at a stage, by name and stage, say; demoted ones let nothing grow."""
    if not standing:
        return Promoted()
    if len(standing) > 1:
        raise InputRefused(
            f"weights {', '.join(standing)} stand here at once; keep one: workbench retire NAME --kind {WEIGHTS}"
        )
    ((name, stage),) = standing.items()
    approvers, account = Approvers.read(list_file(settings, paths), paths), AccountMode(settings.live.mode)
    found = load_payload(
        WEIGHTS, name, stage, account=account, settings=settings, paths=paths, approvers=approvers, now=now
    )
    if settings.live.shares:
        raise InputRefused(
            f"live.shares is written, and weights {name} version {found.version} stand here; leave live.shares empty, "
            f"or take them out: workbench retire {name} --kind {WEIGHTS}"
        )
    where, told = f"weights {name} version {found.version}", found.warnings
    if found.reduce_only:
        told += (
            f"{where} may only reduce, and so may all that trades by them: promote weights, or lift it: "
            f"{promote_line(WEIGHTS, name, found.version)}",
        )
    return Promoted(read_weights(found.content, where), found.reduce_only, told)


def read_weights(content: bytes, where: str) -> Mapping[str, float]:
    """Return the weights of a promoted file, each above 0 and at most 1, or refuse."""
    try:
        found = json.loads(content)["weights"]
        bad = {
            name: share for name, share in found.items() if type(share) not in (int, float) or not 0.0 < share <= 1.0
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataRefused(f"{where}: no weights by strategy can be read; promote others") from error
    if bad or not found:
        said = ", ".join(f"{name} {share!r}" for name, share in bad.items()) or "none"
        raise DataRefused(f"{where}: {said}; a share of the equity is above 0 and at most 1: promote others")
    return {str(name): float(share) for name, share in found.items()}


def shares_of(
    names: Sequence[str],
    live: LiveParams,
    promoted: Mapping[str, float] | None = None,
    moved: Collection[str] = (),
) -> Mapping[str, float]:
    """Return each strategy's share of the equity: as promoted, else as written, else all the same.

    Who ``moved`` away and may only reduce here needs none: by the whole equity, none of what is held is too much.
    """
    if promoted is None and not live.shares:
        return {name: 1.0 / len(names) for name in names}
    shares, where, mend = live.shares, "live.shares", "write one, or leave live.shares empty for equal ones"
    if promoted is not None:
        shares, where = dict(promoted), "what was promoted as weights"
        mend = f"promote weights that share with it, or take these out: workbench retire NAME --kind {WEIGHTS}"
    bare = {name: 1.0 for name in moved if name not in shares}
    for name in names:
        if name not in shares and name not in bare:
            raise InputRefused(
                f"{where} has no share of '{name}', which stands here; {mend}.{did_you_mean(name, shares)}"
            )
    total = sum(shares[name] for name in names if name not in bare)
    if total > 1.0 + 1e-9:
        raise InputRefused(f"{where}: those of {', '.join(names)} sum to {total:g}, more than 1; lower them")
    return {name: bare.get(name) or shares[name] for name in names}
