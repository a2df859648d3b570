"""Which regime a market was in, as it was known before each session opened.

The label of a session uses the benchmark's closes up to the session before: it could have been read off the evening
before, and nothing after it can change it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

VOLATILITY_SESSIONS = 21
# Against which the volatility of now is high or low: its median over this many sessions up to now.
COMPARED_SESSIONS, COMPARED_AT_LEAST = 756, 126
TREND_SESSIONS = 200

HIGH_VOLATILITY, LOW_VOLATILITY = "in high volatility", "in low volatility"
UPTREND, DOWNTREND = "in an uptrend", "in a downtrend"
_SWINGS = f"the benchmark's volatility of {VOLATILITY_SESSIONS} sessions"
_LEVEL = f"its average of {TREND_SESSIONS} sessions the day before"
MEANING = {
    HIGH_VOLATILITY: f"{_SWINGS} was above its median of three years",
    LOW_VOLATILITY: f"{_SWINGS} was at or below its median of three years",
    UPTREND: f"the benchmark closed above {_LEVEL}",
    DOWNTREND: f"the benchmark closed at or below {_LEVEL}",
}


def regimes(close: pd.Series) -> pd.DataFrame:
    """Return session × regime, True where it held; a session without enough history is in neither of a pair."""
    returns = close.pct_change(fill_method=None)
    volatility = returns.rolling(VOLATILITY_SESSIONS, min_periods=VOLATILITY_SESSIONS).std()
    usual = volatility.rolling(COMPARED_SESSIONS, min_periods=COMPARED_AT_LEAST).median()
    trend = close.rolling(TREND_SESSIONS, min_periods=TREND_SESSIONS).mean()
    wild, calm = volatility > usual, volatility <= usual
    up, down = close > trend, close <= trend
    known = pd.DataFrame({HIGH_VOLATILITY: wild, LOW_VOLATILITY: calm, UPTREND: up, DOWNTREND: down})
    # What a close says is known for the session after it.
    values = np.vstack([np.zeros((1, known.shape[1]), dtype=bool), known.to_numpy()[:-1]])
    return pd.DataFrame(values, index=close.index, columns=known.columns)
