"""How many faults `gauntlet doctor` names: each is put into a running stack, looked for, and taken out again.

`.venv/bin/python benchmarks/doctor_faults.py [--form compose|embedded]`. It works in a copy of the checkout with a
stack and secrets of its own (project gauntlet-doctor, ports from 15000 to 19001), and leaves nothing behind.
"""

import argparse
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx
import psycopg2
from dotenv import dotenv_values

CHECKOUT = Path(__file__).resolve().parents[1]
PORTS = {
    "AIRFLOW_PORT": "18080",
    "MLFLOW_PORT": "15000",
    "ROUTER_PORT": "18000",
    "POSTGRES_PORT": "15442",
    "MINIO_PORT": "19000",
    "MINIO_CONSOLE_PORT": "19001",
}
IMAGE = "gauntlet:doctor"
DAG = "airflow/dags/broken.py"


@dataclass(frozen=True)
class Lab:
    """A checkout with a stack that may be broken."""

    root: Path
    env: dict[str, str]

    def run(self, *command: str, ok: bool = True, **more: str) -> str:
        """Run a program in the checkout and return what it printed."""
        env = {**os.environ, **self.env, "PYTHONPATH": str(self.root / "src"), **more}
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True)
        assert not ok or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def gauntlet(self, *arguments: str, ok: bool = True, **more: str) -> str:
        """Run the command line of the copy."""
        return self.run(sys.executable, "-c", "from gauntlet.cli import main; main()", *arguments, ok=ok, **more)

    def compose(self, *arguments: str, ok: bool = True, **more: str) -> str:
        """Run docker compose."""
        return self.run("docker", "compose", *arguments, ok=ok, **more)

    def doctor(self, **more: str) -> list[dict[str, str]]:
        """Return the findings."""
        found: list[dict[str, str]] = json.loads(self.gauntlet("doctor", "--json", ok=False, **more))
        return found

    def secret(self, name: str) -> str:
        """Return a value of .env."""
        return str(dotenv_values(self.root / ".env")[name])

    def sql(self, statement: str) -> None:
        """Run a statement on the product's database in its container."""
        self.compose("exec", "-T", "postgres", "psql", "-qU", "postgres", "-d", "gauntlet", "-c", statement)

    @property
    def s3(self) -> Any:
        """A client of the object store."""
        return boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{PORTS['MINIO_PORT']}", region_name="us-east-1",
            aws_access_key_id=self.secret("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=self.secret("AWS_SECRET_ACCESS_KEY"),
        )  # fmt: skip

    def mlflow(self, method: str, path: str, body: dict[str, str]) -> None:
        """Ask MLflow for something."""
        url = f"http://127.0.0.1:{PORTS['MLFLOW_PORT']}/api/2.0/mlflow/{path}"
        httpx.request(method, url, json=body, trust_env=False).raise_for_status()


@dataclass(frozen=True)
class Fault:
    """What is broken, the words by which a finding names it, and how it is put in; the block's end takes it out."""

    name: str
    named: str
    broken: Callable[[Lab], AbstractContextManager[None]] | None = None
    env: dict[str, str] = field(default_factory=dict)
    patience: float = 0.0  # seconds until the stack itself has noticed


