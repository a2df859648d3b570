"""The embedded broker: the same protocol as a real one, deterministic, with a state that outlives a crash."""

from workbench.live.paper.broker import PaperBroker
from workbench.live.paper.market import BarMarket, Market, Print, PushedMarket, SteppedClock

__all__ = ["BarMarket", "Market", "PaperBroker", "Print", "PushedMarket", "SteppedClock"]
