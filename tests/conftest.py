"""What several tests share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Small numeric references."""
    return Path(__file__).parent / "data"
