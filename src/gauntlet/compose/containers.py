"""The containers of a stack as the doctor looks at them: health, settings, ports, images.

Changes none of them; what code an image holds is read in a container of its own, which is gone after.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gauntlet.compose.docker import UP
from gauntlet.compose.engine import Engine, Inspected
from gauntlet.compose.environment import PORTS, port
from gauntlet.compose.project import SERVICES, Project
from gauntlet.jobs.doctor import Finding
from gauntlet.jobs.stack import StackError

OFTEN = 3  # restarts, after which one that is not healthy is called broken
# asked about at another service's door
ANSWERED_BY = {"airflow-scheduler": "airflow-api-server", "airflow-dag-processor": "airflow-api-server"}
# of the same path here and in the image; DAGs, specs and data are mounted over it
CODE = ("src", "app", "airflow/config", "airflow/start.sh", "mlflow", "minio/create_buckets.py")
INSIDE = "/opt/gauntlet"


@dataclass(frozen=True)
class Containers:
    """The containers of a stack, some of which may run."""

    engine: Engine

    @property
    def some_run(self) -> bool:
        """Say whether any part of the stack runs, or tries to."""
        return any(each.state in ("running", "restarting", "paused") for each in self.engine.containers)

    @property
    def services(self) -> tuple[str, ...]:
        """The services that are kept running."""
        return self._project.kept_running

    @property
    def one_shots(self) -> tuple[str, ...]:
        """The services that end."""
        return self._project.one_shots

    def wanted_ports(self) -> dict[str, int]:
        """Return the ports that the stack publishes and does not hold yet, by the variable that sets each."""
        held = {
            port for each in self.engine.containers if each.state in ("running", "paused") for _, port in each.published
        }
        published = [int(each["published"]) for plain in self._plain.values() for each in plain.get("ports") or ()]
        names = {int(port(self.engine.env, name)): name for name in PORTS}
        return {names.get(each, f"port {each}"): each for each in published if each not in held}

    def holder(self, published: int) -> str | None:
        """Return the container of another stack that publishes a port."""
        names = self.engine.ask("ps", "--filter", f"publish={published}", "--format", "{{.Names}}").split()
        return f"the container {names[0]}" if names else None

    def check_listed(self) -> list[Finding]:
        """Look whether Docker lists the containers; what it says instead is raised."""
        unknown = [each.name for each in self.engine.containers if not each.service]
        text = f"Each container of the project must be of a service; {', '.join(unknown)} is of none."
        return [Finding("containers", text, f"docker rm -f {' '.join(unknown)}")] if unknown else []

    def check_one_shots(self) -> list[Finding]:
        """Look whether what prepares the services has ended well."""
        found = []
        for each in self.engine.containers:
            if self._failed(each.service) and self.some_run and not self._trouble_above(each.service):
                said = self.engine.last_words(each.name) or f"exit code {each.exit_code}"
                text = Finding.from_text("preparation", said.removeprefix("error: "))
                remedy = f"{text.remedy} Its log: docker compose logs {each.service}. Then: {UP}"
                found.append(Finding("preparation", f"{each.service} must end well; it said: {text.found}", remedy))
        return found

    def check_service(self, service: str) -> list[Finding]:
        """Look whether a service runs and is healthy; silent where one that it needs is the cause.

        One that the Compose files leave out, as another S3 store does with MinIO, is not looked for.
        """
        trouble = self._trouble(service) if service in self.services else None
        if trouble is None or not self.some_run:
            return []
        own_fault, text, remedy = trouble
        if not own_fault and self._trouble_above(service):
            return []
        return [Finding("services", f"{service} must be healthy; {text}.", remedy)]

    def check_other_services(self) -> list[Finding]:
        """Look at the services that other Compose files add."""
        return [finding for name in self.services if name not in SERVICES for finding in self.check_service(name)]

    def check_settings(self) -> list[Finding]:
        """Look whether the containers were made with the variables that Compose would give them now."""
        changed: dict[str, list[str]] = {}
        for each in self._running():
            for name, value in (self._plain[each.service].get("environment") or {}).items():
                wanted = "" if value is None else str(value).replace("$$", "$")
                if each.env.get(name, "") != wanted:  # to every service an empty one is as good as none
                    changed.setdefault(name, []).append(each.service)
        if not changed:
            return []
        shown = "; ".join(f"{name} ({', '.join(services)})" for name, services in sorted(changed.items()))
        text = (
            f"The containers must run with the settings as they are now; others were set when they were made: {shown}."
        )
        return [Finding("settings", text, f"If the new ones are right, make the containers anew, data stay: {UP}")]

    def check_images(self, root: Path) -> list[Finding]:
        """Look whether the containers run the newest image, and whether it holds this checkout's code."""
        reference = self._plain.get("databases", {}).get("image")
        try:
            image = self.engine.ask("image", "inspect", "--format", "{{.Id}}", str(reference)).strip()
        except StackError:
            return []  # `up` builds it
        found = []
        differing = self._differing_code(image, root)
        if differing:
            text = f"The image {reference} must hold this checkout's code; it differs in {_some(differing)}."
            remedy = f"Build it and start it: docker compose build databases && {UP}"
            found.append(Finding("image", text, remedy))
        own = [each for each in self._running() if self._plain[each.service].get("image") == reference]
        old = [each.service for each in own if each.image != image]
        if old:
            text = f"The containers must be of the image {reference} as it is now; {', '.join(old)} {_are(old)} older."
            found.append(Finding("image", text, f"Make them anew, data stay: {UP}"))
        return found

    @property
    def _project(self) -> Project:
        return self.engine.docker.project

    @property
    def _plain(self) -> Mapping[str, Mapping[str, Any]]:
        return self._project.services

    def _running(self) -> Iterator[Inspected]:
        return (each for each in self.engine.containers if each.state == "running" and each.service in self._plain)

    def _failed(self, service: str) -> bool:
        own = [each for each in self.engine.containers if each.service == service]
        return service in self.one_shots and any(each.state == "exited" and each.exit_code for each in own)

    def _trouble_above(self, service: str) -> bool:
        """Say whether anything that a service needs, directly or not, is in trouble."""
        above = [*(self._plain.get(service, {}).get("depends_on") or ()), *filter(None, [ANSWERED_BY.get(service)])]
        return any(
            self._failed(each) or (each in self.services and self._trouble(each)) or self._trouble_above(each)
            for each in above
        )

    def _trouble(self, service: str) -> tuple[bool, str, str] | None:
        """Return whether it is surely the service's own, what is wrong, and the remedy; None for one that is well."""
        own = [each for each in self.engine.containers if each.service == service]
        if not own:
            return False, "it has no container", f"Start it: {UP}"
        return next(filter(None, map(self._container_trouble, own)), None)

    def _container_trouble(self, each: Inspected) -> tuple[bool, str, str] | None:
        logs = f"gauntlet logs {each.service}"
        limit = f"its memory limit is {each.memory_limit / 2**20:.0f} MB"
        if each.out_of_memory:
            remedy = f"Raise its mem_limit in docker-compose.override.yml, then: {UP}"
            return True, f"the kernel ended a process of it for want of memory, {limit}", remedy
        if each.state == "created":
            return bool(each.error), f"it was never started{_because(each.error)}", f"Mend what keeps it, then: {UP}"
        if each.state == "paused":
            return True, "it is paused", f"docker compose unpause {each.service}"
        if each.state == "restarting" or (each.restarts >= OFTEN and each.health != "healthy"):
            text = f"it ends and is started again, {each.restarts} times so far{self._last_words(each)}"
            return False, text, _restart_remedy(text) or f"Mend what its log says: {logs}"
        if each.state != "running":
            text = f"it has ended with exit code {each.exit_code}{_because(each.error)}{self._last_words(each)}"
            return True, text, f"Start it: {UP}. Why it ended: {logs}"
        if each.health == "starting":
            return False, "it is still starting", f"Ask again in a minute; what it does meanwhile: {logs}"
        if each.health == "unhealthy":
            said = f', its health check said "{each.health_said}"' if each.health_said else ""
            return (
                False,
                f"it runs and does not answer as it should{said}",
                f"See why ({logs}), then: docker compose restart {each.service}",
            )
        return None

    def _last_words(self, each: Inspected) -> str:
        said = self.engine.last_words(each.name)
        return f'; its last words: "{said[:300]}"' if said else ""

    def _differing_code(self, image: str, root: Path) -> list[str]:
        script = (
            f"import json\n{inspect.getsource(code_digests)}\nprint(json.dumps(code_digests({INSIDE!r}, {CODE!r})))"
        )
        run = ("run", "--rm", "--network", "none", "--read-only", "--entrypoint", "python", image, "-c", script)
        inside = json.loads(self.engine.ask(*run))
        here = code_digests(str(root), CODE)
        return sorted(name for name in here.keys() | inside.keys() if here.get(name) != inside.get(name))


def code_digests(root: str, places: tuple[str, ...]) -> dict[str, str]:
    """Return the SHA-256 of each program file below the places; runs in the image, too, so it stands for itself."""
    import hashlib
    from pathlib import Path

    found = {}
    for place in places:
        top = Path(root, place)
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.suffix in (".py", ".sh"):
                found[path.relative_to(root).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _restart_remedy(text: str) -> str | None:
    if "incompatible" in text and "server" in text:
        return "The volume was made by another version of Postgres: use its image again, dump the data, restore them."
    return None


def _because(error: str) -> str:
    return f": {error.rstrip('.')}" if error else ""


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
