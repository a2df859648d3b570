"""Strategies: small pure objects, one idea a file, all called by the same line ``strategy.weights(bars)``."""
