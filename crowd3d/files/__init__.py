"""Bytes to and from disk: atomic writes, strict JSON, weights, digests."""
