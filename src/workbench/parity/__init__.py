"""Did it trade as it was simulated? A period's journal held against the same sessions computed again."""
