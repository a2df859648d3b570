"""Features: what can be computed from bars, row by row, without looking ahead."""
