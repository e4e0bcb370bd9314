"""Makes the buckets that are missing in an S3 store: `create_buckets.py NAME ...`.

Address, region and keys come from MLFLOW_S3_ENDPOINT_URL and the AWS_ variables. It can run again, at once with another
of its kind, and be killed anywhere. Ends with 1 and the reason when it cannot.
"""

import os
import sys
import time
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, HTTPClientError, SSLError

SECONDS = 15.0
KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidClientTokenId", "Unauthorized", "401")
FORBIDDEN = ("AccessDenied", "AllAccessDisabled", "Forbidden", "403")
TAKEN = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")
# a store that starts, or that is just making the same bucket for another of us
NOT_YET = ("XMinioServerNotInitialized", "ServiceUnavailable", "SlowDown", "OperationAborted", "503")


def main(names: list[str]) -> None:
    """Make every bucket; a store that does not answer yet is waited for SECONDS."""
    until = time.monotonic() + SECONDS
    region = os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    for name in names:
        try:
            s3 = connect(region)
            while not settled(s3, name, region, last=time.monotonic() > until):
                time.sleep(1)
        except (BotoCoreError, ClientError, ValueError) as error:  # ValueError: of what is no address
            sys.exit(explain(name, region, error))


def connect(region: str) -> Any:
    """Return a client that gives up within seconds."""
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None
    config = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2})
    return boto3.client("s3", endpoint_url=endpoint, region_name=region, config=config)


def settled(s3: Any, name: str, region: str, *, last: bool) -> bool:
    """Make a bucket that is not there; false where the store cannot say yet, unless this is the last try."""
    try:
        made = ensure(s3, name, region)
    except (ClientError, HTTPClientError, EndpointConnectionError) as error:
        starting = code_of(error) in NOT_YET if isinstance(error, ClientError) else not isinstance(error, SSLError)
        if starting and not last:
            return False
        raise
    print(f"bucket {name}: {'made' if made else 'there already'}", flush=True)  # noqa: T201 - this is a program
    return True


def ensure(s3: Any, name: str, region: str) -> bool:
    """Make a bucket unless it is there; says whether it did."""
    if exists(s3, name):
        return False
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        s3.create_bucket(Bucket=name, **place)
    except ClientError as error:
        if code_of(error) in TAKEN and exists(s3, name):
            return False  # another of these came first
        raise
    return True


def exists(s3: Any, name: str) -> bool:
    """Say whether there is such a bucket that these keys may look into."""
    try:
        s3.list_objects_v2(Bucket=name, MaxKeys=1)  # unlike HEAD, its refusal says why
    except ClientError as error:
        if code_of(error) in ("NoSuchBucket", "404"):
            return False
        raise
    return True


def code_of(error: ClientError) -> str:
    """Return what the store calls the error."""
    return str(error.response.get("Error", {}).get("Code"))


def explain(name: str, region: str, error: Exception) -> str:
    """Return what is wrong and what to do."""
    code = code_of(error) if isinstance(error, ClientError) else ""
    where = os.environ.get("MLFLOW_S3_ENDPOINT_URL") or "AWS"
    if code in REFUSED:
        return f"{KEYS} must open the S3 store at {where}; it refused them: {code}. Correct them in .env."
    if code in FORBIDDEN or code in TAKEN:
        return (
            f"The bucket {name} at {where} must be open to these keys, or be made by them; the store said {code}. Let "
            "its owner give access, or name another by MLFLOW_BUCKET and DATA_BUCKET in .env."
        )
    if code == "InvalidBucketName" or type(error).__name__ == "ParamValidationError":
        return (
            f'A bucket\'s name must be 3 to 63 lower-case letters, digits and hyphens; found "{name}". Correct '
            "MLFLOW_BUCKET or DATA_BUCKET in .env."
        )
    remedy = "Start it, or correct S3_ENDPOINT_URL, AWS_DEFAULT_REGION and the keys in .env"
    return f"The S3 store at {where} (region {region}) must answer; found: {str(error).rstrip('.')}. {remedy}."


if __name__ == "__main__":
    main(sys.argv[1:])
