"""Makes packs: of a finished walk-forward, and of what else is promoted. docs/promotion.md lists every part."""
