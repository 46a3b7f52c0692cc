"""Better poses and places, after all people were lifted and set on the ground."""
