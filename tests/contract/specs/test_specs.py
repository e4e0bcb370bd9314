"""The two readers of a spec file, which share no code: what the domain accepts, the router can serve."""

from pathlib import Path

import pytest

from gauntlet.domain.spec import Spec, SpecError
from router.catalogue import Catalogue
from router.errors import Refused
from router.settings import Settings

TREES = """
title = "Trees"
data = "trees.csv"
target = "height"
task = "regression"
metric = "mae"
candidates = ["linear"]
schedule = "30 6 * * mon-fri"

[numeric]
height = { min = 0, max = 100 }
girth = { min = 0, max = 10 }

[categorical]
kind = ["oak", "NA", "1"]
"""
ROWS = "height,girth,kind,plot\n" + "".join(f"{each % 17},{each % 5 + 0.5},oak,{each}\n" for each in range(200))
DIAMONDS = Path(__file__).parents[3].joinpath("specs/diamonds.toml").read_text(encoding="utf-8")

GOOD = {
    "plain": TREES,
    "bytes in UTF-8": TREES.replace("Trees", "Bäume"),
    "lines of Windows": TREES.replace("\n", "\r\n"),
    "a key": 'key = "plot"\n' + TREES,
    "a path through folders": TREES.replace("trees.csv", "./files/../trees.csv"),
    "a file in a package": DIAMONDS,
    "by hand only": TREES.replace('schedule = "30 6 * * mon-fri"', ""),
    "a classification": TREES.replace("height", "kind", 1)
    .replace("regression", "classification")
    .replace("mae", "log_loss")
    .replace("linear", "logistic"),
    "numbers only": TREES.partition("[categorical]")[0],
}
BAD: dict[str, str | bytes] = {
    "no TOML": TREES.replace('"Trees"', "Trees"),
    "not UTF-8": TREES.replace("Trees", "Bäume").encode("latin-1"),
    "a byte order mark": TREES.encode("utf-8-sig"),
    "UTF-16": TREES.encode("utf-16"),
    "an endless number": TREES + "seed = " + "9" * 5000,
    "endless lists": "segments = " + "[" * 5000,
    "a table twice": TREES + "[numeric]\n",
    "no data": TREES.replace('data = "trees.csv"', ""),
    "no target": TREES.replace('target = "height"', ""),
    "a package inside a package": TREES.replace("trees.csv", "statsmodels.datasets:fair/fair.csv"),
    "a key that is a feature": 'key = "girth"\n' + TREES,
    "a column of both kinds": TREES + 'girth = ["1"]\n',
    "categories that are numbers": TREES.replace('"1"]', "1]"),
    "no columns": TREES.partition("[numeric]")[0],
    "a key that is no text": "key = 5\n" + TREES,
}
NAMES = {
    "trees": True,
    "t": True,
    "t" * 63: True,
    "t_9": True,
    "t" * 64: False,
    "Trees": False,
    "9": False,
    "t-9": False,
}


def accepted(name: str, content: bytes) -> bool:
    try:
        Spec.parse(name, content)
    except SpecError:
        return False
    return True


def served(folder: Path, name: str, content: bytes) -> bool:
    specs = folder / "specs"
    specs.mkdir()
    (specs / f"{name}.toml").write_bytes(content)
    (folder / "files").mkdir()
    (folder / "trees.csv").write_text(ROWS)
    try:
        dataset = Catalogue(Settings("postgresql://", specs, folder)).get(name)
    except Refused:
        return False
    assert set(dataset.names) == set(Spec.parse(name, content).columns)
    return True


@pytest.mark.parametrize("case", GOOD)
def test_both_take_a_good_spec(case: str, tmp_path: Path) -> None:
    content = GOOD[case].encode()
    assert accepted("trees", content)
    assert served(tmp_path, "trees", content)


@pytest.mark.parametrize("case", BAD)
def test_both_refuse_a_bad_spec(case: str, tmp_path: Path) -> None:
    text = BAD[case]
    content = text if isinstance(text, bytes) else text.encode()
    assert not accepted("trees", content)
    assert not served(tmp_path, "trees", content)


@pytest.mark.parametrize("name", NAMES)
def test_both_take_the_same_names(name: str, tmp_path: Path) -> None:
    assert accepted(name, TREES.encode()) == served(tmp_path, name, TREES.encode()) == NAMES[name]
