"""The router's settings, read from the environment once and checked as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """Variables that cannot be used: every one of them, a line each."""


@dataclass(frozen=True)
class Settings:
    """What the router was told by its environment."""

    database_url: str
    specs_dir: Path
    data_root: Path
    data_file: Path | None = None
    default_spec: str = "diamonds"
    ab_pool_share: float = 0.3
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 2

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """The settings that `env` holds; an empty variable counts as unset.

        Raises:
            SettingsError: naming every missing or bad variable.
        """
        reader = _Reader(env)
        data_file = reader.text("DATA_FILE", "")
        settings = cls(
            database_url=reader.database_url(),
            specs_dir=reader.folder("SPECS_DIR", "specs"),
            data_root=reader.folder("DATA_ROOT", "."),
            data_file=Path(data_file) if data_file else None,
            default_spec=reader.text("DEFAULT_SPEC", cls.default_spec),
            ab_pool_share=reader.share("AB_POOL_SHARE", cls.ab_pool_share),
            host=reader.text("ROUTER_HOST", cls.host),
            port=reader.whole("ROUTER_PORT", cls.port, 1, 65535),
            workers=reader.whole("ROUTER_WORKERS", cls.workers, 1, 64),
        )
        if reader.problems:
            raise SettingsError("The router cannot start:\n" + "\n".join(f"  {line}" for line in reader.problems))
        return settings


class _Reader:
    """Reads variables and collects what is wrong with them."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.problems: list[str] = []

    def text(self, name: str, default: str) -> str:
        return self.env.get(name, "").strip() or default

    def database_url(self) -> str:
        url = self.text("ROUTER_DATABASE_URL", "")
        if not url.startswith(("postgresql://", "postgres://")):
            # The value may hold a password: say only that it is wrong.
            found = "nothing" if not url else "something else"
            self._problem("ROUTER_DATABASE_URL", "must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE", found)
        return url

    def folder(self, name: str, default: str) -> Path:
        path = Path(self.text(name, default))
        if not path.is_dir():
            self._problem(name, "must be a folder", str(path))
        return path

    def share(self, name: str, default: float) -> float:
        text = self.text(name, str(default))
        try:
            share = float(text)
        except ValueError:
            share = -1.0
        if not 0 < share < 1:
            self._problem(name, "must be a number between 0 and 1", text)
        return share

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        text = self.text(name, str(default))
        number = int(text) if text.isascii() and text.isdigit() else -1
        if not low <= number <= high:
            self._problem(name, f"must be a whole number from {low} to {high}", text)
        return number

    def _problem(self, name: str, rule: str, found: str) -> None:
        self.problems.append(f"{name} {rule}; found {found}.")
