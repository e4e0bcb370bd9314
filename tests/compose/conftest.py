"""The stack in containers."""

import pytest
from tests.driver import ComposeDriver, Driver


@pytest.fixture
def compose(driver: Driver) -> ComposeDriver:
    """The stack that runs, with docker at hand."""
    assert isinstance(driver, ComposeDriver)
    return driver