def main() -> int:
    """Print the table; exit code 1 when a fault is not named, or doctor is not silent on a healthy stack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--form", choices=("compose", "embedded"), help="only this form of the stack")
    parser.add_argument("--only", default="", metavar="REGEX", help="only the faults whose names match")
    options = parser.parse_args()
    form = options.form
    for faults in (FRESH, FAULTS, EMBEDDED_BEFORE, EMBEDDED):
        faults[:] = [fault for fault in faults if re.search(options.only, fault.name)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    good = [run() for name, run in (("compose", compose), ("embedded", embedded)) if form in (None, name)]
    return 0 if all(good) else 1


def compose() -> bool:
    """The stack in containers."""
    with copy() as lab:
        try:
            good = [silent("before up", lab)]
            lab.compose("build", "databases")
            lab.compose("up", "--detach", "--wait", "--quiet-pull")
            good += [silent("after up", lab), table("compose, no champion yet", FRESH, lab)]
            lab.gauntlet("run")
            good += [silent("after a run", lab), table("compose", FAULTS, lab), silent("at the end", lab)]
            return all(good)
        finally:
            lab.compose("down", "--volumes", "--timeout", "3", ok=False)
            lab.run("docker", "image", "rm", IMAGE, ok=False)


def embedded() -> bool:
    """The stack without Docker."""
    home = Path(tempfile.mkdtemp(prefix="gauntlet-doctor-"))
    home.chmod(0o711)
    lab = Lab(CHECKOUT, {**PORTS, "GAUNTLET_HOME": str(home), "GAUNTLET_STACK": "embedded"})
    try:
        good = [silent("before up", lab), table("embedded, before up", EMBEDDED_BEFORE, lab)]
        lab.gauntlet("up")
        good += [silent("after up", lab), table("embedded", EMBEDDED, lab), silent("at the end", lab)]
        return all(good)
    finally:
        lab.gauntlet("down", ok=False)
        shutil.rmtree(home)


def table(title: str, faults: list[Fault], lab: Lab) -> bool:
    """Put in one fault after the other and print what doctor says; returns whether each was named."""
    print(f"\n### {title}\n\n| fault | named | the finding | remedy | s |\n|---|---|---|---|---|")
    named = 0
    for fault in faults:
        with fault.broken(lab) if fault.broken else untouched():
            finding, seconds = look(fault, lab)
        named += finding is not None
        shown = [
            " ".join((finding or {}).get(key, "").split())[:300].replace("|", "\\|") for key in ("found", "remedy")
        ]
        print(
            f"| {fault.name} | {'yes' if finding else '**no**'} | {shown[0]} | {shown[1]} | {seconds:.1f} |", flush=True
        )
    print(f"\n{named} of {len(faults)} named", flush=True)
    return named == len(faults)


def look(fault: Fault, lab: Lab) -> tuple[dict[str, str] | None, float]:
    """Return the finding that names a fault, and how long doctor took."""
    until = time.monotonic() + fault.patience
    while True:
        began = time.monotonic()
        found = lab.doctor(**fault.env)
        seconds = time.monotonic() - began
        match = next((each for each in found if re.search(fault.named, each["found"])), None)
        if match or time.monotonic() > until:
            return match, seconds
        time.sleep(2)


def silent(when: str, lab: Lab) -> bool:
    """Say whether doctor finds nothing; a stack that has just been healed is given a minute."""
    until = time.monotonic() + 60
    began = time.monotonic()
    while (found := lab.doctor()) and time.monotonic() < until:
        time.sleep(3)
        began = time.monotonic()
    print(f"\n{when}: {found or 'silent'} ({time.monotonic() - began:.1f} s)", flush=True)
    return not found


@contextmanager
def copy() -> Iterator[Lab]:
    """A copy of this checkout with secrets of its own."""
    root = Path(tempfile.mkdtemp(prefix="gauntlet-doctor-"))
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=CHECKOUT, capture_output=True, text=True,
        check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        if (CHECKOUT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, root / name)
    (root / "data").mkdir(exist_ok=True)
    env = {**PORTS, "COMPOSE_PROJECT_NAME": "gauntlet-doctor", "GAUNTLET_IMAGE": IMAGE, "GAUNTLET_STACK": "compose"}
    lab = Lab(root, env)
    try:
        lab.run("sh", "tools/env.sh")
        yield lab
    finally:
        shutil.rmtree(root)


# --- how each fault is put in and taken out -----------------------------------------------------


@contextmanager
def untouched() -> Iterator[None]:
    """The fault lies in the variables alone."""
    yield


def edited(name: str, change: Callable[[str], str]) -> Callable[[Lab], AbstractContextManager[None]]:
    """A file of the checkout with other text; one that was not there is removed again."""

    @contextmanager
    def broken(lab: Lab) -> Iterator[None]:
        path = lab.root / name
        old = path.read_bytes() if path.exists() else None
        path.write_bytes(change(old.decode() if old else "").encode())
        yield
        if old is None:
            path.unlink()
        else:
            path.write_bytes(old)

    return broken


def mode(name: str, wrong: int) -> Callable[[Lab], AbstractContextManager[None]]:
    """A file or folder with another mode; a relative name is that of the checkout or of the state folder."""

    @contextmanager
    def broken(lab: Lab) -> Iterator[None]:
        path = Path(lab.env.get("GAUNTLET_HOME", lab.root)) / name
        old = path.stat().st_mode & 0o777
        path.chmod(wrong)
        yield
        path.chmod(old)

    return broken


def docker(inject: list[str], heal: list[str], **env: str) -> Callable[[Lab], AbstractContextManager[None]]:
    """What a docker compose command breaks, and another heals."""

    @contextmanager
    def broken(lab: Lab) -> Iterator[None]:
        lab.compose(*inject, ok=False, **env)
        yield
        lab.compose(*heal)

    return broken


def statement(inject: str, heal: str) -> Callable[[Lab], AbstractContextManager[None]]:
    """What a statement on the product's database breaks, and another heals."""

    @contextmanager
    def broken(lab: Lab) -> Iterator[None]:
        lab.sql(inject)
        yield
        lab.sql(heal)

    return broken


@contextmanager
def port_taken(_: Lab) -> Iterator[None]:
    """Somebody else has the router's port."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", int(PORTS["ROUTER_PORT"])))
        other.listen()
        yield


@contextmanager
def router_port_taken(lab: Lab) -> Iterator[None]:
    """Somebody else has the router's port, and the router is not there."""
    lab.compose("stop", "router")
    with port_taken(lab):
        yield
    lab.compose(*HEAL)


