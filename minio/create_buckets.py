"""Makes the buckets that are missing and says whether the S3 store can be used: `create_buckets.py NAME ...`.

Address and keys come from MLFLOW_S3_ENDPOINT_URL and the AWS_ variables. Ends with 1 and the reason when it cannot.
"""

import os
import sys
import time
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

SECONDS = 60
WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "403", "AccessDenied")


def main(names: list[str]) -> None:
    """Make every bucket, waiting for a store that is about to start."""
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None
    config = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2})
    region = os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name=region, config=config)
    until = time.monotonic() + SECONDS
    for name in names:
        while True:
            try:
                create(s3, name, region)
                break
            except EndpointConnectionError as error:
                if time.monotonic() > until:
                    sys.exit(f"The S3 store must answer; found: {error}. Is the service minio up?")
                time.sleep(1)
            except (BotoCoreError, ClientError) as error:
                sys.exit(explain(name, error))


def create(s3: Any, name: str, region: str) -> None:
    """Make a bucket that is not there."""
    if missing(s3, name):
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            s3.create_bucket(Bucket=name, **place)
        except s3.exceptions.BucketAlreadyOwnedByYou:
            return  # another of these came first
        print(f"bucket {name}: made")  # noqa: T201 - this is a program
    else:
        print(f"bucket {name}: there already")  # noqa: T201


def missing(s3: Any, name: str) -> bool:
    """Say whether there is no such bucket."""
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "404":
            return True
        raise
    return False


def explain(name: str, error: Exception) -> str:
    """Return what is wrong and what to do."""
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    if code in WRONG_KEYS:
        return (
            f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must open the bucket {name}; the store refused them: {code}. "
            "Correct them in .env; a bucket's name may also be somebody else's, choose another."
        )
    return f"The bucket {name} must exist or be made; found: {error}. Correct the store's address and keys in .env."


if __name__ == "__main__":
    main(sys.argv[1:])
