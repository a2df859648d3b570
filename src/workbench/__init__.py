"""The quant workbench: one strategy line in the notebook, the backtest and live."""

__version__ = "0.1.0"
