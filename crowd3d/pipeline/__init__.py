"""The order of the stages: which is called when, with which networks and settings."""
