"""Data in: sources, the sample market, the lake and its quality rules."""
