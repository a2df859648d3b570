"""What a simulator is started with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.tws.hours import ALWAYS, Hours
from workbench.tws.market import DEFAULT_PRICES, Market, Walk, instruments_of
from workbench.tws.recorded import read_bars
from workbench.tws.refused import SimulatorRefused, nearest

VERSIONS = range(157, 179)


@dataclass(frozen=True)
class Settings:
    """Port 0 takes a free one; a factor of 0 lets time stand still; no state file keeps the broker in memory."""

    port: int = 0
    control: int = 0
    host: str = "127.0.0.1"
    server_version: int = 178
    seed: int = 7
    state: str = ""
    account: str = "DU1234567"
    cash: float = 1_000_000.0
    holdings: Mapping[str, tuple[int, float]] = field(default_factory=dict)  # symbol -> shares, cost of one
    start: str = "2026-01-05T15:00:00+00:00"  # a Monday, 10:00 in New York; "now" is the real time
    factor: float = 1.0
    hours: str = "us"  # or "always"
    market: str = ""  # a file of recorded bars
    symbols: Mapping[str, float] = field(default_factory=dict)  # prices at the start, where there is no file
    spread_bps: float = 2.0
    lot: int = 100  # the book shows 1 to 16 lots a level
    faults: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if self.server_version not in VERSIONS or self.server_version == 158:
            raise SimulatorRefused(f"server_version {self.server_version}: known are 157 and 159 to 178; take 178")
        for name in ("port", "control"):
            if not 0 <= getattr(self, name) <= 65_535:
                raise SimulatorRefused(f"{name} {getattr(self, name)}: a port lies between 0 (any free one) and 65535")
        for name, least in (("factor", 0.0), ("spread_bps", 0.0), ("lot", 1), ("seed", 0)):
            if not getattr(self, name) >= least:
                raise SimulatorRefused(f"{name} {getattr(self, name)}: at least {least:g}")
        if self.hours not in ("us", "always"):
            raise SimulatorRefused(f"hours '{self.hours}'. {nearest(self.hours, ('us', 'always'))}")
        if not self.account.startswith("DU"):
            raise SimulatorRefused(
                f"account '{self.account}': a simulated account is a paper account and starts with DU"
            )
        if self.market and self.symbols:
            raise SimulatorRefused("symbols: a market file names its own symbols; give one of the two")
        _ = self.start_at

    @property
    def start_at(self) -> float:
        """Return the simulated time of the start."""
        if self.start == "now":
            return datetime.now(UTC).timestamp()
        try:
            at = datetime.fromisoformat(self.start)
        except ValueError:
            raise SimulatorRefused(
                f"start '{self.start}': give 'now' or a time like 2026-01-05T15:00:00+00:00"
            ) from None
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()

    def open_market(self) -> Market:
        """Return the prices that these settings name."""
        hours = ALWAYS if self.hours == "always" else Hours()
        if self.market:
            recorded = read_bars(Path(self.market), self.seed)
            if self.hours == "us":
                hours = Hours(days=recorded.days)
            return Market(instruments_of(list(recorded.series)), recorded, hours, self.seed, self.spread_bps, self.lot)
        prices = dict(self.symbols or DEFAULT_PRICES)
        wrong = [f"{symbol} {price}" for symbol, price in prices.items() if not price > 0]
        if wrong:
            raise SimulatorRefused(f"symbols: {wrong[0]}: a price is above 0")
        anchor = (
            datetime.fromisoformat("2026-01-05T15:00:00+00:00").timestamp() if self.start == "now" else self.start_at
        )
        walk = Walk(prices, hours.last_day(anchor), self.seed)
        return Market(instruments_of(prices), walk, hours, self.seed, self.spread_bps, self.lot)

    def to_json(self) -> str:
        """Return them as text for another process."""
        return json.dumps(asdict(self) | {"holdings": dict(self.holdings), "symbols": dict(self.symbols)})

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Read them back."""
        values = json.loads(text)
        unknown = set(values) - {one.name for one in fields(cls)}
        if unknown:
            word = sorted(unknown)[0]
            raise SimulatorRefused(f"unknown setting '{word}'. {nearest(word, [one.name for one in fields(cls)])}")
        values["faults"] = tuple(values.get("faults", ()))
        return cls(**values)
