"""Reading a request's body: one JSON object, and nothing that two readers could understand in two ways."""

import json
import math
from typing import NoReturn

from flask import Request

from router.errors import Refused, bad

EXAMPLE = 'Send an object such as {"data_size": 1000}.'


def read_object(request: Request) -> dict[str, object]:
    """The JSON object in the body; {} when there is no body.

    Refused: a content type other than JSON in UTF-8 (415), over 1 MB (413), not one JSON object, doubled keys, numbers
    that JSON or a double does not have (400).
    """
    raw = request.get_data()
    if request.content_length is None and "Transfer-Encoding" in request.headers:
        # One that ends early looks like one that is whole: what was cut off might be applied.
        raise Refused(411, "A body must come with its length", "a chunked body", "Send Content-Length.")
    if len(raw) < (request.content_length or 0):
        found = f"{len(raw)} of {request.content_length} bytes"
        raise bad("A body must be as long as its Content-Length", found, "Send it whole.")
    if not raw:
        return {}
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset not in {"utf-8", "utf8"}:
        found = request.content_type or "none"
        raise Refused(415, "A body must be JSON in UTF-8", found, "Send Content-Type: application/json.")
    body = _decoded(raw)
    if not isinstance(body, dict):
        raise bad("The body must be a JSON object", _kind(body), EXAMPLE)
    return body


def _decoded(raw: bytes) -> object:
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise bad("The body must be UTF-8", f"a wrong byte at {error.start}", "Encode it as UTF-8.") from error
    except RecursionError as error:
        raise bad("The body must not be nested deeply", "too many brackets", EXAMPLE) from error
    except json.JSONDecodeError as error:
        raise bad("The body must be JSON", f"{error.msg} at character {error.pos}", EXAMPLE) from error
    except ValueError as error:
        # Python reads integers of up to 4,300 digits.
        raise bad("Numbers must fit a double", "an integer of thousands of digits", EXAMPLE) from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    body = dict(pairs)
    if len(body) < len(pairs):
        names = [name for name, _ in pairs]
        raise bad("A key may stand once", next(n for n in names if names.count(n) > 1), "Send each key once.")
    return body


def _no_number(text: str) -> NoReturn:
    raise bad("Numbers must be finite", text, "Send a number.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _no_number(text)
    return number


def _kind(value: object) -> str:
    names = {list: "an array", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def number_within(value: object, low: float, high: float) -> float | None:
    """`value` when it is a number (true and "1" are none) from `low` to `high`; None when it is anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    return None


def shown(value: object) -> object:
    """A value as its sender wrote it, so that 5, "5", true and null look different."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f'"{value}"' if isinstance(value, str) else value
