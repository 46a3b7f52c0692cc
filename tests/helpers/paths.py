"""Where things are in the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"  # small numeric references
WEIGHTS = ROOT / "crowd3d" / "weights"
DEMO = ROOT / "docs" / "demo" / "plaza.jpg"
