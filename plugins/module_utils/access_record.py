# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the access log of every server says of a request: source text that is written into the server's own file.

It runs under whatever Python the application has, with nothing but the standard library.
"""

from __future__ import annotations

IMPORTS = ("datetime", "json")

# The only formatter: gunicorn's logger and the launchers differ in where the facts come from.
ACCESS_RECORD = '''\


def _text(value):
    """WSGI text holds bytes as latin-1: show it as the UTF-8 that was sent, with a mark for what is none."""
    if value is None:
        return None
    try:
        return str(value).encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return str(value).encode("utf-8", "replace").decode("utf-8")


def _path(environ):
    if "PATH_INFO" not in environ:  # a request that gunicorn refused
        return _text(environ["RAW_URI"].partition("?")[0]) if "RAW_URI" in environ else None
    if "wsgi.version" not in environ:  # ASGI has text
        return str(environ["PATH_INFO"]).encode("utf-8", "replace").decode("utf-8")
    return _text("%s%s" % (environ.get("SCRIPT_NAME") or "", environ["PATH_INFO"] or ""))


def _client(environ):
    """Who asks. Over a unix socket only the proxy in front can have sent these headers."""
    address = environ.get("REMOTE_ADDR")
    if address not in (None, "", "-"):
        return address
    forwarded = (environ.get("HTTP_X_FORWARDED_FOR") or "").rpartition(",")[2].strip()
    return environ.get("HTTP_X_REAL_IP") or forwarded or None


def _line(record):
    """JSON of less than the 48 KiB from which on journald makes two lines of one: the longest values are cut."""
    line, longest = json.dumps(record), 8192
    while len(line) > 40000:
        longest //= 2
        for name, value in record.items():
            if isinstance(value, str) and len(value) > longest:
                record[name] = value[:longest] + "\\u2026"
        line = json.dumps(record)
    return line


def access_record(environ, status, length, seconds):
    """One line of the access log: a JSON object, whatever a client sends."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return _line(
        {
            "@timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "remote_addr": _text(_client(environ)),
            "protocol": _text(environ.get("SERVER_PROTOCOL")),
            "host": _text(environ.get("HTTP_HOST")),
            "request_method": _text(environ.get("REQUEST_METHOD")),
            "request_path": _path(environ),
            "status_code": int(status) if status.isdecimal() else None,
            "response_length": length,
            "referer": _text(environ.get("HTTP_REFERER")),
            "user_agent": _text(environ.get("HTTP_USER_AGENT")),
            "x_tracking_id": _text(environ.get("HTTP_X_TRACKING_ID")),
            "request_time": round(max(0, seconds), 6),
            "request_id": _text(environ.get("HTTP_X_REQUEST_ID")),
        }
    )
'''

# The same facts in one line for people; what could end a line or a field early is escaped.
CLASSIC_RECORD = '''\


def _quoted(value):
    text = str(value or "-").encode("unicode_escape").decode("ascii").replace('"', '\\\\"')
    # Cut, so that journald does not make two lines of one.
    return text if len(text) <= 15000 else text[:15000].rstrip("\\\\") + "..."


def _uri(environ):
    """What was asked for, as it was sent; not every server hands that on, so that it has to be put together again."""
    if sent := environ.get("REQUEST_URI") or environ.get("RAW_URI"):
        return sent
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    # RFC 3986, 3.3: what may stand in a path. WSGI text holds bytes as latin-1.
    quoted = urllib.parse.quote(path, "/:@!$&'()*+,;=", "latin-1", "replace")
    return f"{quoted}?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else quoted


def access_record(environ, status, length, seconds):
    """One line of the access log, in the form of the preset `classic`."""
    now = datetime.datetime.now().astimezone().strftime("[%d/%b/%Y:%H:%M:%S %z]")
    request = _quoted(f"{environ.get('REQUEST_METHOD')} {_uri(environ)} {environ.get('SERVER_PROTOCOL')}")
    client = _quoted(environ.get("HTTP_X_REAL_IP"))
    referer, agent = _quoted(environ.get("HTTP_REFERER")), _quoted(environ.get("HTTP_USER_AGENT"))
    return f'{now} <{os.getpid()}> {client} "{request}" {status} {seconds:.6f} {length} "{referer}" "{agent}"'
'''

# sd-daemon(3). The journal takes the mark away; elsewhere it would be part of the line.
MARK = '''\


def access_mark():
    """What a line on standard output begins with: in systemd's journal it is a notice, to be told from all else."""
    output = os.fstat(1)
    return "<5>" if os.environ.get("JOURNAL_STREAM") == "%d:%d" % (output.st_dev, output.st_ino) else ""
'''

# For servers that tell nobody what became of a request.
LOGGED = '''\


def logged(application, log):
    """The application, with a call of log(environ, status, length, seconds) at the end of each answer."""

    def serve(environ, start_response):
        began, status, length, body = time.monotonic(), "500", 0, ()

        def start(line, headers, exc_info=None):
            nonlocal status
            write = start_response(line, headers, exc_info) if exc_info else start_response(line, headers)
            status = line[:3]
            return lambda part: (count(part), write(part))

        def count(part):
            nonlocal length
            length += len(part)

        try:
            body = application(environ, start)
            for part in body:
                count(part)
                yield part
        finally:
            try:
                if hasattr(body, "close"):
                    body.close()
            finally:
                log(environ, status, length, time.monotonic() - began)

    return serve
'''
