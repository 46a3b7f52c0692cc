"""Training of the lift from motion capture."""
