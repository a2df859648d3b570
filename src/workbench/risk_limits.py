"""Every risk limit by its name, with its strictest number: live trading asks them, packs are held against them.

More is looser, except for ``min_…``, where less is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import Field

from workbench.errors import DataRefused, ParamsRefused
from workbench.params import Section, digest, read_section

# Whose limits the runner reads, from params/risk/ and from the packs of these names: a broker's account, the embedded.
PROFILES = ("default", "sample")


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


def parse_limits(content: bytes, origin: str) -> Limits:
    """Return the limits that a promoted pack holds."""
    try:
        read = yaml.safe_load(content.decode())
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataRefused(f"{origin}: cannot be read ({' '.join(str(error).split())}); make the pack again") from error
    if not isinstance(read, Mapping):
        raise DataRefused(f"{origin}: holds no limits; make the pack again")
    return whole_limits(read, origin)


def whole_limits(content: Mapping[str, Any], origin: str) -> Limits:
    """Return the limits of a file, each of which must be written down."""
    limits = read_section(Limits, content, origin)
    if missing := sorted(Limits.model_fields.keys() - content.keys()):
        raise ParamsRefused(f"{origin}: '{missing[0]}' is missing; write every limit down ({len(missing)} missing)")
    return limits
