"""Reading a picture with Crowd3DNet: plan patches, read people in each, and join them to one row per person."""
