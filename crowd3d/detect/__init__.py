"""Who is where in the picture, in pixels."""
