"""What the router says when it cannot do what it was asked: JSON with the rule, what was found, and the remedy."""

import logging

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

LONGEST_FOUND = 200
CHUNK = 2**16
LARGEST_DRAINED = 2**26
RULES = {
    404: ("The address must be one of the router's", "GET / shows every address."),
    405: ("The address must take the method", "GET / shows every address with its methods."),
    413: ("A body may have 1 MB at most", "Send only the keys you want to change."),
}
log = logging.getLogger(__name__)


class Refused(Exception):
    """A request that is answered with an error: an HTTP status, the rule, what was found, the remedy."""

    def __init__(self, status: int, rule: str, found: object, remedy: str) -> None:
        super().__init__(f"{rule}; found {found}. {remedy}")
        self.status = status
        self.rule = rule
        self.found = shortened(found)
        self.remedy = remedy

    def to_dict(self) -> dict[str, str]:
        """The three keys every error answer has."""
        return {"error": self.rule, "found": self.found, "remedy": self.remedy}


def bad(rule: str, found: object, remedy: str) -> Refused:
    """A refusal of what the client sent (400)."""
    return Refused(400, rule, found, remedy)


def shortened(found: object) -> str:
    """Text of what was found: legal UTF-8, 200 characters at most."""
    # Huge integers must not be written out, and lone surrogates cannot be encoded.
    if isinstance(found, int) and found.bit_length() > 256:
        return "an integer of more than 70 digits"
    text = str(found).encode("utf-8", "replace").decode() or "nothing"
    return text if len(text) <= LONGEST_FOUND else text[:LONGEST_FOUND] + "..."


def answer(error: Refused) -> Response:
    """The HTTP answer of a refusal."""
    return Response(orjson.dumps(error.to_dict()), error.status, mimetype="application/json")


def register(app: Flask) -> None:
    """Make every error of `app` an answer in JSON."""
    app.register_error_handler(Refused, answer)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _defect)


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if status == RequestEntityTooLarge.code:
        _drain()
    rule, remedy = RULES.get(status, (error.name, "GET / shows what the router takes."))
    found = {404: request.path, 405: request.method, 413: "more"}.get(status, error.description or error.name)
    response = answer(Refused(status, rule, found, remedy))
    response.headers.extend((key, value) for key, value in error.get_headers() if key == "Allow")
    return response


def _drain() -> None:
    """Read what is still being sent: a client that cannot finish sending never sees the answer."""
    stream = request.environ["wsgi.input"]
    for _ in range(LARGEST_DRAINED // CHUNK):
        if not stream.read(CHUNK):
            return


def _defect(error: Exception) -> Response:
    log.error("defect in the router", exc_info=error)
    return answer(Refused(500, "The router must not fail", type(error).__name__, "See the router's log."))
