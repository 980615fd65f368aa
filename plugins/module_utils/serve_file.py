# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""serve.py from plain data: the program that serves a release by gevent alone, or by the development server.

It lies in the release and runs under the release's own Python, with nothing but the standard library and its server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.access_record import (
    ACCESS_RECORD,
    CLASSIC_RECORD,
    LOGGED,
    MARK,
)

WORKER_CONNECTIONS = 1000

HEADER = """\
# Managed by Ansible (flaskworks.deploy): what is changed here by hand is overwritten.
"""

PATCHED = '''\
"""Serves the application by gevent alone: one process, in which each request has a greenlet of its own."""

# Whatever waits must know of gevent before anything else is imported.
from gevent import monkey

monkey.patch_all()

'''

DEVELOPMENT = '''\
"""Serves the application by the development server: one process, in which each request has a thread of its own."""

'''

COMMON = '''\


class Log:
    """A log file, which SIGUSR1 opens again; without a path it is one of the standard streams."""

    def __init__(self, path, stream):
        self.path, self.descriptor = path, stream
        if path:
            self.descriptor = self._open()

    def _open(self):
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def reopen(self):
        if self.path:
            fresh = self._open()
            os.dup2(fresh, self.descriptor, inheritable=False)
            os.close(fresh)

    def write(self, text):
        data = text.encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[os.write(self.descriptor, data) :]
        except OSError:  # a full disk is no reason not to answer
            pass

    def writelines(self, lines):
        self.write("".join(lines))

    def flush(self):
        """Every line is written at once."""


def say(level, text):
    """A line of the error log, in gunicorn's form."""
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
    ERRORS.write(f"[{now}] [{os.getpid()}] [{level}] {text}\\n")


def reopen_logs():
    for log in LOGS:
        log.reopen()
    if CAPTURE_OUTPUT:
        for stream in (1, 2):
            os.dup2(ERRORS.descriptor, stream)


def load(name):
    """The application: module:callable, or module:factory(arguments), which are literals."""
    sys.path[0] = os.getcwd()
    module, dummy, expression = name.partition(":")
    named = ast.parse(expression.strip(), mode="eval").body
    call = named if isinstance(named, ast.Call) else None
    found = getattr(importlib.import_module(module), (call.func if call else named).id)
    if call:
        keywords = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
        found = found(*(ast.literal_eval(value) for value in call.args), **keywords)
    if not callable(found):
        raise TypeError(f"{name} is no WSGI callable but {found!r}")
    return found


def behind_proxy(application):
    """The application as it is behind gunicorn: scheme, name and port are those that the proxy was asked for."""

    def serve(environ, start_response):
        scheme = "https" if environ.get("HTTP_X_FORWARDED_PROTO") == "https" else "http"
        name, dummy, port = environ.get("HTTP_HOST", "").rpartition(":")
        if not port.isdigit():
            name, port = environ.get("HTTP_HOST", ""), "443" if scheme == "https" else "80"
        environ.update({"wsgi.url_scheme": scheme, "SERVER_NAME": name or "localhost", "SERVER_PORT": port})
        environ.update({"REMOTE_ADDR": "", "wsgi.errors": ERRORS})
        return application(environ, start_response)

    return serve


def guarded(application):
    """The application; an error in it goes to the error log, and becomes a page unless the answer has begun."""

    def serve(environ, start_response):
        body = ()
        try:
            body = application(environ, start_response)
            for part in body:
                yield part
        # gevent would end with status 0 on the exit of one request, and nobody would start it again.
        except (Exception, SystemExit, KeyboardInterrupt):
            say("ERROR", f"Error handling request {environ.get('PATH_INFO')!r}\\n{traceback.format_exc().rstrip()}")
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")], sys.exc_info())
            yield b"Internal Server Error\\n"
        finally:
            if hasattr(body, "close"):
                body.close()

    return serve


def listening_socket():
    """The socket that systemd or a launcher has opened (sd_listen_fds(3)); no child inherits it."""
    given = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if given != (str(os.getpid()), "1"):
        sys.exit("serve.py: no listening socket was handed over: its process manager has to start it")
    os.set_inheritable(3, False)
    return socket.socket(fileno=3)


def tell_manager(text):
    """A line for the process manager (sd_notify(3))."""
    address = NOTIFY_SOCKET
    if address:
        address = "\\0" + address[1:] if address.startswith("@") else address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.sendto(text.encode(), address)
        except OSError as error:
            say("ERROR", f"the process manager can't be told: {error}")
'''

GEVENT = '''\


def serve(application):
    """Answer until SIGTERM; then take no new connections, and end what was begun within GRACEFUL_TIMEOUT seconds."""
    options = {"spawn": gevent.pool.Pool(WORKER_CONNECTIONS), "environ": {"wsgi.multithread": True}}
    server = gevent.pywsgi.WSGIServer(listening_socket(), application, log=None, error_log=ERRORS, **options)
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, server.close)
    server.start()
    tell_manager("READY=1\\nSTATUS=The application is imported")
    say("INFO", f"gevent {gevent.__version__} serves {WSGI}, up to {WORKER_CONNECTIONS} requests at once")
    server.serve_forever(stop_timeout=GRACEFUL_TIMEOUT)


def on_signal(number, action):
    gevent.signal_handler(number, action)
'''

