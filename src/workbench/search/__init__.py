"""The search: every cell of a grid, or chosen ones, measured in parallel; the plateau told from the lonely peak."""
