"""How every picture looks: colours, canvas, axes and images; what is drawn on them stands with its subject."""
