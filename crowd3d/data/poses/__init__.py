"""2D poses of other people's estimators: the files of each writer, and what they mean in a given picture."""
