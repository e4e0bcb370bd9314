"""Where things lie in the state folder, and the names of the services."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from gauntlet.jobs.stack import StackError

POSTGRES = "postgres"
MLFLOW = "mlflow"
API_SERVER = "airflow-api-server"
SCHEDULER = "airflow-scheduler"
DAG_PROCESSOR = "airflow-dag-processor"
ROUTER = "router"
# not kept running, but launched in the same way
SUPERVISOR = "supervisor"
AIRFLOW_MIGRATE = "airflow-migrate"
SERVICES = (POSTGRES, MLFLOW, API_SERVER, SCHEDULER, DAG_PROCESSOR, ROUTER)

# A socket's path has 107 bytes at most, and supervisor first binds PATH.PID.
_LONGEST_SOCKET = 95


@dataclass(frozen=True)
class Layout:
    """The files and folders of one state folder."""

    home: Path

    @classmethod
    def of(cls, home: Path) -> Layout:
        """Return the layout of a state folder, symbolic links resolved, so that one folder has one name."""
        return cls(home.resolve())

    @property
    def config(self) -> Path:
        """The configuration of the stack that runs, without secrets."""
        return self.home / "stack.json"

    @property
    def lock(self) -> Path:
        """Held by whoever starts or stops the stack."""
        return self.home / "lock"

    @property
    def secrets(self) -> Path:
        """The folder of the secrets."""
        return self.home / "secrets"

    @property
    def logs(self) -> Path:
        """The folder of the services' logs."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """The folder in which the supervisor works; its subfolders are the services' working directories."""
        return self.home / "run"

    @property
    def objects(self) -> Path:
        """The object store."""
        return self.home / "objects"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.home / "artifacts"

    @property
    def scratch(self) -> Path:
        """Where files lie while they are scored."""
        return self.home / "scratch"

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.home / "airflow"

    @property
    def postgres_place(self) -> Path:
        """The file that says where the database folder lies."""
        return self.home / "postgres-place"

    @property
    def supervisor_pid(self) -> Path:
        """The supervisor's process id."""
        return self.run / "supervisord.pid"

    @property
    def digest(self) -> str:
        """A short name for this state folder, for what must lie elsewhere."""
        return hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]

    @property
    def socket(self) -> Path:
        """The supervisor's socket: in the state folder, or in a folder of /tmp where that path is too long."""
        near = self.run / "supervisor.sock"
        if len(os.fsencode(near)) <= _LONGEST_SOCKET:
            return near
        # not $TMPDIR or $XDG_RUNTIME_DIR: every shell of the user must find the same place
        return Path("/tmp", f"gauntlet-{os.geteuid()}-{self.digest}", "supervisor.sock")  # noqa: S108

    def log(self, service: str) -> Path:
        """The log of one service."""
        return self.logs / f"{service}.log"

    def work(self, service: str) -> Path:
        """The working directory of one service, by which its processes are known."""
        return self.run / service

    def create(self) -> None:
        """Create the folders, readable by their owner alone; raises StackError for a folder of somebody else."""
        if not self.home.exists():
            # Under root Postgres is another user, who must be able to pass through to its own folder.
            self.home.mkdir(parents=True)
            self.home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        _must_be_ours(self.home)
        private = self.secrets, self.logs, self.run, self.objects, self.artifacts, self.scratch, self.airflow
        for folder in (*private, *self._works()):
            folder.mkdir(mode=0o700, exist_ok=True)
        if self.socket.parent != self.run:
            self.socket.parent.mkdir(mode=0o700, exist_ok=True)
            _must_be_ours(self.socket.parent)

    def _works(self) -> list[Path]:
        return [self.work(service) for service in SERVICES]


def _must_be_ours(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise StackError(
            f"The state folder must belong to the user who starts the stack; {folder} is that of user {found.st_uid}, "
            f"this is user {os.geteuid()}. Start it as that user, or set GAUNTLET_HOME to another folder."
        )
