"""The part that touches money: a runner that trades only verified packs, through one gate and one journal."""
