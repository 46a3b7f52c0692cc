"""Training of crowdnet-s and rootnet-s on rendered crops."""