@contextmanager
def no_bucket(lab: Lab) -> Iterator[None]:
    """Without models MLflow's bucket is empty, and can be removed."""
    lab.s3.delete_bucket(Bucket="mlflow")
    yield
    lab.s3.create_bucket(Bucket="mlflow")


def objects(lab: Lab, bucket: str, ending: str) -> list[str]:
    """The keys with an ending."""
    return [each["Key"] for each in lab.s3.list_objects_v2(Bucket=bucket)["Contents"] if each["Key"].endswith(ending)]


@contextmanager
def altered_models(lab: Lab) -> Iterator[None]:
    """Every model file has another byte at its end."""
    keys = objects(lab, "mlflow", ".skops")
    old = {key: lab.s3.get_object(Bucket="mlflow", Key=key)["Body"].read() for key in keys}
    for key, data in old.items():
        lab.s3.put_object(Bucket="mlflow", Key=key, Body=data + b"x")
    yield
    for key, data in old.items():
        lab.s3.put_object(Bucket="mlflow", Key=key, Body=data)


@contextmanager
def lost_snapshots(lab: Lab) -> Iterator[None]:
    """Every snapshot is gone."""
    old = {key: lab.s3.get_object(Bucket="data", Key=key)["Body"].read() for key in objects(lab, "data", ".parquet")}
    for key in old:
        lab.s3.delete_object(Bucket="data", Key=key)
    yield
    for key, data in old.items():
        lab.s3.put_object(Bucket="data", Key=key, Body=data)


@contextmanager
def dropped_alias(lab: Lab) -> Iterator[None]:
    """Somebody drops the alias `production` in MLflow."""
    lab.mlflow("DELETE", "registered-models/alias", {"name": "gauntlet", "alias": "production"})
    yield
    lab.mlflow("POST", "registered-models/alias", {"name": "gauntlet", "alias": "production", "version": "1"})


@contextmanager
def owed_alias(lab: Lab) -> Iterator[None]:
    """A run was killed between the ledger and MLflow: the alias shows what it showed before."""
    with dropped_alias(lab):
        lab.sql("insert into ledger.projection (spec, version) values ('diamonds', null)")
        yield
    lab.sql("insert into ledger.projection (spec, version) values ('diamonds', 1)")


@contextmanager
def stopped_scheduler(lab: Lab) -> Iterator[None]:
    """A process that is there and does nothing."""
    pid = int(json.loads(lab.gauntlet("status", "--json"))["services"]["airflow-scheduler"]["pid"])
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


def own_statement(inject: str, heal: str) -> Callable[[Lab], AbstractContextManager[None]]:
    """The same on the embedded database; {ROLE} is the password of a role."""

    @contextmanager
    def broken(lab: Lab) -> Iterator[None]:
        passwords = json.loads(Path(lab.env["GAUNTLET_HOME"], "secrets", "secrets.json").read_text())
        url = f"postgresql://postgres:{passwords['postgres']}@127.0.0.1:{PORTS['POSTGRES_PORT']}/gauntlet"
        for text in (inject, heal):
            with psycopg2.connect(url) as connection, connection.cursor() as cursor:
                cursor.execute(text.format(**passwords))
            connection.close()
            if text == inject:
                yield

    return broken


@contextmanager
def small_disk(lab: Lab) -> Iterator[None]:
    """A full disk under the state folder; for root alone."""
    home = lab.env["GAUNTLET_HOME"]
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=711", "tmpfs", home], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", home], check=True)


OTHER = secrets.token_urlsafe(24)
WRONG = {"POSTGRES_PASSWORD": OTHER}
PUBLISHED = 'services: {router: {ports: ["0.0.0.0:18001:8000"]}}\n'
BAD_ROUTER = ["up", "--detach", "--no-deps", "router"]
HEAL = ["up", "--detach", "--wait"]

