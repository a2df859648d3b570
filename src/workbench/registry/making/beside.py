"""What was set beside the project's files for a run: on the command line or in the environment."""

from __future__ import annotations

from workbench.clock import read_clock
from workbench.params import Paths, Settings, read_yaml

# The sections that shape what a run finds.
SHAPING = ("sample", "data", "walk_forward", "sizing", "portfolio", "costs")


def set_beside(settings: Settings, paths: Paths) -> dict[str, str]:
    """Return by its key what shapes a result and is not as in params/base.yaml.

    ``{"costs.spread_bps": "0.0 instead of 2.0"}``. How old data may be shapes nothing, nor does simulated time itself.
    """
    written = Settings(**read_yaml(paths.params / "base.yaml", paths))
    left_out = {"data.max_age_sessions"}
    if read_clock(settings.market, paths).simulated:
        left_out.add("data.as_of")
    found = {}
    for section in SHAPING:
        used, said = (getattr(one, section).model_dump(mode="json") for one in (settings, written))
        for key in used:
            name = f"{section}.{key}"
            if used[key] != said[key] and name not in left_out:
                found[name] = f"{used[key]} instead of {said[key]}"
    return found
