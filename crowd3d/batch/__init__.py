"""Reconstructing many pictures: folders, shards for several machines, and the LargeCrowd benchmark."""
