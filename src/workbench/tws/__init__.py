"""A simulator of the TWS gateway: unmodified clients connect to it. It imports nothing else of the workbench."""

from workbench.tws.refused import SimulatorRefused
from workbench.tws.settings import Settings
from workbench.tws.simulator import Simulator

__all__ = ["Settings", "Simulator", "SimulatorRefused"]
