"""A site that answers with what reached it. MARK-OF-THE-SOURCE"""

import json
import os

from flask import Flask, Response, jsonify, redirect, request
from werkzeug.middleware.proxy_fix import ProxyFix

METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
SEEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "seen", "requests.jsonl")

app = Flask(__name__, static_folder=None)
# As a site does that believes the one proxy in front of it in everything.
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_port=1, x_prefix=1)


def told() -> dict:
    return {
        "method": request.method,
        "uri": request.environ.get("RAW_URI") or request.full_path.rstrip("?"),
        "path": request.path,
        "remote": request.remote_addr,
        "scheme": request.scheme,
        "host": request.host,
        "prefix": request.root_path,
        "headers": dict(request.headers),
        "body": len(request.get_data(cache=True)),
    }


@app.before_request
def remember() -> None:
    if request.path in ("/seen", "/visit", "/slow", "/large", "/alive"):
        return
    line = json.dumps(told()).encode() + b"\n"
    target = os.open(SEEN, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    os.write(target, line)
    os.close(target)


@app.route("/seen")
def seen() -> Response:
    mark = request.args["mark"]
    with open(SEEN) as stream:
        return jsonify({"seen": [json.loads(line) for line in stream if mark in line]})


@app.route("/go")
def go() -> Response:
    return redirect(request.args["to"].split("\r")[0].split("\n")[0])


@app.route("/cookie")
def cookie() -> Response:
    answer = jsonify(told())
    answer.set_cookie("value", request.args["value"])
    return answer


@app.route("/large")
def large() -> Response:
    return Response(b"x" * 300_000, content_type="text/plain")


@app.route("/raise")
def fail() -> Response:
    raise RuntimeError("MARK-OF-THE-SOURCE")


@app.route("/", defaults={"path": ""}, methods=METHODS)
@app.route("/<path:path>", methods=METHODS)
def mirror(path: str) -> Response:
    return jsonify(told())
