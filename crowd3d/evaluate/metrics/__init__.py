"""The formulas of every score."""
