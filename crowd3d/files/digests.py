"""SHA-256 digests that tell whether two results depend on the same things."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def key_of(values: dict[str, Any]) -> str:
    """SHA-256 of everything that a frame's entry depends on; plain JSON values."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(file: Path) -> str:
    """SHA-256 of a file's bytes; raises OSError."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
