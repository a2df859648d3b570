"""Makes packs: of a finished walk-forward, and of what else is promoted. docs/packs.md lists every part."""
