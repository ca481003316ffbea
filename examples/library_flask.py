"""Tracking links in a Flask application, without a service. Needs ``pip install flask``.

    CLICKTRAIL_KEYS=keys.json CLICKTRAIL_HOST=www.example.com \\
        flask --app examples/library_flask.py run

Beside it, `webhook` takes the events that a service of Clicktrail tells, where there is one.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, abort, current_app, request

from clicktrail.api import InvalidSignature, InvalidToken, Tracking, verify_webhook

clicks = Blueprint("clicktrail", __name__)


@clicks.get("/c/<token>")
def click(token: str) -> Response:
    try:
        opened = current_app.extensions["clicktrail"].open(token)
    except InvalidToken:
        abort(404)
    if request.method == "GET":  # Flask answers HEAD too, which is no click
        current_app.logger.info("click on link %d of %s", opened.link, opened.message_id)
    return Response(status=302, headers={"Location": opened.location})


@clicks.post("/clicktrail")
def webhook() -> Response:
    secret = current_app.config["CLICKTRAIL_WEBHOOK_SECRET"]
    try:
        event = verify_webhook(secret, dict(request.headers), request.get_data())
    except InvalidSignature:
        abort(401)
    if event.click is not None and event.click.bot is not None:
        current_app.logger.info("%s clicked on %s", event.click.bot.verdict, event.click.link)
    return Response(status=204)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(os.environ if config is None else config)
    keys, host = Path(app.config["CLICKTRAIL_KEYS"]), app.config["CLICKTRAIL_HOST"]
    app.extensions["clicktrail"] = Tracking(keys, host)
    app.register_blueprint(clicks)
    return app
