"""Training of the probability that a candidate is a person."""
