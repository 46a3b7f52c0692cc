"""Camera and ground, fitted to the people and to straight edges."""
