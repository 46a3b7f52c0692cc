"""Better poses and places, once everybody stands."""
