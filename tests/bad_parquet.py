"""Parquet files of diamonds to predict as they should not be, or hardly, each with the answer that it must get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

REPOSITORY = Path(__file__).parents[1]
ROWS = 20
KEY = "stone"


@dataclass(frozen=True)
class BadFile:
    """How a file is written, and what becomes of it.

    `refused` is a part of the answer when the file is refused as a whole; else so many rows are accepted and rejected,
    and `reasons` are those of the first rejected row. `keyed`: the spec has the key `stone`.
    """

    write: Callable[[Path], None]
    refused: str | None = None
    accepted: int = ROWS
    rejected: int = 0
    reasons: str | None = None
    keyed: bool = False


def spec_text(*, keyed: bool) -> str:
    """The spec of diamonds, with the key `stone` where it is asked for."""
    return (f'key = "{KEY}"\n' if keyed else "") + (REPOSITORY / "specs" / "diamonds.toml").read_text()


def good(rows: int = ROWS) -> dict[str, Any]:
    """Columns of diamonds that fulfil their spec, no two rows alike."""
    place = np.arange(rows)
    return {
        "carat": 0.2 + place * 1e-6,
        "depth": np.full(rows, 61.5),
        "table": np.full(rows, 55.0),
        "x": np.full(rows, 3.95),
        "y": np.full(rows, 3.98),
        "z": np.full(rows, 2.43),
        "cut": ["Ideal"] * rows,
        "color": ["E"] * rows,
        "clarity": ["SI2"] * rows,
    }


def raw(data: bytes) -> Callable[[Path], None]:
    """A writer of bytes."""

    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


def table(**changes: Any) -> Callable[[Path], None]:
    """A writer of good rows with other or more columns; a column that is None is left out."""
    columns = {name: column for name, column in {**good(), **changes}.items() if column is not None}
    return lambda path: pq.write_table(pa.table(columns), path)


def cell(column: str, value: Any, place: int = 2) -> Callable[[Path], None]:
    """A writer of good rows, one cell of which is another."""
    cells = list(good()[column])
    cells[place] = value
    return table(**{column: cells})


def keys(values: list[Any] | pa.Array) -> Callable[[Path], None]:
    """A writer of good rows with keys."""
    return table(**{KEY: values})


def row_ids(*first: Any) -> Callable[[Path], None]:
    """A writer of good rows whose row ids begin with these; the rest are 100, 101, ..."""
    return table(row_id=[*first, *range(100, 100 + ROWS - len(first))])


def renamed(**names: str) -> Callable[[Path], None]:
    """A writer of good rows with other names of columns."""
    columns = good()
    found = pa.table(columns).rename_columns([names.get(name, name) for name in columns])
    return lambda path: pq.write_table(found, path)


def doubled(path: Path) -> None:
    """Write two columns of one name."""
    found = pa.table(good())
    pq.write_table(found.append_column("carat", found["depth"]), path)


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A writer of good rows whose file is changed afterwards."""

    def write(path: Path) -> None:
        pq.write_table(pa.table(good(2000)), path, compression="zstd", store_schema=False)
        path.write_bytes(change(path.read_bytes()))

    return write


def overwritten(data: bytes) -> bytes:
    """A file with a page in its middle that is no longer what was written."""
    middle = len(data) // 3
    return data[:middle] + b"\xa5" * 400 + data[middle + 400 :]


def not_unicode(*values: bytes) -> pa.Array:
    """Texts that are not UTF-8, as careless writers leave them."""
    return pa.Array.from_buffers(pa.string(), len(values), pa.array(values, type=pa.binary()).buffers())


