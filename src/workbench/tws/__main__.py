"""Run one simulator from settings as JSON; the first line it prints names its ports."""

import json
import sys

from workbench.tws.refused import SimulatorRefused
from workbench.tws.server import serve
from workbench.tws.settings import Settings

try:
    settings = Settings.from_json(sys.argv[1] if len(sys.argv) > 1 else "{}")
    serve(settings, lambda port, control: print(json.dumps({"port": port, "control": control}), flush=True))  # noqa: T201
except SimulatorRefused as error:
    sys.exit(f"error: {error}")
