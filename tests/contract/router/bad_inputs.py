"""Requests that must be refused, each with the status it gets."""

import json
from dataclasses import dataclass

JSON = "application/json"


@dataclass(frozen=True)
class BadInput:
    """One request: what is wrong with it, and what must be answered."""

    name: str
    status: int
    method: str
    path: str
    body: bytes | None = None
    content_type: str | None = None

    @property
    def shown(self) -> str:
        """The request in one short line."""
        text = "" if self.body is None else " " + self.body[:60].decode("latin-1")
        rest = "..." if self.body and len(self.body) > 60 else ""
        return f"{self.method} {self.path[:70]}{'...' if len(self.path) > 70 else ''}{text}{rest}"


def post(
    name: str, body: object, status: int = 400, path: str = "/traffic", content_type: str | None = JSON
) -> BadInput:
    """A POST; `body` as bytes goes out as it is, anything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return BadInput(name, status, "POST", path, raw, content_type)


def get(name: str, path: str, status: int = 400) -> BadInput:
    """A GET."""
    return BadInput(name, status, "GET", path)


SHARES = [
    post("a + b over 1", {"a": 0.7, "b": 0.4}),
    post("a + b under 1", {"a": 0.2, "b": 0.2}),
    post("a negative", {"a": -0.1, "b": 1.1}),
    post("a negative, alone", {"a": -0.1}),
    post("a over 1", {"a": 1.5}),
    post("a is NaN", b'{"a": NaN, "b": 0.5}'),
    post("a is Infinity", b'{"a": Infinity, "b": 0.5}'),
    post("a is -Infinity", b'{"a": -Infinity}'),
    post("a is 1e999", b'{"a": 1e999, "b": 0}'),
    post("a is true", {"a": True, "b": False}),
    post("a is a text", {"a": "0.5", "b": "0.5"}),
    post("a is null", {"a": None, "b": 1.0}),
    post("a is an array", {"a": [0.5], "b": 0.5}),
    post("a of 400 digits", b'{"a": ' + b"9" * 400 + b', "b": 0}'),
]
SIZES = [
    post("data_size 0", {"data_size": 0}),
    post("data_size negative", {"data_size": -5}),
    post("data_size with a fraction", {"data_size": 10.5}),
    post("data_size 5000.0", b'{"data_size": 5000.0}'),
    post("data_size 5e3", b'{"data_size": 5e3}'),
    post("data_size over the pool", {"data_size": 10_000_000}),
    post("data_size is true", {"data_size": True}),
    post("data_size is a text", {"data_size": "100"}),
    post("data_size is null", {"data_size": None}),
    post("data_size is NaN", b'{"data_size": NaN}'),
    post("data_size of 400 digits", b'{"data_size": ' + b"1" * 400 + b"}"),
    post("data_size of 5000 digits", b'{"data_size": ' + b"1" * 5000 + b"}"),
    post("data_size is an array", {"data_size": [100]}),
]
COLUMNS = [
    post("drift_cols unknown", {"drift_cols": ["weight"]}),
    post("drift_cols doubled", {"drift_cols": ["carat", "carat"]}),
    post("drift_cols is a text", {"drift_cols": "carat"}),
    post("drift_cols is null", {"drift_cols": None}),
    post("drift_cols holds a number", {"drift_cols": [1]}),
    post("drift_cols holds null", {"drift_cols": [None]}),
    post("drift_cols holds an array", {"drift_cols": [["carat"]]}),
    post("drift_cols holds an empty text", {"drift_cols": [""]}),
    post("drift_cols in capitals", {"drift_cols": ["Carat"]}),
    post("drift_cols with a NUL", {"drift_cols": ["carat\0"]}),
    post("drift_cols with a lone surrogate", b'{"drift_cols": ["\\ud800"]}'),
]
DRIFT = [
    post("drift is an array", {"drift": []}),
    post("drift of an unknown column", {"drift": {"weight": {"kind": "noise"}}}),
    post("drift is no object", {"drift": {"carat": "noise"}}),
    post("drift without kind", {"drift": {"carat": {}}}),
    post("drift of an unknown kind", {"drift": {"carat": {"kind": "wobble"}}}),
    post("drift kind is a number", {"drift": {"carat": {"kind": 1}}}),
    post("drift kind is an array", {"drift": {"carat": {"kind": ["noise"]}}}),
    post("drift kind that needs numbers", {"drift": {"cut": {"kind": "scale"}}}),
    post("drift with another kind's key", {"drift": {"carat": {"kind": "noise", "factor": 2}}}),
    post("drift parameter is a text", {"drift": {"carat": {"kind": "noise", "sd": "1"}}}),
    post("drift parameter is true", {"drift": {"carat": {"kind": "noise", "sd": True}}}),
    post("drift parameter is null", {"drift": {"carat": {"kind": "noise", "sd": None}}}),
    post("drift share over 1", {"drift": {"carat": {"kind": "nulls", "share": 1.5}}}),
    post("drift sd negative", {"drift": {"carat": {"kind": "noise", "sd": -1}}}),
    post("drift factor out of range", {"drift": {"carat": {"kind": "scale", "factor": 1e300}}}),
    post("drift column doubled", b'{"drift": {"carat": {"kind": "noise"}, "carat": {"kind": "mix"}}}'),
]
BODIES = [
    post("seed negative", {"seed": -1}),
    post("seed with a fraction", {"seed": 1.5}),
    post("seed is true", {"seed": True}),
    post("seed is a text", {"seed": "7"}),
    post("seed over 2^63 - 1", {"seed": 2**63}),
    post("unknown key", {"a": 0.5, "c": 0.5}),
    post("key in capitals", {"A": 0.5}),
    post("doubled key", b'{"a": 0.9, "a": 0.1}'),
    post("no key", {}),
    post("no body", b""),
    post("not JSON", b"a=0.5&b=0.5"),
    post("single quotes", b"{'a': 0.5}"),
    post("cut off", b'{"a": 0.5'),
    post("two objects", b'{"a": 0.5}{"b": 0.5}'),
    post("trailing comma", b'{"a": 0.5,}'),
    post("an array", [1, 2]),
    post("a text", "a"),
    post("a number", 5),
    post("null", None),
    post("spaces only", b"   "),
    post("100,000 brackets", b"[" * 100_000),
    post("3,000 nested objects", b'{"a":' * 3000 + b"1" + b"}" * 3000),
    post("not UTF-8", b'{"a": "\xff\xfe"}'),
    post("UTF-16", '{"a": 0.5}'.encode("utf-16")),
    post("a byte order mark", b'\xef\xbb\xbf{"a": 0.5}'),
    post("content type of a form", {"a": 0.5}, 415, content_type="application/x-www-form-urlencoded"),
    post("content type text", {"a": 0.5}, 415, content_type="text/plain"),
    post("no content type", {"a": 0.5}, 415, content_type=None),
    post("another charset", {"a": 0.5}, 415, content_type="application/json; charset=utf-16"),
    post("over 1 MB", b'{"a": ' + b" " * 2**20 + b"0.5}", 413),
    post("spec in the body", {"a": 0.5, "spec": "fair"}),
]
QUERIES = [
    get("data_size 0", "/get_data?data_size=0"),
    get("data_size negative", "/ab_data?data_size=-1"),
    get("data_size with a fraction", "/get_data?data_size=10.5"),
    get("data_size empty", "/get_data?data_size="),
    get("data_size is a word", "/get_data?data_size=many"),
    get("data_size in other digits", "/get_data?data_size=%D9%A1%D9%A2"),
    get("data_size over the pool", "/ab_data?data_size=999999"),
    get("data_size of 400 digits", "/get_data?data_size=" + "9" * 400),
    get("data_size twice", "/get_data?data_size=1&data_size=2"),
    get("drift_cols unknown", "/get_data?drift_cols=weight"),
    get("drift_cols doubled", "/get_data?drift_cols=carat&drift_cols=carat"),
    get("drift_cols with an empty part", "/get_data?drift_cols=carat,,cut"),
    get("drift_cols of 40 kB", "/get_data?drift_cols=" + "x" * 40_000),
    get("seed is a word", "/get_data?seed=lucky"),
    get("unknown parameter", "/get_data?size=5"),
    get("parameter of /get_data", "/traffic?data_size=5"),
    get("parameter not UTF-8", "/get_data?drift_cols=%ff"),
    get("parameter where none is known", "/health?verbose=1"),
    get("unknown spec", "/get_data?spec=nowhere", 404),
    get("spec that leaves the folder", "/get_data?spec=../pyproject"),
    get("spec with %2e%2e", "/get_data?spec=%2e%2e%2fpyproject"),
    get("spec with a NUL", "/get_data?spec=diamonds%00"),
    get("spec empty", "/traffic?spec="),
    get("spec of 10 kB", "/traffic?spec=" + "a" * 10_000),
    post("body: data_size 0", {"data_size": 0}, path="/get_data"),
    post("body: unknown key", {"rows": 5}, path="/ab_data"),
    post("body: spec is a number", {"spec": 5}, path="/get_data"),
    post("body: same key as the query", {"data_size": 5}, path="/get_data?data_size=5"),
    post("body: shares", {"a": 0.5}, path="/get_data"),
    get("unknown address", "/nothing", 404),
    get("address with a slash more", "/traffic/", 404),
    get("address that leaves", "/../../etc/passwd", 404),
    get("address with a line break", "/x%0d%0aSet-Cookie:%20a=b", 404),
    BadInput("PUT", 405, "PUT", "/traffic", b"{}", JSON),
    BadInput("DELETE", 405, "DELETE", "/traffic"),
    BadInput("PATCH", 405, "PATCH", "/get_data", b"{}", JSON),
    BadInput("POST to /health", 405, "POST", "/health"),
    BadInput("an unknown method", 405, "BREW", "/traffic"),
]
BAD_INPUTS = [*SHARES, *SIZES, *COLUMNS, *DRIFT, *BODIES, *QUERIES]
