"""Training of the facing readout on rendered people."""
