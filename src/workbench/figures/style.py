"""The look of every picture: colours, sizes and fonts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import font_manager
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from numpy.typing import NDArray

Array = NDArray[np.float64]

# The colours keep apart under the common kinds of colour blindness (after Okabe and Ito).
STYLE: Mapping[str, str] = {
    "paper": "#ffffff",
    "ink": "#1b2430",
    "soft": "#667282",
    "faint": "#a8b0ba",
    "grid": "#e8ebef",
    "band": "#f5f7f9",
    "own": "#0b5cad",
    "benchmark": "#8a94a0",
    "train": "#b9c6d6",
    "gain": "#0b5cad",
    "loss": "#c8501e",
    "mark": "#e3a008",
    "stamp": "#a65f00",
}
SERIES = ("#0b5cad", "#e07b00", "#00866c", "#b0519a", "#4a9fd8", "#c8501e", "#9a7d0a", "#5b6673")
# On a coloured ground, the same by day and by night: one step off "paper" and "ink", which turn in dark mode.
WHITE, BLACK = "#fefefe", "#1b2431"
DIVERGING = LinearSegmentedColormap.from_list(
    "loss_gain", ["#b5431a", "#dd8a63", "#f6d9c9", "#fbfbfa", "#cfe0f1", "#6fa3d4", "#0b5cad"]
)
FAMILIES = ("Inter", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans")
WIDTH = 9.0
DPI = 150


@lru_cache(maxsize=1)
def family() -> list[str]:
    """Return the first font that is here, and the last, which comes with matplotlib and has the odd signs."""
    known = set(font_manager.get_font_names())
    first = next(name for name in FAMILIES if name in known or name == FAMILIES[-1])
    return list(dict.fromkeys([first, FAMILIES[-1]]))


def symmetric(values: Array) -> TwoSlopeNorm:
    """Return a colour scale around zero that two outliers cannot flatten."""
    sizes = np.abs(values[np.isfinite(values)])
    edge = float(np.quantile(sizes, 0.98)) if len(sizes) else 1.0
    edge = edge if edge > 0 else 1.0
    return TwoSlopeNorm(0.0, -edge, edge)


def shades(table: pd.DataFrame) -> list[list[tuple[str, str]]]:
    """Return the colours of each value's ground and text, blue for gains, by size within the table."""
    norm = symmetric(table.to_numpy(dtype=float))
    grounds = DIVERGING(norm(np.nan_to_num(table.to_numpy(dtype=float))))
    return [[(str(mpl.colors.to_hex(ground)), text_on(ground)) for ground in row] for row in grounds]


def text_on(shade: Any) -> str:
    """Return the text colour that reads on a shade."""
    return WHITE if _brightness(mpl.colors.to_rgb(shade)) < 0.55 else BLACK


def darker(colour: str) -> str:
    """Return the colour, dark enough for text on paper."""
    rgb = mpl.colors.to_rgb(colour)
    bright = _brightness(rgb)
    factor = min(1.0, 0.45 / bright) if bright else 1.0
    return str(mpl.colors.to_hex((rgb[0] * factor, rgb[1] * factor, rgb[2] * factor)))


def _brightness(rgb: tuple[float, float, float]) -> float:
    red, green, blue = rgb
    return 0.299 * red + 0.587 * green + 0.114 * blue
