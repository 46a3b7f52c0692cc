"""Training of glance-s on rendered people before anything."""
