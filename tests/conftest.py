"""What several tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run: a check that fails for one is worth an issue, not a lottery.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Small numeric references."""
    return Path(__file__).parent / "data"
