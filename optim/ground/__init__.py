"""Camera and ground from people, by robust least squares."""
