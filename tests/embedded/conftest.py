"""The embedded stack, looked at from inside."""

from pathlib import Path

import pytest
from tests.driver import Driver, EmbeddedDriver

from gauntlet import bootstrap
from gauntlet.embedded.config import StackConfig


def make_config(home: Path) -> StackConfig:
    """A stack of this checkout on free ports."""
    return bootstrap.stack_config(EmbeddedDriver.make(home).settings)


@pytest.fixture
def stack(driver: Driver) -> StackConfig:
    """The configuration of the stack that runs."""
    return bootstrap.stack_config(driver.settings)
