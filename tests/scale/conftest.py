"""The stack with two Celery workers, and what the tests measured on it."""

import secrets
from collections.abc import Iterator

import pytest
from tests.driver import ComposeDriver

FILES = "docker-compose.yml:docker-compose.scale.yml"


@pytest.fixture(scope="session")
def driver() -> Iterator[ComposeDriver]:
    """The command line of such a stack; removed after the last test."""
    driver = ComposeDriver.make("gauntlet-test-scale", COMPOSE_FILE=FILES, VALKEY_PASSWORD=secrets.token_urlsafe(24))
    try:
        driver.docker("compose", "build", "--quiet", "databases", "valkey")
        driver.run("up")
        yield driver
    finally:
        driver.remove()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests recorded: the figures of docs/scale.md."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")
