"""A site of pages that differ in what they keep a server busy with."""

import time

from flask import Flask, Response, request

app = Flask(__name__)
LARGE = b"0123456789abcde\n" * 32768


@app.get("/")
def index() -> str:
    return "fine\n"


@app.get("/cpu")
def cpu() -> str:
    return f"{sum(number * number % 7 for number in range(100_000))}\n"


@app.get("/io")
def io() -> str:
    time.sleep(0.1)
    return "waited\n"


@app.get("/large")
def large() -> Response:
    return Response(LARGE, mimetype="text/plain")


@app.post("/upload")
def upload() -> str:
    return f"{len(request.get_data())}\n"


@app.after_request
def name_server(response: Response) -> Response:
    response.headers["X-Served-By"] = "python"
    return response
