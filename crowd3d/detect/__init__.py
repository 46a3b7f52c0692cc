"""Finding people: who is where in the picture, in pixels, and which way they face."""
