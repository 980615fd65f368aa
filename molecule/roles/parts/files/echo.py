"""Answers each request with what came in, as JSON: `echo.py 127.0.0.1:8601` or `echo.py /run/echo.sock`."""

import json
import os
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        # /answer/404?X-Some=header: what the application is to say.
        address, dummy, said = self.path.partition("?")
        word, dummy, status = address.lstrip("/").partition("/")
        answers = word == "answer" and status.isdigit()
        self.send_response(int(status) if answers else 200)
        self.send_header("Content-Type", "application/json")
        for name, value in parse_qsl(said) if answers else ():
            # X-Long=*20000 is that many letters, which are too many for a request line.
            self.send_header(name, "x" * int(value[1:]) if value.startswith("*") else value)
        self.end_headers()
        if self.path.startswith(("/events", "/pages")):
            # Two pieces with a pause between them.
            self.wfile.write(b"first\n")
            self.wfile.flush()
            time.sleep(1.5)
            self.wfile.write(b"second\n")
            return
        answer = {"path": self.path, "headers": self.headers.items(), "body_size": len(body), "pid": os.getpid()}
        self.wfile.write(json.dumps(answer).encode())

    do_POST = do_GET  # noqa: N815

    def address_string(self) -> str:
        return str(self.client_address)


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


def server(address: str) -> socketserver.BaseServer:
    if address.startswith("/"):
        return UnixServer(address, Echo)
    host, port = address.split(":")
    return ThreadingHTTPServer((host, int(port)), Echo)


if __name__ == "__main__":
    server(sys.argv[1]).serve_forever()
