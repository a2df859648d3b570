"""The style sheet that all pages share, with colours by day and by night; nothing is loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from workbench.figures.style import STYLE

DARK: Mapping[str, str] = {
    "paper": "#14181f",
    "ink": "#e6eaf0",
    "soft": "#9aa6b4",
    "faint": "#5b6673",
    "grid": "#262d37",
    "band": "#1a2029",
    "own": "#5aa2e6",
    "benchmark": "#8a94a0",
    "train": "#4a5a6e",
    "gain": "#5aa2e6",
    "loss": "#e07a4d",
    "mark": "#e3a008",
    "stamp": "#e0a04a",
}

_SHARED = """\
* { box-sizing: border-box }
body { margin: 0 auto; padding: 28px 24px 64px; max-width: 980px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 "Helvetica Neue", Helvetica, Arial, "Liberation Sans", system-ui, sans-serif;
  font-variant-numeric: tabular-nums }
h1 { margin: 0; font-size: 28px; letter-spacing: -.01em }
h2 { margin: 40px 0 8px; padding-top: 14px; border-top: 1px solid var(--grid); font-size: 18px }
h3 { margin: 20px 0 4px; font-size: 14px; color: var(--soft) }
p { margin: 6px 0 }
.banner { margin: 0 0 20px; padding: 9px 14px; border: 1px solid var(--stamp); border-radius: 6px; color: var(--stamp);
  font-size: 13.5px }
.banner b { letter-spacing: .04em; margin-right: .5em }
.verdict { margin: 20px 0; padding: 14px 18px; background: var(--band); border-left: 4px solid var(--own);
  border-radius: 0 6px 6px 0 }
.verdict b { font-size: 16.5px }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 1px; margin: 20px 0; background: var(--grid);
  border: 1px solid var(--grid); border-radius: 8px; overflow: hidden }
.tiles div { background: var(--paper); padding: 12px 14px }
.tiles span { display: block; color: var(--soft); font-size: 12.5px }
.tiles b { display: block; font-size: 23px; line-height: 1.3; letter-spacing: -.01em }
figure { margin: 14px -18px; break-inside: avoid }
svg { display: block; width: 100%; height: auto }
svg text { font-family: "Helvetica Neue", Helvetica, Arial, "Liberation Sans", system-ui, sans-serif !important }
.scroll { overflow-x: auto }
table { width: 100%; border-collapse: collapse; font-size: 13.5px; break-inside: avoid }
th { color: var(--soft); font-weight: 500; text-align: left; vertical-align: bottom; padding: 5px 8px;
  border-bottom: 1px solid var(--faint) }
td { padding: 4px 8px; border-bottom: 1px solid var(--grid); vertical-align: top }
@media (max-width: 640px) { .tiles { grid-template-columns: repeat(2, 1fr) } }
@media print { body { max-width: none; padding: 0; font-size: 10pt }
  table { font-size: 9pt; break-inside: auto } tr { break-inside: avoid } h2, h3 { break-after: avoid }
  details { display: block } .tiles, .verdict, td { print-color-adjust: exact; -webkit-print-color-adjust: exact } }
"""


def style_sheet(own: str = "") -> Markup:
    """Return the sheet, the rules of one page after those of all."""
    day, night = _variables(STYLE), _variables(DARK)
    colours = (
        f":root {{ color-scheme: light dark; {day} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {night} }} }}\n@media print {{ :root {{ {day} }} }}\n"
    )
    return Markup(f"<style>\n{colours}{_SHARED}{own}</style>")  # noqa: S704 - our own text, none of a user's


def _variables(colours: Mapping[str, str]) -> str:
    return "; ".join(f"--{name}: {colour}" for name, colour in colours.items())
