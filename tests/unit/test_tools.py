"""The scripts behind `make`, as programs: what preflight says is wrong, and what clean ends, removes and leaves."""

import base64
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.postgres import free_port

from gauntlet.compose import environment as compose
from gauntlet.settings import Settings

TOOLS = Path(__file__).parents[2] / "tools"
FREE = ("AIRFLOW_PORT", "MLFLOW_PORT", "ROUTER_PORT", "POSTGRES_PORT")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the tools alone, and a .gauntlet that looks like a state folder."""
    shutil.copytree(TOOLS, tmp_path / "tools")
    for folder in ("secrets", "run/router"):
        (tmp_path / ".gauntlet" / folder).mkdir(parents=True)
    (tmp_path / ".gauntlet" / "lock").touch()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    return tmp_path


def run(command: list[str], **variables: str) -> tuple[int, str]:
    own = {name: value for name, value in os.environ.items() if name not in ("GAUNTLET_HOME", "PYTHON", *FREE)}
    done = subprocess.run(
        command, env={**own, **variables}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
    )
    return done.returncode, done.stdout


def preflight(checkout: Path, *arguments: str, before: str = "", **variables: str) -> tuple[int, str]:
    """Run preflight; `before` is Python that makes the machine another one."""
    path = str(checkout / "tools" / "preflight.py")
    code = (
        f"import sys, runpy\n{before}\nsys.argv[1:] = {list(arguments)!r}\nrunpy.run_path({path!r}, None, '__main__')"
    )
    return run([sys.executable, "-c", code], **variables)


def free_ports() -> Mapping[str, str]:
    return {name: str(free_port()) for name in FREE}


def test_nothing_is_said_where_nothing_is_wrong(checkout: Path) -> None:
    enough = "import shutil; shutil.disk_usage = lambda _: type('', (), {'free': 4e9})"
    assert preflight(checkout, "--install", "--ports", before=enough, **free_ports()) == (0, "")


def test_an_old_python_is_told(checkout: Path) -> None:
    code, said = preflight(checkout, "--install", before="sys.version_info = (3, 9, 2, 'final', 0)")
    assert code == 1
    assert said.splitlines()[0] == (
        f"Gauntlet needs Python 3.11 to 3.13; found 3.9.2 ({sys.executable}). "
        "Install one, or name it: make PYTHON=/path/to/python ..."
    )


def test_a_python_without_ensurepip_is_told(checkout: Path) -> None:
    code, said = preflight(
        checkout,
        "--install",
        before="sys.modules['ensurepip'] = None; import platform; sys.version_info = (3, 11, 2, 'final', 0)",
    )
    assert code == 1
    assert said.splitlines()[0] == (
        f"Set-up needs Python's modules venv and ensurepip; {sys.executable} lacks ensurepip. "
        "On Debian and Ubuntu: apt install python3.11-venv"
    )


def test_a_full_disk_is_told_before_the_first_set_up_only(checkout: Path) -> None:
    full = "import shutil; shutil.disk_usage = lambda _: type('', (), {'free': 1.24e9})"
    told = f"Set-up needs 3 GB of free disk in {checkout}; found 1.2. Make room, or check out elsewhere.\n"
    assert preflight(checkout, "--install", before=full) == (1, told)
    (checkout / ".venv" / "gauntlet-setup").touch()
    assert preflight(checkout, "--install", before=full) == (0, "")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_is_taken_is_told_with_its_holder(checkout: Path, taken: int) -> None:
    code, said = preflight(checkout, "--ports", **{**free_ports(), "MLFLOW_PORT": str(taken)})
    assert code == 1
    assert said.startswith(f"MLFLOW_PORT must be a free port; {taken} is taken by ")
    assert said.endswith(". Stop it, or set MLFLOW_PORT to another port.\n")
    if Path("/proc/net/tcp").exists():
        assert f"process {os.getpid()} (" in said


def test_a_port_of_the_own_stack_is_no_trouble(checkout: Path, taken: int) -> None:
    (checkout / ".gauntlet" / "stack.json").write_text(f'{{"mlflow_port": {taken}}}', encoding="utf-8")
    assert preflight(checkout, "--ports", **{**free_ports(), "MLFLOW_PORT": str(taken)}) == (0, "")


def test_a_port_that_only_root_may_open_is_not_called_taken(checkout: Path) -> None:
    refused = """
import errno, socket
class Refusing(socket.socket):
    def bind(self, address):
        if address[1] < 1024:
            raise PermissionError(errno.EACCES, "Permission denied")
        super().bind(address)
