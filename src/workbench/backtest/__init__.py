"""Walk-forward backtests: splits, simulation, costs, statistics, tear sheets."""
