"""What is planted in the sample market, where, and how big: the answer sheet that research is checked against.

>>> [effect.name for effect in truth(SampleParams())]
['momentum', 'reversion', 'events', 'none']
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.params import SampleParams

# The sectors by the letters their symbols begin with.
SECTORS = {
    "TEC": "Technology",
    "HLT": "Health",
    "ENR": "Energy",
    "FIN": "Finance",
    "CON": "Consumer",
    "UTL": "Utilities",
}
BENCHMARK = "MKT00"
BENCHMARK_SECTOR = "Benchmark"

SESSIONS_PER_YEAR = 252
MARKET_GROWTH = 0.065  # a year, geometric, dividends reinvested; the realised path is pinned to it
GAP_SHARE = 0.30  # of each day's variance and planted drift falls into the overnight gap

MOMENTUM_SECTORS = ("TEC", "FIN")
MOMENTUM_DRIFT = 0.22  # standard deviation across companies of the hidden drift, a year, at size 1
MOMENTUM_HALF_LIFE = 126  # sessions

REVERSION_SECTORS = ("HLT", "ENR")
REVERSION_WIDTH = 1.10  # standard deviation of the price deviation, in daily own volatilities, at size 1
REVERSION_HALF_LIFE = 3  # sessions

EVENT_SECTORS = ("CON",)
EVENT_DRIFT_SESSIONS = 10  # after the first session that knew of the event
# How much an event's surprise tells of the company's own shock: of that first session, and of each that follows.
EVENT_REACTION, EVENT_DRIFT = 0.45, 0.08


@dataclass(frozen=True)
class Planted:
    """One effect: where it is, how big, how long it lasts, and which setting switches it."""

    name: str
    switch: str
    sectors: tuple[str, ...]
    size: float
    unit: str
    half_life_sessions: int
    says: str


def event_correlations(size: float) -> tuple[float, float]:
    """Return the correlation of a surprise with the first session's own shock, and with that of each drift session.

    surprise = (size * (reaction * shock[0] + drift * (shock[1] + … + shock[10])) + noise) / its standard deviation
    """
    reaction, drift = size * EVENT_REACTION, size * EVENT_DRIFT
    deviation = (1.0 + reaction**2 + EVENT_DRIFT_SESSIONS * drift**2) ** 0.5
    return reaction / deviation, drift / deviation


def truth(params: SampleParams) -> tuple[Planted, ...]:
    """Return every planted effect with its size under these settings; size 0 means switched off."""
    bare = tuple(code for code in SECTORS if code not in (*MOMENTUM_SECTORS, *REVERSION_SECTORS))
    return (
        Planted(
            "momentum",
            "sample.momentum",
            _names(MOMENTUM_SECTORS),
            MOMENTUM_DRIFT * params.momentum,
            "standard deviation of a company's hidden drift, per year",
            MOMENTUM_HALF_LIFE,
            "Each company has a hidden drift of its own that fades over months, so past winners go on winning.",
        ),
        Planted(
            "reversion",
            "sample.reversion",
            _names(REVERSION_SECTORS),
            REVERSION_WIDTH * params.reversion,
            "standard deviation of the price's deviation from its fair value, in daily volatilities",
            REVERSION_HALF_LIFE,
            "Each price strays from its fair value and comes back within days, so last week's losers recover.",
        ),
        Planted(
            "events",
            "sample.events",
            _names(EVENT_SECTORS),
            EVENT_DRIFT_SESSIONS * event_correlations(params.events)[1],
            f"drift over {EVENT_DRIFT_SESSIONS} sessions, in daily own volatilities, after a surprise of one",
            EVENT_DRIFT_SESSIONS // 2,
            "An earnings surprise foretells the company's own moves of the days after; elsewhere it is noise.",
        ),
        Planted("none", "", _names(bare), 0.0, "", 0, "Nothing is planted in these prices: whatever they pay is luck."),
    )


def _names(codes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(SECTORS[code] for code in codes)
