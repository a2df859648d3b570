"""What sizing is asked for: the one group of settings that weights depend on, apart from how settings are read.

A strategy that imports it from here does not count the reading of settings among the code that decides.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

# Of every group of settings: frozen, and an unknown key is refused.
STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SizingParams(BaseModel):
    """How raw scores become weights: the only place where weights are capped."""

    model_config = STRICT

    target_volatility: float | None = Field(0.10, gt=0.0, le=1.0)
    volatility_sessions: int = Field(63, ge=10)
    max_weight: float = Field(0.10, gt=0.0, le=2.0)
    max_gross: float = Field(1.5, gt=0.0, le=10.0)
    max_net: float = Field(1.0, ge=0.0, le=1.0)
