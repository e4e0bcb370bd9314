"""Files of a folder and of S3 (a stand-in) as scoring and training see them: listed, named, fetched, kept."""

import hashlib
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.contract.adapters.test_objects import files as files
from tests.contract.adapters.test_objects import s3_endpoint as s3_endpoint
from tests.contract.adapters.test_objects import s3_uri as s3_uri

from gauntlet.jobs.inbox import fetched, inbox, keep, named
from gauntlet.jobs.mart_port import BatchKind
from gauntlet.jobs.run import Refused
from gauntlet.jobs.upkeep import Files

PREDICT = BatchKind.PREDICT


def test_a_file_is_listed_named_fetched_and_kept(files: Files, tmp_path: Path) -> None:
    data = b"rows" * 3_000_000
    files.write("data/s/predict/2026-11-20/50% of ü.parquet", io.BytesIO(data))
    files.write("data/s/predict/now.parquet", io.BytesIO(b"rows"))
    dated, fresh = inbox(files, "s", PREDICT)
    assert (dated.time, dated.size) == (datetime(2026, 11, 20, tzinfo=UTC), 12_000_000)
    assert abs(fresh.time - datetime.now(UTC)) < timedelta(minutes=5)
    assert named(files, dated.uri) == dated
    with fetched(files, dated, tmp_path / "scratch") as found:
        assert (found.file, found.sha256) == (dated, hashlib.sha256(data).hexdigest())
        uri = keep(files, "s", found)
        assert keep(files, "s", found) == uri == f"{files.root}/inputs/s/{found.sha256}.parquet"
    with fetched(files, named(files, uri), tmp_path / "scratch") as copy:
        assert copy.data.read() == data


def test_a_file_written_again_has_another_mark(files: Files, tmp_path: Path) -> None:
    files.write("data/s/predict/x.parquet", io.BytesIO(b"one"))
    (before,) = inbox(files, "s", PREDICT)
    files.write("data/s/predict/x.parquet", io.BytesIO(b"two"))
    (after,) = inbox(files, "s", PREDICT)
    assert before.mark != after.mark
    with fetched(files, before, tmp_path) as found:  # listed before, read after
        assert (found.data.read(), found.file.mark) == (b"two", after.mark)


def test_a_uri_elsewhere_is_refused(files: Files) -> None:
    files.write("data/s/predict/x.parquet", io.BytesIO(b"one"))
    for uri in ("file:///etc/passwd", "s3://another/data/s/predict/x.parquet", f"{files.root}/../x.parquet"):
        with pytest.raises(Refused, match="a file must lie in the object store"):
            named(files, uri)
    with pytest.raises(Refused, match="a file must be there to be read"):
        named(files, f"{files.root}/data/s/predict/y.parquet")
