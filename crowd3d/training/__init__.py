"""Makes the weights of the package's own networks, and adapts Crowd3DNet to a place."""
