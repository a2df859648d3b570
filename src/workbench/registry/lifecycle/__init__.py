"""Which version of what stands at which stage, who moved it there and on what evidence."""
