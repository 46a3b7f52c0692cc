"""How Crowd3DNet reads a picture: patches, looks, one row a person."""
