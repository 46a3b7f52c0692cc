"""Where each person stands, given camera and ground."""
