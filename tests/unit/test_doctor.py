"""What the doctor makes of checks that find, break, hang or depend on one another; and what its checks find."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.contract.adapters.records import make_case, make_version
from tests.docker import SERVICES, WITHOUT_MINIO, container, docker
from tests.fakes import MemoryLedger, MemoryObjects, MemoryRegistry, MemoryTracking, MemoryTraffic

from gauntlet.adapters import machine
from gauntlet.adapters.dotenv_checks import check_dotenv
from gauntlet.adapters.http_checks import HttpService, clock_findings
from gauntlet.adapters.postgres_checks import check_reached
from gauntlet.compose.checks import check_docker, check_secret_forms, check_secrets
from gauntlet.compose.containers import Containers
from gauntlet.compose.docker import DockerCompose
from gauntlet.compose.engine import Engine
from gauntlet.compose.environment import SECRETS
from gauntlet.domain.errors import Mendable
from gauntlet.jobs.doctor import Check, Finding, diagnose
from gauntlet.jobs.doctor_production import check_aliases, check_champion
from gauntlet.jobs.ledger_records import Rollback
from gauntlet.jobs.ports import Names, Stored
from gauntlet.jobs.run import Ports
from gauntlet.jobs.stack import StackError

NAMES = Names("Model-toys", "toys", "toys-comparison")


# --- the round over all checks ------------------------------------------------------------------


def found(name: str) -> list[Finding]:
    return [Finding(name, f"{name} is wrong.", "Mend it.")]


def late(name: str) -> list[Finding]:
    time.sleep(0.1)
    return found(name)


def hangs(until: threading.Event) -> list[Finding]:
    until.wait(30)
    return []


def breaks() -> list[Finding]:
    raise ValueError("no such thing")


def test_causes_come_first_and_what_depends_on_them_is_left_out() -> None:
    checks = [
        Check("postgres", lambda: found("postgres")),
        Check("logins", lambda: found("logins"), needs=("postgres",)),
        Check("aliases", lambda: found("aliases"), needs=("logins", "mlflow")),
        Check("mlflow", list),
        Check("router", lambda: late("router"), needs=("mlflow",)),
        Check("disk", lambda: found("disk")),
    ]
    assert [finding.check for finding in diagnose(checks)] == ["postgres", "router", "disk"]


@pytest.mark.parametrize(
    ("needs", "said"),
    [({"a": ("c",)}, "there is no c"), ({"a": ("b",), "b": ("a",)}, "cycle"), ({"a": ("a",)}, "cycle")],
)
def test_needs_that_can_never_be_met_are_refused(needs: dict[str, tuple[str, ...]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        diagnose([Check(name, list, needs.get(name, ())) for name in ("a", "b")])


def test_a_check_that_breaks_is_a_finding_and_the_others_are_made() -> None:
    assert diagnose([Check("a", breaks), Check("b", lambda: found("b"))]) == [
        Finding(
            "a",
            "The check must end by itself; it broke with ValueError: no such thing.",
            "Mend what it names first; the other checks were made.",
        ),
        *found("b"),
    ]


def test_a_check_that_hangs_is_given_up() -> None:
    ended = threading.Event()
    asked: list[str] = []
    began = time.monotonic()
    findings = diagnose([Check("slow", lambda: hangs(ended))], limit=0.3, doing=asked.extend)
    ended.set()
    assert time.monotonic() - began < 3
    assert [finding.found for finding in findings] == ["The check must end within 0.3 s; it has not."]
    assert "slow" in asked


def test_more_checks_than_threads_are_all_made() -> None:
    checks = [Check(str(number), partial(found, str(number))) for number in range(40)]
    assert [finding.check for finding in diagnose(checks)] == [str(number) for number in range(40)]


def test_an_error_that_can_be_mended_is_split_into_what_was_found_and_the_remedy() -> None:
    text = "PORT must be a free port; 80 is taken by nginx. Stop it, or set PORT. Then try again."
    assert Finding.of("ports", Mendable(text)) == Finding(
        "ports", "PORT must be a free port; 80 is taken by nginx.", "Stop it, or set PORT. Then try again."
    )


# --- aliases and the champion's files, on fakes -------------------------------------------------


@pytest.fixture
def ports() -> Ports:
    """Version 1, then 2 in production, shown by the aliases; the files are there."""
    ledger, registry, store = MemoryLedger(), MemoryRegistry(), MemoryObjects()
    for number, champion in ((1, None), (2, 1)):
        made = make_version("toys", number)
        snapshot, profile = (
            store.put("things", "bin", f"{name} {number}".encode()) for name in ("snapshot", "profile")
        )
        registry.files["Model-toys", number] = data = f"model {number}".encode()
        version = replace(made, snapshot=snapshot, profile=profile, model_sha256=hashlib.sha256(data).hexdigest())
        registry.versions["Model-toys", number] = ledger.add_version(version)
        case = make_case("toys", f"run-{number}", champion, number)
        ledger.settle(replace(case, model="Model-toys", challenger=version))
    registry.aliases |= {("Model-toys", "production"): 2, ("Model-toys", "previous"): 1}
    ledger.mark_projected("toys", 2)
    return Ports(MemoryTraffic({}, {}), store, registry, MemoryTracking(), ledger)


def memory(ports: Ports) -> tuple[MemoryRegistry, MemoryLedger, MemoryObjects]:
    registry, ledger, store = ports.registry, ports.ledger, ports.store
    assert isinstance(registry, MemoryRegistry)
    assert isinstance(ledger, MemoryLedger)
    assert isinstance(store, MemoryObjects)
    return registry, ledger, store


def champion_findings(ports: Ports) -> list[Finding]:
    production = ports.ledger.production("toys")
    assert production is not None
    return check_champion(ports, production)


def test_a_champion_as_it_should_be_is_no_finding(ports: Ports) -> None:
    assert check_aliases(ports, "toys", NAMES) == []
    assert champion_findings(ports) == []


def test_a_spec_without_a_champion_is_no_finding(ports: Ports) -> None:
    assert check_aliases(ports, "others", Names("others", "others", "others")) == []


def test_an_alias_moved_by_hand_is_named_and_left_as_it_is(ports: Ports) -> None:
    registry, ledger, _ = memory(ports)
    registry.aliases["Model-toys", "production"] = 1
    [finding] = check_aliases(ports, "toys", NAMES)
    assert finding.found == (
        "MLflow's alias production must show what the ledger says, v2 of Model-toys; it shows v1: it was moved by hand."
    )
    assert "point the alias back at v2" in finding.remedy
    assert registry.aliases["Model-toys", "production"] == 1
    assert len(ledger.events) == 2


def test_a_move_that_was_never_shown_is_told_apart_from_one_by_hand(ports: Ports) -> None:
    registry, ledger, _ = memory(ports)
    registry.aliases["Model-toys", "production"] = 1
    ledger.mark_projected("toys", 1)
    [finding] = check_aliases(ports, "toys", NAMES)
    assert finding.found.endswith("it shows v1, which was right before: the move was never shown.")
    assert "gauntlet up writes it again" in finding.remedy


def test_previous_must_not_show_what_was_rolled_back(ports: Ports) -> None:
    registry, ledger, _ = memory(ports)
    version = ledger.version("toys", 1)
    assert version is not None
    ledger.rollback(Rollback("toys", "Model-toys", "key", 2, version, "worse", "ann", "0.1.0"))
    ledger.mark_projected("toys", 1)
    registry.aliases |= {("Model-toys", "production"): 1, ("Model-toys", "previous"): 2}
    [finding] = check_aliases(ports, "toys", NAMES)
    assert finding.found.endswith("no version of Model-toys; it shows v2.")
    assert finding.remedy == "Remove that alias in MLflow."


def test_a_wrong_previous_alias_is_named(ports: Ports) -> None:
    del memory(ports)[0].aliases["Model-toys", "previous"]
    [finding] = check_aliases(ports, "toys", NAMES)
    assert finding.found.endswith("the champion before the present one, v1 of Model-toys; it shows no version.")


def test_an_emptied_registry_is_named(ports: Ports) -> None:
    registry = memory(ports)[0]
    registry.versions.clear()
    registry.aliases.clear()
    [finding] = check_aliases(ports, "toys", NAMES)
    assert finding.found.endswith("the model that the ledger says is in production, Model-toys; it has none.")


def test_another_experiment_name_is_named(ports: Ports) -> None:
    [finding] = check_aliases(ports, "toys", Names("Other", "Other", "Other"))
    assert (
        finding.found == "EXPERIMENT_NAME must keep a spec's model; toys is in production as Model-toys, not as Other."
    )


def test_each_file_of_the_champion_that_is_gone_or_altered_is_named(ports: Ports) -> None:
    registry, _, store = memory(ports)
    registry.files["Model-toys", 2] = b"altered"
    profile: Stored = registry.versions["Model-toys", 2].profile
    del store.objects[profile.uri]
    assert [finding.found for finding in champion_findings(ports)] == [
        "a model's file must keep its content; Model-toys v2 has changed.",
        f"an object that was stored must still be there; {profile.uri} is gone.",
    ]


# --- .env and secrets ---------------------------------------------------------------------------

KNOWN = {"POSTGRES_PASSWORD": True, "MINIO_PORT": False, "DATA_FILE": False}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "MINIO_PORTS=1\n",
            "A name in .env must be one that is known to count; MINIO_PORTS is not, and looks like MINIO_PORT.",
        ),
        (
            "minio_port=1\n",
            "A name in .env must be one that is known to count; minio_port is not, and looks like MINIO_PORT.",
        ),
        ("MINIO_PORT=1\nMINIO_PORT=2\n", "Each name must stand once in .env; MINIO_PORT stands on lines 1 and 2."),
        ("# a\n\nMINIO PORT 1\n", "Each line of .env must be NAME=value or a comment; line 3 is neither."),
        (
            "MINIO_PORT=1\r\n",
            "The lines of .env must end with a newline alone; found Windows line ends, which confuse shells.",
        ),
        (
            "POSTGRES_PASSWORD=a$b\n",
            "A $ in .env begins the name of another variable; POSTGRES_PASSWORD holds one, and so is not as written.",
        ),
    ],
)
def test_what_is_wrong_in_dotenv(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / ".env"
    path.write_bytes(text.encode())
    path.chmod(0o600)
    assert [finding.found for finding in check_dotenv(path, KNOWN)] == [said]


def test_a_good_dotenv_is_silent_and_so_is_none(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert check_dotenv(path, KNOWN) == []
    path.write_text("# x\nexport MINIO_PORT = 9000\nPOSTGRES_PASSWORD='a$b'\nCOMPOSE_PROJECT_NAME=x\nDATA_FILE=\n")
    path.chmod(0o600)
    assert check_dotenv(path, KNOWN) == []


def test_a_dotenv_that_others_may_read_or_nobody_can(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"MINIO_PORT=\xff\n")
    assert [each.found for each in check_dotenv(path, KNOWN)] == [
        f"{path} must be a text file that this user may read; found: bytes that are not UTF-8."
    ]
    path.chmod(0o640)
    path.write_text("MINIO_PORT=1\nPOSTGRES_PASSWORD=\n# POSTGRES_PASSWORD=old\n")
    assert check_dotenv(path, KNOWN) == []
    path.write_text("MINIO_PORT=1\nPOSTGRES_PASSWORD=x\n")
    assert check_dotenv(path, KNOWN) == [
        Finding(
            ".env",
            f"{path} holds secrets and must be readable by its owner alone; its mode is 640.",
            f"chmod go= {path}",
        )
    ]


def test_secrets_that_are_missing_short_or_malformed() -> None:
    good = dict.fromkeys(SECRETS, "x" * 64) | {"AIRFLOW_FERNET_KEY": "A" * 43 + "="}
    assert check_secrets(good) == check_secret_forms(good) == []
    assert [each.found for each in check_secrets(good | {"POSTGRES_PASSWORD": ""})] == [
        "Every secret of the containers must be set; POSTGRES_PASSWORD is not."
    ]
    bad = good | {"AIRFLOW_JWT_SECRET": "short", "AIRFLOW_FERNET_KEY": "A" * 44}
    assert [each.found for each in check_secret_forms(bad)] == [
        "AIRFLOW_JWT_SECRET must have 64 characters or more; it has 5.",
        "AIRFLOW_FERNET_KEY must be 32 bytes in URL-safe base64, 44 characters; it is not.",
    ]


# --- the machine and the services ---------------------------------------------------------------


def test_memory_disk_and_modes(tmp_path: Path) -> None:
    assert machine.check_memory(4 * 10**9, 10**9, needed_gb=3.5, free_gb=0.5, whose="it") == []
    [little] = machine.check_memory(2 * 10**9, 10**9, needed_gb=3.5, free_gb=0.5, whose="this machine")
    assert little.found == "this machine must have 3.5 GB of memory; found 2.0."
    [used] = machine.check_memory(4 * 10**9, 10**8, needed_gb=3.5, free_gb=0.5, whose="this machine")
    assert used.found == "0.5 GB of memory must be free on this machine; found 0.1."
    assert machine.check_disk(tmp_path / "not" / "there", free_gb=0, what="It") == []
    [full] = machine.check_disk(tmp_path, free_gb=10**9, what="The stack")
    assert full.found.startswith(f"The stack needs 1e+09 GB of free disk in {tmp_path}; found ")
    assert machine.check_python("gauntlet") == []


def test_folders_that_containers_cannot_read(tmp_path: Path) -> None:
    folder = tmp_path / "specs"
    folder.mkdir(mode=0o755)
    (folder / "toys.toml").write_text("x")
    (folder / "toys.toml").chmod(0o644)
    assert machine.check_readable_by_all([folder], 10001) == []
    (folder / "toys.toml").chmod(0o640)
    [closed] = machine.check_readable_by_all([folder], 10001)
    assert f"it cannot read {folder / 'toys.toml'} (640)." in closed.found
    assert closed.remedy == f"chmod -R o+rX {folder}"


@contextmanager
def server(date: float, status: int) -> Iterator[str]:
    """A service with a clock of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status)
            self.send_header("Date", formatdate(date, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


def test_a_clock_that_is_off_and_a_service_that_is_not_well() -> None:
    with server(time.time() - 90, 503) as url:
        service = HttpService("router", url)
        assert clock_findings({"router": service.skew("/"), "postgres": 0.2})[0].found == (
            "The services' clocks must agree with this machine's to 5 s; found: router -90 s."
        )
        assert service.check("/health")[0].found == f"router must answer /health at {url} with 200; found 503."
    assert clock_findings({"router": 1.2, "postgres": -0.3}) == []
    assert service.check("/health")[0].found.startswith(f"router must answer at {url}; found: ")


def test_a_postgres_that_is_away(free_port: int) -> None:
    [away] = check_reached(f"postgresql://x:y@127.0.0.1:{free_port}/z", "gauntlet up")
    assert away.found.startswith(f"Postgres must answer at 127.0.0.1:{free_port}/z; found: ")


@pytest.fixture
def free_port() -> int:
    from tests.postgres import free_port

    return free_port()


# --- Docker, as a program that answers from files (tests/docker.py) ------------------------------


def service_findings(containers: Containers) -> list[str]:
    checks = [*map(containers.check_service, containers.services), containers.check_one_shots()]
    return [finding.found for findings in checks for finding in findings]


PREPARED = [container("postgres"), container("databases", "exited")]
RUNNING = [*PREPARED, *map(container, ("minio", "mlflow", "router"))]


def test_containers_that_are_well_or_do_not_run_are_silent(tmp_path: Path) -> None:
    assert service_findings(docker(tmp_path, *RUNNING)) == []
    assert service_findings(docker(tmp_path)) == []
    assert service_findings(docker(tmp_path, *(container(name, "exited") for name in SERVICES))) == []


def test_what_is_wrong_with_a_container(tmp_path: Path) -> None:
    wrong = {
        "it has no container": [],
        'it has ended with exit code 0; its last words: "the last words"': [container("router", "exited")],
        "it is paused": [container("router", "paused")],
        "the kernel ended a process of it for want of memory, its memory limit is 512 MB": [
            container("router", OOMKilled=True)
        ],
        'it runs and does not answer as it should, its health check said "no"': [
            container("router", Health={"Status": "unhealthy", "Log": [{"Output": "no\n"}]})
        ],
        "it was never started: port is already allocated": [
            container("router", "created", Error="port is already allocated")
        ],
        'it ends and is started again, 0 times so far; its last words: "the last words"': [
            container("router", "restarting")
        ],
    }
    for text, routers in wrong.items():
        assert service_findings(docker(tmp_path, *RUNNING[:-1], *routers)) == [f"router must be healthy; {text}."]


def test_a_service_that_the_compose_files_leave_out_is_not_looked_for(tmp_path: Path) -> None:
    """With another S3 store there is no MinIO; it may be there still from before."""
    for left in ([], [container("minio", "exited")]):
        containers = docker(tmp_path, *PREPARED, *left, services=WITHOUT_MINIO)
        assert containers.check_service("minio") == containers.check_one_shots() == []
    [missing] = docker(tmp_path, *PREPARED).check_service("minio")
    assert missing.found == "minio must be healthy; it has no container."


def test_what_only_follows_from_another_service_is_left_out(tmp_path: Path) -> None:
    sick = [container(name, Health={"Status": "unhealthy"}) for name in ("mlflow", "router")] + [container("minio")]
    assert service_findings(docker(tmp_path, container("postgres", "exited"), *sick)) == [
        'postgres must be healthy; it has ended with exit code 0; its last words: "the last words".'
    ]
    failed = [container("postgres"), container("databases", "exited", ExitCode=1)]
    waiting = [container("minio"), container("mlflow", "created"), container("router", "created")]
    assert service_findings(docker(tmp_path, *failed, *waiting)) == [
        "databases must end well; it said: the last words."
    ]


def test_containers_made_with_other_settings(tmp_path: Path) -> None:
    changed = container("mlflow")
    changed["Config"]["Env"] = ["A=2"]
    [finding] = docker(tmp_path, RUNNING[0], changed).check_settings()
    assert finding.found.endswith("others were set when they were made: A (mlflow).")


def test_docker_that_is_not_there_or_does_not_answer(tmp_path: Path) -> None:
    assert diagnose([Check("docker", lambda: check_docker(docker(tmp_path).engine))]) == [
        Finding(
            "docker",
            "Docker's engine must answer; it said: Cannot connect to the Docker daemon at unix:///x.sock; Is the "
            "docker daemon running?",
            "Start it (systemctl start docker, or Docker Desktop).",
        )
    ]
    with pytest.raises(StackError, match=r"^Docker with Compose 2\.20 or newer must be installed"):
        check_docker(Engine(DockerCompose(tmp_path, {"PATH": "/nowhere"})))
