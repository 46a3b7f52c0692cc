"""Convolutional trunks that several networks share."""
