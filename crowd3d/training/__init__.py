"""Training of the networks: data made by rule from motion capture, loops, recipes."""
