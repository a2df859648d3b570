"""Pictures as files: PNG for notebooks and runs, SVG for pages that turn dark."""

from __future__ import annotations

import io
import re
import threading
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from workbench.errors import CannotWrite
from workbench.figures.style import DPI, STYLE

_SVG = threading.Lock()
_NAMES = {colour: name for name, colour in reversed(list(STYLE.items()))}
_COLOURS = re.compile("|".join(_NAMES))
_SURPLUS = re.compile(r"(?<=\.\d\d)\d+")


class Picture(Figure):
    """A figure that a notebook shows by itself, at the size it was made for."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return png(self), {"width": round(100 * float(self.get_figwidth()))}


def png(figure: Figure, file: Path | None = None) -> bytes:
    """Return the figure as PNG, written to ``file`` where one is given."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    buffer = io.BytesIO()
    # Nothing is transparent, and more compression takes longer than drawing did.
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(buffer, "png", compress_level=2)
    if file is not None:
        try:
            file.write_bytes(buffer.getvalue())
        except OSError as error:
            raise CannotWrite(f"{file}: {error.strerror}; free space or choose another folder") from error
    return buffer.getvalue()


def svg(figure: Figure) -> str:
    """Return the figure as an SVG element: text stays text, and colours are CSS variables named after ``STYLE``."""
    buffer = io.StringIO()
    with _SVG, mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "workbench"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, count=1, flags=re.S)
    # Coordinates to a hundredth of a point: a third of the size, no difference to the eye.
    text = re.sub(r' d="[^"]+"', lambda path: _SURPLUS.sub("", path.group()), text)
    return _COLOURS.sub(lambda colour: f"var(--{_NAMES[colour.group()]}, {colour.group()})", text)
