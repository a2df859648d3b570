"""Whether anything may be traded: ACTIVE, REDUCING or HALTED. It survives restarts.

Anything may tighten it at any moment. Only a person with a reason loosens it.
"""

from __future__ import annotations

from enum import StrEnum


class TradingState(StrEnum):
    """What orders may be sent."""

    ACTIVE = "active"
    REDUCING = "reducing"  # only what shrinks a position
    HALTED = "halted"  # nothing, but what the emergency stop closes with
