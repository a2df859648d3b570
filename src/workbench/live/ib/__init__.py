"""Interactive Brokers behind the broker protocol, over ib_async with its unsafe defaults changed (docs/live.md)."""

from workbench.live.ib.broker import IBBroker

__all__ = ["IBBroker"]
