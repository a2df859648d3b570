"""The only door into the runner: what stands at a stage is loaded with every byte verified, or refused in one line.

>>> loaded = load("xs_momentum", "production", account=AccountMode.LIVE, settings=settings, paths=paths,
...               approvers=approvers, now=datetime.now(UTC))
>>> weights = loaded.strategy.weights(bars)

Nothing of a pack is ever executed or unpickled: it holds data, and the code is the installed one, held against the
digests that were approved.
"""

from workbench.registry.loader.account import AccountMode
from workbench.registry.loader.load import Loaded, LoadedPayload, load, load_payload, stands

__all__ = ["AccountMode", "Loaded", "LoadedPayload", "load", "load_payload", "stands"]
