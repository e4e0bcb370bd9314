"""The S3 store as the doctor looks at it: keys, buckets, and whether objects can be written, read and removed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gauntlet.jobs.doctor import Finding

CHECK = "buckets"
REFUSED = ("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")
GONE = ("404", "NoSuchBucket")
CLOCK = "RequestTimeTooSkewed"
KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def check_buckets(
    endpoint: str | None, key_id: str | None, secret: str | None, region: str, buckets: Iterable[str], start: str
) -> list[Finding]:
    """Try each bucket with an object of a few bytes, which is removed again; `start` starts the stack."""
    config = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
    s3 = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=key_id, aws_secret_access_key=secret, region_name=region,
        config=config,
    )  # fmt: skip
    found: list[Finding] = []
    for bucket in dict.fromkeys(buckets):
        found += _check_bucket(s3, bucket, endpoint or "AWS", start)
        if found and found[-1].remedy.startswith(("Start", "Correct")):
            break  # the other buckets would say the same
    return found


def _check_bucket(s3: Any, bucket: str, where: str, start: str) -> list[Finding]:
    key = f"gauntlet-doctor/{uuid.uuid4().hex}"
    doing = "found"
    try:
        s3.head_bucket(Bucket=bucket)
        doing = "written to"
        s3.put_object(Bucket=bucket, Key=key, Body=b"gauntlet doctor")
        doing = "read"
        s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        doing = "cleared"
        s3.delete_object(Bucket=bucket, Key=key)
    except ClientError as error:
        return [_refusal(str(error.response.get("Error", {}).get("Code")), bucket, where, doing, start)]
    except BotoCoreError as error:
        text = f"The S3 store must answer at {where}; found: {str(error).rstrip('.')}."
        return [Finding(CHECK, text, f"Start it ({start}), or correct its address.")]
    return []


def _refusal(code: str, bucket: str, where: str, doing: str, start: str) -> Finding:
    if code in GONE:
        return Finding(CHECK, f"The bucket {bucket} must be at {where}; there is none.", f"Make it: {start}")
    text = f"The bucket {bucket} at {where} must let itself be {doing} with {KEYS}; the store refused: {code}."
    if code == CLOCK:
        return Finding(CHECK, text, "Correct the clock of this machine.")
    if doing == "found" and code in REFUSED:
        remedy = f"Correct the keys in .env; if they are as they should be, hand them to the store: {start}"
        return Finding(CHECK, text, remedy)
    return Finding(CHECK, text, "Let the owner of these keys read, write and delete objects of the bucket.")