socket.socket = Refusing
"""
    assert preflight(checkout, "--ports", before=refused, **{**free_ports(), "ROUTER_PORT": "80"}) == (
        1,
        "ROUTER_PORT must be a free port; 80 is one that this user may not listen on. "
        "Set ROUTER_PORT to a port from 1024 on.\n",
    )


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "8080.0"])
def test_what_is_no_port_is_told(checkout: Path, port: str) -> None:
    assert preflight(checkout, "--ports", **{**free_ports(), "AIRFLOW_PORT": port}) == (
        1,
        f"AIRFLOW_PORT must be a port, 1 to 65535; got '{port}'. Correct it in the environment or .env.\n",
    )


def test_everything_that_is_wrong_is_told_at_once(checkout: Path) -> None:
    (checkout / ".env").write_text("AIRFLOW_PORT=x\nexport MLFLOW_PORT='y' # why\n#ROUTER_PORT=z\n", encoding="utf-8")
    ports = {name: port for name, port in free_ports().items() if name in ("ROUTER_PORT", "POSTGRES_PORT")}
    code, said = preflight(checkout, "--ports", MLFLOW_PORT="", **ports)
    assert code == 1
    assert [line.partition(";")[2].split(".")[0] for line in said.splitlines()] == [" got 'x'", " got 'y'"]


@pytest.mark.parametrize(
    ("line", "variable", "expected"),
    [
        ("", "", ".gauntlet"),
        ("GAUNTLET_HOME=state", "", "state"),
        ('export GAUNTLET_HOME="my state" # mine', "", "my state"),
        ("GAUNTLET_HOME=state", "/elsewhere", "/elsewhere"),
        ("GAUNTLET_HOME=state", " ", "state"),
    ],
)
def test_the_state_folder_is_the_one_of_the_product(checkout: Path, line: str, variable: str, expected: str) -> None:
    (checkout / ".env").write_text(line, encoding="utf-8")
    assert preflight(checkout, "--home", GAUNTLET_HOME=variable) == (0, f"{checkout / expected}\n")


@pytest.fixture
def worker(checkout: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the stack whose supervisor is gone."""
    folder = checkout / ".gauntlet" / "run" / "router"
    with subprocess.Popen(["sleep", "60"], cwd=folder, start_new_session=True) as own:
        yield own
        own.kill()


def clean(checkout: Path, **variables: str) -> tuple[int, str]:
    return run(["sh", str(checkout / "tools" / "clean.sh")], PYTHON=sys.executable, **variables)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for working directories in /proc")
def test_clean_works_with_a_half_made_environment(checkout: Path, worker: "subprocess.Popen[bytes]") -> None:
    with subprocess.Popen(["sleep", "60"], cwd=checkout, start_new_session=True) as bystander:
        try:
            code, said = clean(checkout)
            assert bystander.poll() is None
        finally:
            bystander.kill()
    home = checkout / ".gauntlet"
    assert (code, said.splitlines()) == (
        0,
        [
            f"clean: .venv is not complete, so 'gauntlet down' cannot stop the stack; ending what works in {home}",
            f"removed {home}",
            "removed .venv",
        ],
    )
    assert worker.wait(5) == -signal.SIGTERM
    assert [path.name for path in checkout.iterdir()] == ["tools"]


