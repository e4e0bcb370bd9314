"""The file .env as the doctor looks at it: whether it is a file, closed to others, and says what its writer meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

from gauntlet.adapters.machine import check_private
from gauntlet.jobs.doctor import Finding

CHECK = ".env"
LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*)")
ALIKE = 0.86


def check_dotenv(path: Path, known: Mapping[str, bool]) -> list[Finding]:
    """Look through the file, if there is one; `known` are the names that mean something, and whether each is secret."""
    if not path.exists():
        return []
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "bytes that are not UTF-8"
        line = f"{path} must be a text file that this user may read; found: {said}."
        return [Finding(CHECK, line, "Move it away and make a new one (make .env), or correct it.")]
    found = check_private([path], CHECK) if _holds_a_secret(text, known) else []
    if "\r" in text:
        line = "The lines of .env must end with a newline alone; found Windows line ends, which confuse shells."
        found.append(Finding(CHECK, line, "sed -i 's/\\r$//' .env"))
    return found + _check_lines(text.replace("\r", ""), known)


def _holds_a_secret(text: str, known: Mapping[str, bool]) -> bool:
    lines = (LINE.fullmatch(line) for line in text.splitlines() if not line.lstrip().startswith("#"))
    return any(known.get(match[1]) and match[2].strip(" \t'\"") for match in lines if match)


def _check_lines(text: str, known: Mapping[str, bool]) -> list[Finding]:
    found: list[Finding] = []
    first: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if match is None:
            said = f"Each line of .env must be NAME=value or a comment; line {number} is neither."
            found.append(Finding(CHECK, said, "Correct or remove that line."))
            continue
        name, value = match.groups()
        if name in first:
            said = f"Each name must stand once in .env; {name} stands on lines {first[name]} and {number}."
            found.append(Finding(CHECK, said, "Remove one of them; the last is the one that counts."))
        first.setdefault(name, number)
        found += _check_line(name, value, known)
    return found


def _check_line(name: str, value: str, known: Mapping[str, bool]) -> list[Finding]:
    alike = [] if name in known else difflib.get_close_matches(name.upper(), known, n=1, cutoff=ALIKE)
    if alike:
        said = f"A name in .env must be one that is known to count; {name} is not, and looks like {alike[0]}."
        return [Finding(CHECK, said, f"Write {alike[0]}, or remove the line.")]
    if name in known and "$" in value and not value.startswith("'"):
        said = f"A $ in .env begins the name of another variable; {name} holds one, and so is not as written."
        return [Finding(CHECK, said, f"Put the value of {name} between single quotes.")]
    return []
