"""What the doctor finds in an S3 store; moto's HTTP server stands in for one."""

from collections.abc import Iterator
from typing import Any

import pytest
from moto.server import ThreadedMotoServer
from tests.postgres import free_port

from gauntlet.adapters.s3_checks import check_buckets
from gauntlet.adapters.s3_store import s3_client


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_a_store_is_tried_below_the_prefix_alone_and_left_as_it_was(endpoint: str) -> None:
    client = s3_client(endpoint, "test", "test")
    client.create_bucket(Bucket="shared")
    asked: list[dict[str, Any]] = []
    client.meta.events.register("before-parameter-build.s3.*", lambda params, **_: asked.append(dict(params)))
    assert check_buckets(client, endpoint, [("shared", "/some/prefix/")], "gauntlet up") == []
    assert len(asked) == 3
    assert all(each["Key"].startswith("some/prefix/gauntlet-doctor/") for each in asked)
    assert client.list_objects_v2(Bucket="shared")["KeyCount"] == 0


def test_a_bucket_that_is_not_there(endpoint: str) -> None:
    client = s3_client(endpoint, "test", "test")
    client.create_bucket(Bucket="there")
    [finding] = check_buckets(client, endpoint, [("not-there", ""), ("there", "a")], "gauntlet up")
    assert finding.found == f"The bucket not-there must be at {endpoint}; there is none."
    assert finding.remedy == "Make it: gauntlet up"


def test_a_store_that_is_away_is_said_once() -> None:
    where = f"http://127.0.0.1:{free_port()}"
    [finding] = check_buckets(s3_client(where, "test", "test"), where, [("a", ""), ("b", "")], "gauntlet up")
    assert finding.found.startswith(f"The S3 store must answer at {where}; found: ")