def test_clean_removes_only_what_is_a_state_folder(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    precious = tmp_path_factory.mktemp("home")
    (precious / "thesis").touch()
    assert clean(checkout, GAUNTLET_HOME=str(precious)) == (0, "removed .venv\n")
    assert (precious / "thesis").exists()
    assert (checkout / ".gauntlet").exists()


def test_clean_removes_a_database_folder_elsewhere_that_names_this_state_folder(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = checkout / ".gauntlet"
    place = tmp_path_factory.mktemp("database")
    (home / "postgres-place").write_text(f'{{\n  "folder": "{place}",\n  "programs": "x"\n}}\n', encoding="utf-8")
    (place / "gauntlet-home").write_text(f"{home}\n", encoding="utf-8")
    code, said = clean(checkout)
    assert (code, said.splitlines()[-3:]) == (0, [f"removed {place}", f"removed {home}", "removed .venv"])
    assert not place.exists()


def fill(checkout: Path) -> tuple[int, str]:
    shutil.copy(TOOLS.parent / ".env.example", checkout)
    return run(["sh", str(checkout / "tools" / "env.sh")])


def env_of(checkout: Path) -> dict[str, str]:
    lines = (checkout / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_env_is_made_with_fresh_secrets_that_only_its_owner_reads(checkout: Path) -> None:
    assert fill(checkout)[0] == 0
    made = env_of(checkout)
    secrets = [made[name] for name in compose.SECRETS]
    assert all(len(secret) >= 16 for secret in secrets)
    assert len(set(secrets)) == len(secrets)
    assert len(base64.urlsafe_b64decode(made["AIRFLOW_FERNET_KEY"])) == 32
    assert (checkout / ".env").stat().st_mode & 0o777 == 0o600
    assert Settings.from_env(made).mlflow_port == 5000


def test_env_again_changes_nothing(checkout: Path) -> None:
    fill(checkout)
    before = (checkout / ".env").read_bytes()
    assert fill(checkout) == (0, ".env is complete: nothing changed\n")
    assert (checkout / ".env").read_bytes() == before


def test_env_fills_what_is_missing_and_keeps_what_stands_there(checkout: Path) -> None:
    (checkout / ".env").write_text(
        "# mine\nMLFLOW_PORT=5001\nAIRFLOW_ADMIN_PASSWORD='my own $word'\nPOSTGRES_PASSWORD=\r\n"
        "export ROUTER_DB_PASSWORD=mine"
    )
    code, said = fill(checkout)
    assert code == 0
    assert "AIRFLOW_ADMIN_PASSWORD" not in said
    made = (checkout / ".env").read_text()
    assert made.startswith("# mine\nMLFLOW_PORT=5001\nAIRFLOW_ADMIN_PASSWORD='my own $word'\nPOSTGRES_PASSWORD=")
    assert "export ROUTER_DB_PASSWORD=mine\n" in made
    assert len(env_of(checkout)["POSTGRES_PASSWORD"]) == 32
    assert env_of(checkout)["AWS_ACCESS_KEY_ID"]
    assert list(checkout.glob(".env.??????")) == []


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ("POSTGRES_PASSWORD=old\nPOSTGRES_PASSWORD=\n", "POSTGRES_PASSWORD=old\n"),
        ('POSTGRES_PASSWORD="" # to be filled\n', ""),
        ("POSTGRES_PASSWORD=   # to be filled\n", ""),
        ("  export POSTGRES_PASSWORD=''\r\n", ""),
    ],
)
def test_env_fills_whatever_counts_as_empty_and_nothing_else(checkout: Path, lines: str, kept: str) -> None:
    (checkout / ".env").write_text(lines)
    fill(checkout)
    made = (checkout / ".env").read_text()
    assert made.startswith(kept)
    assert len(env_of(checkout)["POSTGRES_PASSWORD"]) == 32


def test_env_stays_a_link_to_where_it_lies(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "settings"
    elsewhere.write_text("MLFLOW_PORT=5001\n")
    (checkout / ".env").symlink_to(elsewhere)
    fill(checkout)
    assert (checkout / ".env").is_symlink()
    assert elsewhere.read_text().startswith("MLFLOW_PORT=5001\n")
    assert "POSTGRES_PASSWORD=" in elsewhere.read_text()


def test_every_list_of_secrets_is_the_same() -> None:
    shell = (TOOLS / "env.sh").read_text().split('SECRETS="')[1].split('"')[0].split()
    demanded = re.compile(r"- \$\{([A-Z_]+):\?")
    compose_files = [(TOOLS.parent / f"docker-compose{name}.yml").read_text() for name in ("", ".scale")]
    assert set(demanded.findall(compose_files[0])) == set(compose.SECRETS)
    assert set(shell) == {*compose.SECRETS, *demanded.findall(compose_files[1])}


def test_the_command_line_in_its_container_has_what_a_rollback_needs() -> None:
    service = (TOOLS.parent / "docker-compose.yml").read_text().split("\n  gauntlet:")[1].split("\nnetworks:")[0]
    assert "*addresses" in service
    for name in ("OBJECT_STORE", "EXPERIMENT_NAME", "NOTIFY_URLS", "MART_DATABASE_URL"):
        assert f"\n      {name}:" in service
    assert "AWS_" not in service


def test_clean_stops_the_embedded_stack_whatever_env_says(checkout: Path) -> None:
    command = checkout / ".venv" / "bin" / "gauntlet"
    command.write_text('#!/bin/sh\necho "$GAUNTLET_STACK $*" >"$(dirname "$0")/../../called"\n')
    command.chmod(0o755)
    python = checkout / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (checkout / ".venv" / "gauntlet-setup").touch()
    code, said = run(["sh", str(checkout / "tools" / "clean.sh")], GAUNTLET_STACK="compose")
    assert code == 0, said
    assert (checkout / "called").read_text() == "embedded down\n"


def test_an_env_that_is_no_file_is_told(checkout: Path) -> None:
    (checkout / ".env").mkdir()
    code, said = fill(checkout)
    assert code == 1
    assert said == ".env must be a file that you may read; it is not. Move it away, or give yourself access.\n"
