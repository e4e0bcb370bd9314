"""minio/create_buckets.py as the service `buckets` runs it, on a stand-in for S3 and on one that refuses."""

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from tests.postgres import free_port

PROGRAM = Path(__file__).parents[2] / "minio" / "create_buckets.py"


def variables(endpoint: str, **more: str) -> dict[str, str]:
    own = {"MLFLOW_S3_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, **own, **more}


def run(endpoint: str, *names: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PROGRAM, *names], env=variables(endpoint, **more), capture_output=True, text=True, timeout=60
    )


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def names() -> tuple[str, str]:
    return f"one-{uuid.uuid4().hex[:8]}", f"two-{uuid.uuid4().hex[:8]}"


def client(endpoint: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)


def buckets(endpoint: str) -> list[str]:
    return [each["Name"] for each in client(endpoint).list_buckets()["Buckets"]]


def test_buckets_are_made_once(endpoint: str, names: tuple[str, str]) -> None:
    first, second = run(endpoint, *names), run(endpoint, *names)
    assert (first.returncode, first.stdout) == (0, f"bucket {names[0]}: made\nbucket {names[1]}: made\n")
    assert second.returncode == 0
    assert second.stdout == f"bucket {names[0]}: there already\nbucket {names[1]}: there already\n"
    assert set(names) <= set(buckets(endpoint))


def test_a_start_that_was_killed_between_two_buckets_is_completed(endpoint: str, names: tuple[str, str]) -> None:
    client(endpoint).create_bucket(Bucket=names[0])
    client(endpoint).put_object(Bucket=names[0], Key="kept", Body=b"kept")
    done = run(endpoint, *names)
    assert done.stdout == f"bucket {names[0]}: there already\nbucket {names[1]}: made\n"
    assert client(endpoint).get_object(Bucket=names[0], Key="kept")["Body"].read() == b"kept"


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_several_at_once(endpoint: str, names: tuple[str, str], region: str) -> None:
    env = variables(endpoint, AWS_DEFAULT_REGION=region)
    all_at_once = [subprocess.Popen([sys.executable, PROGRAM, *names], env=env, stderr=subprocess.PIPE) for _ in "123"]
    said = [each.communicate(timeout=60)[1].decode() for each in all_at_once]
    assert [each.returncode for each in all_at_once] == [0, 0, 0], said
    assert set(names) <= set(buckets(endpoint))
    place = client(endpoint).get_bucket_location(Bucket=names[0])["LocationConstraint"]
    assert place == (None if region == "us-east-1" else region)


def test_a_store_that_starts_late_is_waited_for(names: tuple[str, str]) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    endpoint = f"http://127.0.0.1:{server._port}"
    waiting = subprocess.Popen([sys.executable, PROGRAM, *names], env=variables(endpoint), stdout=subprocess.PIPE)
    time.sleep(3)
    assert waiting.poll() is None
    server.start()
    try:
        waiting.communicate(timeout=30)
        assert waiting.returncode == 0
        assert set(names) <= set(buckets(endpoint))
    finally:
        server.stop()


def test_a_store_that_is_away_is_given_up() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    done = run(endpoint, "bucket")
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"The S3 store at {endpoint} (region us-east-1) must answer; found: Could not connect"
    )
    assert "Start it, or correct S3_ENDPOINT_URL" in done.stderr


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"MLFLOW_S3_ENDPOINT_URL": "minio:9000"}, "Invalid endpoint: minio:9000"),
        ({"MLFLOW_S3_ENDPOINT_URL": "htp://minio:9000"}, "Custom endpoint `htp://minio:9000` was not a valid URI"),
        ({"AWS_DEFAULT_REGION": "not a region"}, "Provided region_name 'not a region' doesn't match"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "1"}, "credentials"),
    ],
)
def test_what_cannot_be_an_address_or_keys_is_told_at_once(more: dict[str, str], found: str) -> None:
    done = run("http://127.0.0.1:1", "bucket", **more)
    assert done.returncode == 1
    assert found in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plain_store_asked_by_https_is_told_at_once(endpoint: str) -> None:
    began = time.monotonic()
    done = run(endpoint.replace("http:", "https:"), "bucket")
    assert done.returncode == 1
    assert "SSL validation failed" in done.stderr
    assert time.monotonic() - began < 20


def test_a_name_that_no_bucket_can_have(endpoint: str) -> None:
    done = run(endpoint, "No_Bucket!")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "A bucket's name must be 3 to 63 lower-case letters, digits and hyphens; found \"No_B"
    )


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must open the S3 store at {endpoint}"),
        (403, "SignatureDoesNotMatch", "it refused them: SignatureDoesNotMatch. Correct them in .env."),
        (403, "AccessDenied", "The bucket name at {endpoint} must be open to these keys, or be made by them;"),
        (400, "AuthorizationHeaderMalformed", "correct S3_ENDPOINT_URL, AWS_DEFAULT_REGION and the keys in .env"),
    ],
)
def test_what_a_store_refuses_is_told(status: int, code: str, told: str) -> None:
    with_answer = type("Refusing", (Refusing,), {"status": status, "code": code})
    server = ThreadingHTTPServer(("127.0.0.1", 0), with_answer)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever).start()
    try:
        done = run(endpoint, "name")
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 1
    assert told.format(endpoint=endpoint) in done.stderr
    assert code in done.stderr


class Refusing(BaseHTTPRequestHandler):
    """A store that answers every question with one error."""

    status, code = 403, ""

    def do_GET(self) -> None:
        body = f"<Error><Code>{self.code}</Code><Message>no</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""
