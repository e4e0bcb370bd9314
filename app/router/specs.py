"""What the router needs of a spec file: where the rows are, and which columns are served as what."""

import importlib.util
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.errors import Refused, bad

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class DataError(Exception):
    """A spec or data file that cannot be served; the text says what, where and the remedy."""


@dataclass(frozen=True)
class ServedSpec:
    """The part of specs/NAME.toml that serving rows needs."""

    name: str
    title: str
    data: str
    target: str
    key: str | None
    numeric: tuple[str, ...]
    categorical: dict[str, tuple[str, ...]]

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is served, in no particular order."""
        return (*([self.key] if self.key else []), *self.numeric, *self.categorical)


def spec_path(folder: Path, name: str) -> Path:
    """The file of the spec `name`; refused when there is none (400: no name of a spec, 404: not there)."""
    if not NAME.fullmatch(name):
        raise bad("spec must be 1 to 63 of a-z, 0-9 and _, beginning with a letter", name, known(folder))
    path = folder / f"{name}.toml"
    if not path.is_file():
        raise Refused(404, "spec must name a spec that there is", name, known(folder))
    return path


def known(folder: Path) -> str:
    """A remedy that lists the specs there are."""
    return f"Known: {', '.join(names(folder)) or 'none'}."


def names(folder: Path) -> list[str]:
    """The specs there are, by name."""
    return sorted(path.stem for path in folder.glob("*.toml") if NAME.fullmatch(path.stem))


def read_spec(path: Path) -> ServedSpec:
    """Read what serving needs of the file at `path`.

    Raises:
        DataError: naming every key that is wrong.
    """
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # a number too long, lists too deep are no TOMLDecodeError
        raise DataError(f"{path.name} must be TOML in UTF-8: {error}") from error
    problems = _problems(document)
    if problems:
        raise DataError(f"{path.name}: " + " ".join(problems))
    return ServedSpec(
        name=path.stem,
        title=document.get("title") or path.stem,
        data=document["data"],
        target=document["target"],
        key=document.get("key"),
        numeric=tuple(document.get("numeric", {})),
        categorical={name: tuple(values) for name, values in document.get("categorical", {}).items()},
    )


def _problems(document: dict[str, Any]) -> list[str]:
    found = [f"{name} must be a text." for name in ("data", "target") if not isinstance(document.get(name), str)]
    found += [f"{name} must be a text." for name in ("title", "key") if not isinstance(document.get(name, ""), str)]
    tables = [name for name in ("numeric", "categorical") if not isinstance(document.get(name, {}), dict)]
    if tables:
        return [*found, *(f"{name} must be a table." for name in tables)]
    numeric, categorical = document.get("numeric", {}), document.get("categorical", {})
    if not numeric and not categorical:
        found.append("It must name columns under [numeric] or [categorical].")
    found += [f"{name} must not be both numeric and categorical." for name in numeric if name in categorical]
    found += [
        f"categorical.{name} must be a list of texts."
        for name, values in categorical.items()
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values)
    ]
    if document.get("key") in (*numeric, *categorical):
        found.append("key must not be a feature.")
    return found


def data_path(data: str, root: Path) -> Path:
    """The file that `data` names: PACKAGE:FILE inside an installed package, or a path that starts from `root`.

    Raises:
        DataError: when there is no such package or file.
    """
    package, colon, file = data.partition(":")
    if colon and package.isidentifier():
        # find_spec of a top-level package does not import it.
        try:
            found = importlib.util.find_spec(package)
        except ValueError:  # such as __main__, which has none
            found = None
        if found is None or not found.submodule_search_locations:
            raise DataError(f"data must name a file in an installed package; found no package {package}")
        path = Path(found.submodule_search_locations[0], file)
    else:
        path = root / data
    if not path.is_file():
        raise DataError(f"data must be a CSV or parquet file; found none at {path}")
    return path
