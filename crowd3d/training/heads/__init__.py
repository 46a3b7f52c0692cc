"""Training of heads-s on rendered crowds."""
