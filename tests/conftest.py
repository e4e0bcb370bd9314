"""One real stack for all tests that need one: embedded, or with --stack compose the containers."""

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.driver import ComposeDriver, Driver, EmbeddedDriver

TESTS = Path(__file__).parent
NEEDS = {TESTS / "embedded": "embedded", TESTS / "compose": "compose", TESTS / "scale": "scale"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stack", choices=["embedded", "compose", "scale"], default="embedded", help="The stack that tests start."
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the tests of the other form."""
    return True if NEEDS.get(collection_path, config.option.stack) != config.option.stack else None


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A state folder that every user may pass through, as Postgres must under root."""
    folder = Path(tempfile.mkdtemp(prefix="gauntlet-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def driver(request: pytest.FixtureRequest, home: Path) -> Iterator[Driver]:
    """The command line of a stack that runs; stopped and forgotten after the last test."""
    compose = request.config.option.stack == "compose"
    driver = ComposeDriver.make("gauntlet-test") if compose else EmbeddedDriver.make(home)
    before = dict(os.environ)
    os.environ |= driver.env  # what runs in this process speaks to the same stack
    try:
        driver.run("up")
        yield driver
    finally:
        driver.remove()
        os.environ.clear()
        os.environ |= before


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Beside a failed test show what the containers said while it ran."""
    report = yield
    driver = getattr(item, "funcargs", {}).get("driver")
    if report.failed and isinstance(driver, ComposeDriver):
        report.sections.append(("containers", driver.docker("compose", "ps", "--all", ok=False)))
        report.sections.append(("logs", driver.docker("compose", "logs", "--no-color", "--tail=25", ok=False)))
    return report
