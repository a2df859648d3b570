"""Interactive Brokers behind the broker protocol, over ib_async with its unsafe defaults changed (docs/live.md)."""

import logging

from workbench.live.ib.broker import IBBroker

# The library writes "Peer closed connection." on the terminal, where no log is set up; our errors say more.
logging.getLogger("ib_async").addHandler(logging.NullHandler())

__all__ = ["IBBroker"]
