"""The S3 store as the doctor looks at it: keys, buckets, and whether objects can be written, read and removed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from gauntlet.jobs.doctor import Finding

CHECK = "buckets"
WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch")
GONE = ("404", "NoSuchBucket")
CLOCK = "RequestTimeTooSkewed"
KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def check_buckets(s3: Any, where: str, places: Iterable[tuple[str, str]], start: str) -> list[Finding]:
    """Try each place, a bucket and a prefix, with an object of a few bytes, which is removed again.

    `s3` is a boto3 client, `where` the address of its store; `start` starts the stack.
    """
    found: list[Finding] = []
    for bucket, prefix in dict.fromkeys(places):
        found += _check_bucket(s3, bucket, prefix.strip("/"), where, start)
        if found and found[-1].remedy.startswith(("Start", "Correct")):
            break  # the other buckets would say the same
    return found


def _check_bucket(s3: Any, bucket: str, prefix: str, where: str, start: str) -> list[Finding]:
    """Nothing is asked of the bucket itself: the keys may be good for what is below the prefix alone."""
    key = str(PurePosixPath(prefix, "gauntlet-doctor", uuid.uuid4().hex))
    doing = "written to"
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=b"gauntlet doctor")
        try:
            doing = "read"
            s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except (ClientError, BotoCoreError):
            with suppress(ClientError, BotoCoreError):
                s3.delete_object(Bucket=bucket, Key=key)
            raise
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
    if code in WRONG_KEYS:
        remedy = f"Correct the keys in .env; if they are as they should be, hand them to the store: {start}"
        return Finding(CHECK, text, remedy)
    remedy = "Let the owner of these keys write, read and delete objects there, or set other keys in .env."
    return Finding(CHECK, text, remedy)
