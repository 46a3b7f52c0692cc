"""Pure functions: rotations, posteriors, boxes, rays."""
