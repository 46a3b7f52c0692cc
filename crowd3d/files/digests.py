"""SHA-256 digests that tell whether two results depend on the same things."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from crowd3d.files.reading import open_regular


def key_of(values: dict[str, Any]) -> str:
    """SHA-256 of everything that a frame's entry depends on; plain JSON values."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(file: Path) -> str:
    """SHA-256 of the bytes of a regular file; raises DataError."""
    digest = hashlib.sha256()
    with open_regular(file) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
