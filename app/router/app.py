"""The Flask application: which address is answered by what."""

import logging

from flask import Flask, Response, request

from router import errors, metrics
from router.catalogue import Catalogue
from router.settings import Settings
from router.store import TrafficStore
from router.views import Views

LARGEST_BODY = 1024 * 1024
LONGEST_PATH = 200
log = logging.getLogger(__name__)


def create_app(settings: Settings, catalogue: Catalogue | None = None) -> Flask:
    """The router as a WSGI application; `catalogue` may have been filled before the workers were forked."""
    app = Flask("router", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    errors.register(app)
    metrics.register(app)
    app.after_request(_finish)
    views = Views(catalogue or Catalogue(settings), TrafficStore(settings.database_url))
    app.add_url_rule("/", view_func=views.page)
    app.add_url_rule("/traffic", view_func=views.traffic, methods=["GET", "POST"])
    app.add_url_rule("/get_data", view_func=views.get_data, methods=["GET", "POST"])
    app.add_url_rule("/ab_data", view_func=views.ab_data, methods=["GET", "POST"])
    app.add_url_rule("/health", view_func=views.health)
    app.add_url_rule("/metrics", view_func=views.metrics)
    return app


def _finish(response: Response) -> Response:
    """Forbid caching, and log what was not answered well: address and status, never a body or a query."""
    response.headers["Cache-Control"] = "no-store"
    if response.status_code >= 400:
        path = request.path.encode("unicode_escape").decode()[:LONGEST_PATH]
        log.warning("%s %s %d", request.method[:LONGEST_PATH], path, response.status_code)
    return response