def odd_types(path: Path) -> None:
    """Write numbers and categories in types that hold the same values."""
    columns = good()
    odd = {
        "carat": pa.array([Decimal("0.23")] * ROWS, type=pa.decimal128(9, 2)),
        "depth": pa.array([61] * ROWS, type=pa.uint64()),
        "table": pa.array([" 55.0 ", "+5.5e1"] * (ROWS // 2)),
        "x": pa.array([True] * ROWS),
        "y": pa.array(["3.98"] * ROWS).dictionary_encode(),
        "z": pa.array([2.43] * ROWS, type=pa.float32()),
        "cut": pa.array(columns["cut"]).dictionary_encode(),
        "color": pa.array(columns["color"], type=pa.large_string()),
        "clarity": pa.array(columns["clarity"], type=pa.string_view()),
    }
    pq.write_table(pa.table(odd), path)


def one_group(path: Path) -> None:
    """Write many rows in a single group of rows."""
    pq.write_table(pa.table(good(300_000)), path, row_group_size=300_000)


def no_rows(path: Path) -> None:
    """Write columns without rows."""
    pq.write_table(pa.table(good()).schema.empty_table(), path)


IN_CUTS = "cut must be one of Fair, Good, Very Good, Premium, Ideal"

BAD_FILES: Mapping[str, BadFile] = {
    "not parquet": BadFile(raw(b"carat,depth\n0.2,61\n"), refused="parquet"),
    "zero bytes": BadFile(raw(b""), refused="parquet"),
    "truncated": BadFile(changed(lambda data: data[: len(data) // 2]), refused="parquet"),
    "corrupt footer": BadFile(changed(lambda data: data[:-200] + b"\xa5" * 190 + data[-10:]), refused="parquet"),
    "encrypted": BadFile(changed(lambda data: b"PARE" + data[4:-4] + b"PARE"), refused="parquet"),
    "corrupt page": BadFile(changed(overwritten), refused="parquet"),
    "no rows": BadFile(no_rows, accepted=0),
    "missing column": BadFile(table(carat=None, cut=None), refused="must be there; missing: carat, cut. Add them."),
    "wrong case": BadFile(renamed(carat="Carat"), refused="missing: carat. Did you mean Carat?"),
    "doubled column": BadFile(doubled, refused="names of columns must differ; doubled: carat."),
    "name that is not UTF-8": BadFile(
        changed(lambda data: data.replace(b"clarity", b"clar\xff\xfey")), refused="codec can't decode byte 0xff"
    ),
    "name of the scores": BadFile(
        table(prediction=[1.0] * ROWS), refused="must not have the names that scores add; found prediction."
    ),
    "list": BadFile(table(carat=[[0.2]] * ROWS), refused="carat must hold numbers; found list<element: double>."),
    "struct": BadFile(table(cut=[{"of": "Ideal"}] * ROWS), refused="cut must hold text or numbers; found struct<"),
    "timestamp for a number": BadFile(
        table(carat=[datetime(2026, 11, 20)] * ROWS),  # noqa: DTZ001 - a column without a zone
        refused="carat must hold numbers; found timestamp[us].",
    ),
    "binary": BadFile(table(cut=[b"Ideal"] * ROWS), refused="cut must hold text or numbers; found binary."),
    "binary key": BadFile(
        keys([b"%d" % place for place in range(ROWS)]),
        refused="stone must hold text or numbers; found binary.",
        keyed=True,
    ),
    "no key": BadFile(table(), refused="must be there; missing: stone. Add them.", keyed=True),
    "text that is no number": BadFile(
        table(carat=["0.2", " 0.3 ", "1,5", *["0.4"] * (ROWS - 3)]),
        accepted=ROWS - 1,
        rejected=1,
        reasons='carat must be a number; found "1,5"',
    ),
    "text nan": BadFile(
        table(carat=["nan", "inf", "1e999", *["0.4"] * (ROWS - 3)]),
        accepted=ROWS - 3,
        rejected=3,
        reasons='carat must be a number; found "nan"',
    ),
    "null": BadFile(cell("carat", None), accepted=ROWS - 1, rejected=1, reasons="carat must not be missing"),
    "NaN": BadFile(cell("carat", float("nan")), accepted=ROWS - 1, rejected=1, reasons="carat must not be missing"),
    "infinity": BadFile(
        cell("carat", float("inf")),
        accepted=ROWS - 1,
        rejected=1,
        reasons="carat must lie in 0.02..10.02; found inf",
    ),
    "out of range": BadFile(
        cell("carat", 99.0), accepted=ROWS - 1, rejected=1, reasons="carat must lie in 0.02..10.02; found 99"
    ),
    "unsigned beyond range": BadFile(
        table(carat=pa.array([2**64 - 1, *[1] * (ROWS - 1)], type=pa.uint64())),
        accepted=ROWS - 1,
        rejected=1,
        reasons="carat must lie in 0.02..10.02; found 18446744073709551615",
    ),
    "decimal beyond range": BadFile(
        table(carat=pa.array([Decimal("1e40"), *[Decimal(1)] * (ROWS - 1)], type=pa.decimal256(50, 2))),
        accepted=ROWS - 1,
        rejected=1,
        reasons="carat must lie in 0.02..10.02; found 1" + "0" * 40 + ".00",
    ),
    "column of nulls": BadFile(
        table(carat=pa.nulls(ROWS)), accepted=0, rejected=ROWS, reasons="carat must not be missing"
    ),
    "null category": BadFile(cell("cut", None), accepted=ROWS - 1, rejected=1, reasons="cut must not be missing"),
    "unknown category": BadFile(
        cell("cut", "Superb"), accepted=ROWS - 1, rejected=1, reasons=f'{IN_CUTS}; found "Superb"'
    ),
    "category with a zero character": BadFile(
        cell("cut", "Id\0eal"), accepted=ROWS - 1, rejected=1, reasons=rf'{IN_CUTS}; found "Id\x00eal"'
    ),
    "category that is not UTF-8": BadFile(
        table(cut=not_unicode(b"Id\xffeal", *[b"Ideal"] * (ROWS - 1))),
        accepted=ROWS - 1,
        rejected=1,
        reasons=rf'{IN_CUTS}; found "Id\xffeal"',
    ),
    "huge text": BadFile(
        cell("cut", "x" * 2**20), accepted=ROWS - 1, rejected=1, reasons=f'{IN_CUTS}; found "{"x" * 60}..."'
    ),
    "every reason": BadFile(
        table(carat=["-1"] * ROWS, depth=[None] * ROWS, cut=["a"] * ROWS),
        accepted=0,
        rejected=ROWS,
        reasons=f'carat must lie in 0.02..10.02; found "-1"; depth must not be missing; {IN_CUTS}; found "a"',
    ),
    "null key": BadFile(
        keys([None, *map(str, range(ROWS - 1))]),
        accepted=ROWS - 1,
        rejected=1,
        reasons="stone must not be missing",
        keyed=True,
    ),
    "doubled key": BadFile(
        keys(["a", "b", "a", "a", *map(str, range(ROWS - 4))]),
        accepted=ROWS - 2,
        rejected=2,
        reasons='stone must be unique in a file; found "a" again',
        keyed=True,
    ),
    "key with a zero character": BadFile(
        keys(["a\0", *map(str, range(ROWS - 1))]),
        accepted=ROWS - 1,
        rejected=1,
        reasons=r'stone must be text in UTF-8 of at most 1,000 bytes, none of them 0; found "a\x00"',
        keyed=True,
    ),
    "key that is not UTF-8": BadFile(
        keys(not_unicode(b"\xff", *(b"%d" % place for place in range(ROWS - 1)))),
        accepted=ROWS - 1,
        rejected=1,
        reasons=r'stone must be text in UTF-8 of at most 1,000 bytes, none of them 0; found "\xff"',
        keyed=True,
    ),
    "key that is too long": BadFile(
        keys(["k" * 5000, *map(str, range(ROWS - 1))]),
        accepted=ROWS - 1,
        rejected=1,
        reasons=f'stone must be text in UTF-8 of at most 1,000 bytes, none of them 0; found "{"k" * 60}..."',
        keyed=True,
    ),
    "key of fractions": BadFile(keys([place + 0.5 for place in range(ROWS)]), keyed=True),
    "null row id": BadFile(row_ids(None), accepted=ROWS - 1, rejected=1, reasons="row_id must not be missing"),
    "doubled row id": BadFile(
        row_ids(7, 7), accepted=ROWS - 1, rejected=1, reasons="row_id must be unique in a file; found 7 again"
    ),
    "negative row id": BadFile(
        row_ids(-7),
        accepted=ROWS - 1,
        rejected=1,
        reasons="row_id must be a whole number in 0..9007199254740991; found -7",
    ),
    "row id with a fraction": BadFile(
        row_ids(1.5, 3.0),
        accepted=ROWS - 1,
        rejected=1,
        reasons="row_id must be a whole number in 0..9007199254740991; found 1.5",
    ),
    "row id that is too large": BadFile(
        row_ids(2**53, 2**53 - 1),
        accepted=ROWS - 1,
        rejected=1,
        reasons="row_id must be a whole number in 0..9007199254740991; found 9007199254740992",
    ),
    "dates for row ids": BadFile(
        table(row_id=[datetime(2026, 11, 20)] * ROWS),  # noqa: DTZ001
        refused="row_id must hold whole numbers; found timestamp[us].",
    ),
    "odd types": BadFile(odd_types),
    "equal rows": BadFile(table(carat=[0.2] * ROWS)),
    "one huge group": BadFile(one_group, accepted=300_000),
    "empty name": BadFile(table(**{"": [1] * ROWS})),
    "1,000 more columns": BadFile(table(**{f"extra_{number}": [number] * ROWS for number in range(1000)})),
}
"""Every file by its name."""
