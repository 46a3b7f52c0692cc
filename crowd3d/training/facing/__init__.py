"""Training of the readout that tells where people face."""