FRESH = [
    Fault("bucket removed", "bucket mlflow must be at", no_bucket),
]
FAULTS = [
    Fault(
        "wrong password of a role in .env",
        "role gauntlet_app .* refused the password",
        env={"GAUNTLET_APP_DB_PASSWORD": "wrong"},
    ),
    Fault("POSTGRES_PASSWORD changed after the first start", "role postgres .* refused the password", env=WRONG),
    Fault("wrong S3 key", "store refused", env={"AWS_SECRET_ACCESS_KEY": "not-this-one"}),
    Fault("wrong Airflow password", "refused the login", env={"AIRFLOW_ADMIN_PASSWORD": "wrong"}),
    Fault(
        "a secret missing in .env",
        "MLFLOW_DB_PASSWORD is not",
        edited(".env", lambda text: re.sub("(?m)^MLFLOW_DB_PASSWORD=.*$", "", text)),
    ),
    Fault("malformed Fernet key", "AIRFLOW_FERNET_KEY must be 32 bytes", env={"AIRFLOW_FERNET_KEY": "short"}),
    Fault(".env readable by all", r"\.env holds secrets", mode(".env", 0o644)),
    Fault(
        "a misspelt name in .env",
        "looks like POSTGRES_PASSWORD",
        edited(".env", lambda text: text + "\nPOSTGRES_PASWORD=x\n"),
    ),
    Fault("Windows line ends in .env", "Windows line ends", edited(".env", lambda text: text.replace("\n", "\r\n"))),
    Fault("a setting out of range", "AB_POOL_SHARE", env={"AB_POOL_SHARE": "2"}),
    Fault(
        "a setting changed after the start", r"settings as they are now; .*PSI_THRESHOLD", env={"PSI_THRESHOLD": "0.3"}
    ),
    Fault("DATA_FILE that is not there", "DATA_FILE must name", env={"DATA_FILE": "nothing.csv"}),
    Fault("a spec that breaks rules", "spec broken: ", edited("specs/broken.toml", lambda _: 'title = "x"\n')),
    Fault("specs closed to the containers", "must be able to read", mode("specs", 0o700)),
    Fault(
        "a DAG file that cannot be imported",
        "must be able to read .*broken.py",
        edited(DAG, lambda _: "import airflow.nowhere  # for a dag\n"),
        patience=90,
    ),
    Fault(
        "code newer than the image",
        "must hold this checkout's code",
        edited("src/gauntlet/__init__.py", lambda text: text + "# new\n"),
    ),
    Fault(
        "a port open to the network",
        "published on 127.0.0.1 alone",
        edited("docker-compose.override.yml", lambda _: PUBLISHED),
    ),
    Fault("Docker does not answer", "Docker's engine must answer", env={"DOCKER_HOST": "unix:///nowhere.sock"}),
    Fault("service stopped", "router must be healthy; it has ended", docker(["stop", "router"], HEAL)),
    Fault("service paused", "mlflow must be healthy; it is paused", docker(["pause", "mlflow"], ["unpause", "mlflow"])),
    Fault("Postgres stopped", "postgres must be healthy; it has ended", docker(["stop", "postgres"], HEAL)),
    Fault("port taken", "ROUTER_PORT must be a free port; 18000 is taken by process", router_port_taken),
    Fault(
        "a service started with another password",
        r"settings as they are now; .*ROUTER_DATABASE_URL \(router\)",
        docker(BAD_ROUTER, HEAL, ROUTER_DB_PASSWORD=OTHER),
        patience=150,
    ),
    Fault(
        "a one-shot that failed",
        "databases must end well",
        docker(["up", "--detach", "databases"], HEAL, **WRONG),
        patience=90,
    ),
    Fault(
        "stale migration",
        "must be at revision",
        statement(
            "create table kept as table alembic_version; delete from alembic_version",
            "insert into alembic_version select * from kept; drop table kept",
        ),
    ),
    Fault(
        "database made by newer code",
        "which newer code has made",
        statement(
            "create table kept as table alembic_version; update alembic_version set version_num = '9999'",
            "delete from alembic_version; insert into alembic_version select * from kept; drop table kept",
        ),
    ),
    Fault("alias moved by hand", "it was moved by hand", dropped_alias),
    Fault("projection of the ledger owed", "the move was never shown", owed_alias),
    Fault("model file altered", "must have the SHA-256 kept at registration", altered_models),
    Fault("snapshot lost", "must be in the object store; found nothing", lost_snapshots),
]
EMBEDDED_BEFORE = [
    Fault("port taken", "ROUTER_PORT must be a free port; 18000 is taken by process", port_taken),
    Fault("two services on one port", "are both 15000", env={"ROUTER_PORT": "15000"}),
    *([Fault("disk full", "free disk", small_disk)] if os.geteuid() == 0 else []),
]
EMBEDDED = [
    Fault("scheduler hangs", "airflow-scheduler must be healthy; last heartbeat", stopped_scheduler, patience=40),
    Fault("secrets readable by all", "holds secrets", mode("secrets/secrets.json", 0o644)),
    Fault(
        "wrong password of a role",
        "role router .* refused the password",
        own_statement("alter role router password 'other'", "alter role router password '{router}'"),
    ),
    Fault(
        "stale migration",
        "must be at revision",
        own_statement(
            "create table kept as table alembic_version; delete from alembic_version",
            "insert into alembic_version select * from kept; drop table kept",
        ),
    ),
    Fault("a setting changed after the start", "settings as they are now; ROUTER_WORKERS", env={"ROUTER_WORKERS": "3"}),
]


if __name__ == "__main__":
    sys.exit(main())
