"""What the classification task is made of: its presets, its data made ready, its results, its predictions."""
