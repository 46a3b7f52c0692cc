"""Trunks shared by the published networks."""
