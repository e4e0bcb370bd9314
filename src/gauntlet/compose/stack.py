"""The stack in containers: start, stop, status, logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gauntlet.compose.docker import DOWN, UP, Container, DockerCompose
from gauntlet.compose.environment import HOST, port, variables
from gauntlet.compose.project import MINIO, POSTGRES, SERVICES
from gauntlet.jobs.stack import Say, ServiceStatus, StackError

__all__ = ["POSTGRES", "SERVICES", "ComposeStack"]


@dataclass(frozen=True)
class ComposeStack:
    """The containers of one checkout; `services` are those of docker-compose.yml and of the files added to it."""

    docker: DockerCompose

    @property
    def services(self) -> tuple[str, ...]:
        """The names of the services that are kept running."""
        return self.docker.project.kept_running

    @property
    def one_shots(self) -> tuple[str, ...]:
        """The names of the services that prepare the others at each start, and end."""
        return self.docker.project.one_shots

    @property
    def start_command(self) -> str:
        """What a person types to start it."""
        return UP

    @property
    def login(self) -> str:
        """How to log in to Airflow's page."""
        return "user admin, password AIRFLOW_ADMIN_PASSWORD in .env"

    def start(self, say: Say) -> None:
        """Start every service and wait until all are healthy; raises StackError with the logs of what is not."""
        say("docker compose up -d --wait (the first time it builds two images: some minutes)")
        if self.docker.shown("up", "--detach", "--wait") != 0:
            raise self._failure()

    def stop(self, say: Say) -> None:
        """Stop and remove the containers; the volumes stay."""
        if self.docker.shown("down") != 0:
            raise StackError(f"{DOWN} must succeed; what it said stands above. Correct what it names, then: {DOWN}")
        say("stopped; the data stay in Docker's volumes")

    def status(self) -> Mapping[str, ServiceStatus]:
        """Return the state of each service, and of a one-shot that failed."""
        containers = self.docker.containers()
        found = {service: self._status(service, containers) for service in self.services}
        failed = {each.service: _failed(each) for each in containers if self._has_failed(each)}
        return {**found, **failed}

    def logs(self, service: str, *, lines: int, follow: bool) -> Iterator[str]:
        """Yield the last lines of a service's log, and with `follow` those to come."""
        more = ("--follow",) if follow else ()
        return self.docker.lines("logs", "--no-log-prefix", "--no-color", f"--tail={lines}", *more, service)

    def _status(self, service: str, containers: list[Container]) -> ServiceStatus:
        own = [each for each in containers if each.service == service]
        details = sorted({_detail(each) for each in own}) or ["not running"]
        return ServiceStatus(details == ["ok"], self._url(service), None, ", ".join(details))

    def _url(self, service: str) -> str | None:
        if service == MINIO:
            return f"http://{HOST}:{port(self.docker.env, 'MINIO_CONSOLE_PORT')}"
        name = {"mlflow": "MLFLOW_TRACKING_URI", "airflow-api-server": "AIRFLOW_URL", "router": "FLASK_URL"}
        return variables(self.docker.env).get(name.get(service, ""))

    def _has_failed(self, container: Container) -> bool:
        return container.service in self.one_shots and container.state == "exited" and container.exit_code != 0

    def _failure(self) -> StackError:
        containers = self.docker.containers()
        # a one-shot that failed is why others were not started
        bad = [each for each in containers if self._has_failed(each)] or [
            each for each in containers if _detail(each) not in ("ok", "ended", "created")
        ]
        ends = [
            f"{each.service} ({_detail(each)}), the end of its log:\n"
            + "\n".join(f"  | {line}" for line in self.logs(each.service, lines=15, follow=False))
            for each in bad[:2]
        ]
        text = f"docker compose up must succeed; what it said stands above. Correct what it names, then: {UP}"
        return StackError("\n".join([text, *ends]))


def _detail(container: Container) -> str:
    if container.state == "running" and container.health in ("", "healthy"):
        return "ok"
    if container.state == "exited":
        return f"ended with {container.exit_code}" if container.exit_code else "ended"
    return container.health if container.state == "running" else container.state


def _failed(container: Container) -> ServiceStatus:
    return ServiceStatus(False, None, None, f"ended with {container.exit_code}; see: gauntlet logs {container.service}")
