"""Camera, ground and everybody solved together."""