FLASK = '''\


class Server(werkzeug.serving.ThreadedWSGIServer):
    """The development server on a socket that is there already, which remembers its requests."""

    threads = frozenset()

    def server_bind(self):
        self.socket.close()
        self.socket = listening_socket()
        self.server_address = self.server_name, self.server_port = "localhost", 0

    def server_activate(self):
        """Somebody listens already."""

    def process_request(self, request, client_address):
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self.threads = {thread, *(other for other in self.threads if other.is_alive())}
        thread.start()


class Handler(werkzeug.serving.WSGIRequestHandler):
    def log_request(self, code="-", size="-"):
        """The access log is written elsewhere."""

    def log(self, type, message, *args):
        say(type.upper(), message % args if args else message)


def serve(application):
    """Answer until SIGTERM; then take no new connections, and end what was begun within GRACEFUL_TIMEOUT seconds."""
    server = Server("127.0.0.1", 0, application, Handler)
    # A signal that comes just before os.read() must wake it too.
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *dummy: asked_to_stop.set())
    loop = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    loop.start()
    tell_manager("READY=1\\nSTATUS=The application is imported")
    say("WARNING", f"the development server serves {WSGI}: it is slow, and not made to be reached by others")
    while not asked_to_stop.is_set():
        os.read(woken, 64)
    server.shutdown()
    server.socket.close()
    until = time.monotonic() + GRACEFUL_TIMEOUT
    for thread in server.threads:
        thread.join(max(0, until - time.monotonic()))


def on_signal(number, action):
    signal.signal(number, lambda *dummy: action())
'''

MAIN = """\


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        load(WSGI)
        sys.exit()
    os.umask(UMASK)
    NOTIFY_SOCKET = os.environ.pop("NOTIFY_SOCKET", "")
    ERRORS = Log(ERROR_LOG, 2)
    LOGS = [ERRORS]
{open_access}    reopen_logs()
    # Rotation may come while the application is being imported.
    on_signal(signal.SIGUSR1, reopen_logs)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    application = guarded(behind_proxy(load(WSGI)))
{log_access}    serve(application)
    say("INFO", "ended")
"""

OPEN_ACCESS = """\
    ACCESS = Log(ACCESS_LOG, 1)
    LOGS.append(ACCESS)
    MARK = "" if ACCESS_LOG else access_mark()
"""
LOG_ACCESS = """\
    application = logged(application, lambda *facts: ACCESS.write(MARK + access_record(*facts) + "\\n"))
"""


def render_serve(server_type: str, settings: Mapping[str, Any], access_log: str = "json") -> str:
    """Return the text of serve.py.

    ``server_type``: gevent or flask. ``settings``: wsgi_app, and accesslog, errorlog, umask, graceful_timeout,
    capture_output and worker_connections with gunicorn's meaning. ``access_log``: json, classic or none.
    """
    umask = settings.get("umask", "0027")
    constants: dict[str, object] = {
        "WSGI": str(settings["wsgi_app"]),
        "GRACEFUL_TIMEOUT": int(settings.get("graceful_timeout", 30)),
        "ERROR_LOG": _path(settings.get("errorlog")),
        "CAPTURE_OUTPUT": bool(settings.get("capture_output", False)),
    }
    if server_type == "gevent":
        constants["WORKER_CONNECTIONS"] = int(settings.get("worker_connections", WORKER_CONNECTIONS))
    if access_log != "none":
        constants["ACCESS_LOG"] = _path(settings.get("accesslog"))
    lines = [f"{name} = {value!r}\n" for name, value in constants.items()]
    lines.append(f"UMASK = 0o{int(umask, 8) if isinstance(umask, str) else umask:03o}\n")
    logging = {"json": ACCESS_RECORD + LOGGED + MARK, "classic": CLASSIC_RECORD + LOGGED + MARK, "none": ""}[access_log]
    return "".join(
        [
            HEADER,
            PATCHED if server_type == "gevent" else DEVELOPMENT,
            _imports(server_type, access_log),
            "\n",
            *lines,
            logging,
            COMMON,
            GEVENT if server_type == "gevent" else FLASK,
            MAIN.format(
                open_access="" if access_log == "none" else OPEN_ACCESS,
                log_access="" if access_log == "none" else LOG_ACCESS,
            ),
        ]
    )


def _path(value: object) -> str:
    """Return the path of a log; empty for ``-``, a standard stream."""
    return "" if value in (None, "", "-") else str(value)


def _imports(server_type: str, access_log: str) -> str:
    names = {"ast", "datetime", "importlib", "os", "signal", "socket", "sys", "traceback"}
    if access_log == "json":
        names.add("json")
    elif access_log == "classic":
        names.add("urllib.parse")
    if access_log != "none":
        names.add("time")
    if server_type == "flask":
        names |= {"threading", "time"}
    own = ["gevent", "gevent.pool", "gevent.pywsgi"] if server_type == "gevent" else ["werkzeug.serving"]
    groups = ("".join(f"import {name}\n" for name in group) for group in (sorted(names), own))
    return "\n".join(groups)
