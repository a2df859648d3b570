"""The embedded sample market: fictional, deterministic by seed, with planted effects to check research against."""

from workbench.data.sample.market import SampleMarket, generate
from workbench.data.sample.source import SampleSource
from workbench.data.sample.truth import Planted, truth

__all__ = ["Planted", "SampleMarket", "SampleSource", "generate", "truth"]
