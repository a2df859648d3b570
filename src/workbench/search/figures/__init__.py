"""The pictures of a search: maps of scores and plateaus, lines through all parameters, height against company."""

from __future__ import annotations

from matplotlib.figure import Figure

from workbench.search.figures.company import company
from workbench.search.figures.maps import heat_map
from workbench.search.figures.parallel import parallel
from workbench.search.found import Found

__all__ = ["company", "draw", "heat_map", "parallel"]


def draw(found: Found) -> dict[str, Figure]:
    """Return the pictures that this search has something to show in, by name."""
    pictures = {"heat_map": heat_map(found), "company": company(found)}
    return pictures | ({"parallel": parallel(found)} if len(found.varied) > 1 else {})
