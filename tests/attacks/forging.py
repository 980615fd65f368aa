"""Headers by which a visitor claims to be somebody else, somewhere else: what the application sees of them."""

from __future__ import annotations

from attacks.frames import Reply
from attacks.table import Field, Seen, Try, add, attack
from attacks.wire import Answer, Site

FAKE, ELSEWHERE = "203.0.113.66", "evil.example.org"
# What applications, frameworks and servers are known to believe, with a value that would mean something.
FORGERIES = {
    "X-Forwarded-For": FAKE,
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Protocol": "ssl",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-Scheme": "https",
    "X-Scheme": "https",
    "X-Url-Scheme": "https",
    "Front-End-Https": "on",
    "X-Forwarded-Host": ELSEWHERE,
    "X-Forwarded-Server": ELSEWHERE,
    "X-Forwarded-Port": "4443",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Path": "/evil",
    "X-Forwarded-Uri": "/evil",
    "X-Forwarded-By": FAKE,
    "X-Forwarded-User": "admin",
    "X-Forwarded-Email": "admin@evil.example.org",
    "X-Forwarded-Groups": "admin",
    "X-Forwarded-Preferred-Username": "admin",
    "X-Forwarded-Access-Token": "evil",
    "X-Forwarded-Client-Cert": "evil",
    "X-Forwarded-Method": "DELETE",
    "X-Auth-Request-User": "admin",
    "X-Auth-Request-Email": "admin@evil.example.org",
    "X-Remote-User": "admin",
    "Remote-User": "admin",
    "X-Authenticated-User": "admin",
    "X-WebAuth-User": "admin",
    "Forwarded": f"for={FAKE};proto=https;host={ELSEWHERE}",
    "X-Real-IP": FAKE,
    "X-Client-IP": FAKE,
    "Client-IP": FAKE,
    "X-Cluster-Client-IP": FAKE,
    "True-Client-IP": FAKE,
    "CF-Connecting-IP": FAKE,
    "CF-Visitor": '{"scheme":"https"}',
    "Fastly-Client-IP": FAKE,
    "X-Originating-IP": FAKE,
    "X-Remote-IP": FAKE,
    "X-Remote-Addr": FAKE,
    "X-Envoy-External-Address": FAKE,
    "X-Original-Forwarded-For": FAKE,
    "X-Original-Host": ELSEWHERE,
    "X-Original-URL": "/evil",
    "X-Original-URI": "/evil",
    "X-Original-Method": "DELETE",
    "X-Rewrite-URL": "/evil",
    "X-Host": ELSEWHERE,
    "X-HTTP-Host-Override": ELSEWHERE,
    "X-Script-Name": "/evil",
    "Script-Name": "/evil",
    "Path-Info": "/evil",
    "Proxy": f"http://{FAKE}:8080",
    "X-Request-ID": "chosen-by-the-client",
    "X-SSL-Client-Verify": "SUCCESS",
    "X-SSL-Client-S-DN": "CN=admin",
    "X-Client-Verify": "SUCCESS",
    "SSL-Client-Verify": "SUCCESS",
    "CF-Connecting-IPv6": FAKE,
    "Fly-Client-IP": FAKE,
    "X-Azure-ClientIP": FAKE,
    "X-Azure-SocketIP": FAKE,
    "WL-Proxy-Client-IP": FAKE,
    "Proxy-Client-IP": FAKE,
    "X-ProxyUser-Ip": FAKE,
    "X-Appengine-User-Ip": FAKE,
    "X-Arr-SSL": "on",
    "Remote-Name": "admin",
    "Remote-Email": "admin@evil.example.org",
    "Remote-Groups": "admin",
    "X-Remote-Name": "admin",
    "X-Remote-Email": "admin@evil.example.org",
    "X-Remote-Group": "admin",
    "X-Remote-Groups": "admin",
    "X-WebAuth-Name": "admin",
    "X-WebAuth-Email": "admin@evil.example.org",
    "X-WebAuth-Groups": "admin",
    "X-WebAuth-Role": "admin",
    "X-Forwarded-Roles": "admin",
    "X-Auth-Request-Groups": "admin",
    "X-Auth-Request-Preferred-Username": "admin",
    "X-Auth-Request-Access-Token": "evil",
    "X-Authentik-Username": "admin",
    "X-Authentik-Name": "admin",
    "X-Authentik-Email": "admin@evil.example.org",
    "X-Authentik-Groups": "admin",
    "X-Authentik-Uid": "admin",
    "X-Authentik-Jwt": "evil",
    "X-Vouch-User": "admin",
    "X-Oidc-Username": "admin",
    "X-Userinfo": "evil",
    "X-Id-Token": "evil",
    "X-Token-Subject": "admin",
    "X-Pomerium-Jwt-Assertion": "evil",
    "X-Goog-Authenticated-User-Email": "admin@evil.example.org",
    "X-Goog-Authenticated-User-Id": "admin",
    "X-Goog-Iap-Jwt-Assertion": "evil",
    "Cf-Access-Authenticated-User-Email": "admin@evil.example.org",
    "Cf-Access-Jwt-Assertion": "evil",
    "X-Amzn-Oidc-Identity": "admin",
    "X-Amzn-Oidc-Data": "evil",
    "X-Amzn-Oidc-Accesstoken": "evil",
    "X-Ms-Client-Principal": "evil",
    "X-Ms-Client-Principal-Name": "admin",
    "X-Ms-Client-Principal-Id": "admin",
    "X-Ms-Client-Principal-Idp": "admin",
    "X-Ms-Token-Aad-Id-Token": "evil",
    "Tailscale-User-Login": "admin@evil.example.org",
    "Tailscale-User-Name": "admin",
    "Tailscale-User-Profile-Pic": "evil",
    "Client-Cert": "evil",
    "Client-Cert-Chain": "evil",
    "X-Forwarded-Tls-Client-Cert": "evil",
    "X-Forwarded-Tls-Client-Cert-Info": "evil",
    "X-SSL-Cert": "evil",
    "X-SSL-Client-Cert": "evil",
    "X-SSL-Client-I-DN": "evil",
    "X-SSL-Client-DN": "CN=admin",
    "X-SSL-Client-CN": "admin",
    "X-SSL-Client-Serial": "evil",
    "X-SSL-Client-Fingerprint": "evil",
    "X-SSL-Client-Issuer": "evil",
    "X-Client-Cert": "evil",
    "X-ARR-ClientCert": "evil",
    "SSL-Client-Cert": "evil",
    "SSL-Client-S-DN": "CN=admin",
    "SSL-Client-Subject-DN": "CN=admin",
    "SSL-Client-Issuer-DN": "evil",
}
TRUTH = "the application sees its visitor, host and scheme as they are, and nothing of what was claimed"


def believed(site: Site, answer: Answer | Reply, name: str, value: str, source: str) -> Seen:
    """Whether the application was told the truth about a request with a forged header."""
    saw = answer.json()
    if not saw:
        refused = isinstance(answer, Reply) and (answer.reset is not None or answer.ended is not None)
        return Seen(f"{answer}, refused", refused or 400 <= answer.status < 500)
    faults = []
    truth = {"remote": source, "scheme": site.scheme, "host": site.host, "prefix": "", "path": "/told"}
    for key, right in truth.items():
        if saw[key] != right:
            faults.append(f"{key} is {saw[key]!r}")
    plain = name.replace("_", "-").lower()
    for key, text in saw["headers"].items():
        if key.lower() == plain and value in text:
            faults.append(f"{key}: {text}")
    words = "the truth" if not faults else "believed: " + "; ".join(faults)
    return Seen(f"{answer.status}, {words}", not faults)


def _claim(name: str, value: str) -> Try:
    def try_it(field: Field) -> Seen:
        site = field["mirror"]
        return believed(site, site.get("/told", f"{name}: {value}"), name, value, site.marks["own"])

    return try_it


for _name, _value in FORGERIES.items():
    add("forged headers", f"{_name}: {_value}", TRUTH, _claim(_name, _value))
for _name in (
    "X_Forwarded_For",
    "X-Forwarded_For",
    "X.Forwarded.For",
    "x-forwarded-for",
    "X-Forwarded-For ",
    "\tX-Forwarded-For",
):
    add("forged headers", f"{_name!r}: {FAKE}", TRUTH, _claim(_name, FAKE))
for _name in ("SCRIPT_NAME", "PATH_INFO", "REMOTE_USER", "HTTP_HOST", "REMOTE_ADDR", "wsgi.url_scheme"):
    add("forged headers", f"{_name}: https", TRUTH, _claim(_name, "https"))


@attack("forged headers", "X-Forwarded-For twice", TRUTH)
def twice(field: Field) -> Seen:
    site = field["mirror"]
    answer = site.get("/told", f"X-Forwarded-For: {FAKE}", "X-Forwarded-For: 127.0.0.1")
    return believed(site, answer, "X-Forwarded-For", FAKE, site.marks["own"])


@attack("forged headers", "all of them at once, where websockets are let through", TRUTH)
def all_at_once(field: Field) -> Seen:
    site = field["mirror"]
    answer = site.get("/ws/told", *(f"{name}: {value}" for name, value in FORGERIES.items()))
    saw = answer.json()
    claims = {name.lower(): value for name, value in FORGERIES.items()}
    seen = {name: value for name, value in saw.get("headers", {}).items() if claims.get(name.lower()) == value}
    faults = [f"{name}: {value}" for name, value in seen.items()]
    return Seen(f"{answer.status}, {'; '.join(faults) or 'nothing of it'}", answer.status == 200 and not faults)


@attack(
    "forged headers",
    "Connection: X-Real-IP, X-Forwarded-For, Host",
    "what nginx sets stays",
)
def hop_by_hop(field: Field) -> Seen:
    site = field["mirror"]
    saw = site.get("/told", "Connection: close, X-Real-IP, X-Forwarded-For, X-Forwarded-Proto, Host").json()
    got = {name: saw["headers"].get(name) for name in ("X-Real-Ip", "X-Forwarded-For", "X-Forwarded-Proto", "Host")}
    right = {"X-Real-Ip": site.marks["own"], "X-Forwarded-For": site.marks["own"], "X-Forwarded-Proto": "http"}
    return Seen(str(got), got == {**right, "Host": site.host})


@attack(
    "trusted proxies",
    "X-Forwarded-For and -Proto from a proxy that is trusted",
    "the application sees what the proxy says",
)
def trusted(field: Field) -> Seen:
    saw = field["proxied by a trusted one"].get("/told", f"X-Forwarded-For: {FAKE}", "X-Forwarded-Proto: https").json()
    return Seen(f"{saw['remote']}, {saw['scheme']}", (saw["remote"], saw["scheme"]) == (FAKE, "https"))


@attack(
    "trusted proxies", "X-Forwarded-User from a proxy that is trusted", "the application sees who the proxy says it is"
)
def signed_in(field: Field) -> Seen:
    site = field["proxied by a trusted one"]
    saw = site.get("/told", f"X-Forwarded-For: {FAKE}", "X-Forwarded-User: ada", "X-Forwarded-Uri: /evil").json()
    got = [saw["headers"].get(name) for name in ("X-Forwarded-User", "X-Forwarded-Uri")]
    return Seen(str(got), got == ["ada", None])


@attack("trusted proxies", "X-Forwarded-User from an address beside it", TRUTH)
def signed_in_by_itself(field: Field) -> Seen:
    site = field["proxied"]
    answer = site.get("/told", f"X-Forwarded-For: {FAKE}", "X-Forwarded-User: ada")
    return believed(site, answer, "X-Forwarded-User", "ada", site.marks["own"])


@attack("trusted proxies", "X-Forwarded-For and -Proto from an address beside it", TRUTH)
def untrusted(field: Field) -> Seen:
    site = field["proxied"]
    answer = site.get("/told", f"X-Forwarded-For: {FAKE}", "X-Forwarded-Proto: https")
    return believed(site, answer, "X-Forwarded-For", FAKE, site.marks["own"])


@attack(
    "trusted proxies",
    "a visitor's own X-Forwarded-For through a trusted proxy",
    "the address that the proxy added",
)
def chained(field: Field) -> Seen:
    site = field["proxied by a trusted one"]
    saw = site.get("/told", f"X-Forwarded-For: 6.6.6.6, {FAKE}").json()
    faults = [name for name, text in saw["headers"].items() if "6.6.6.6" in text]
    return Seen(f"{saw['remote']}; {faults}", saw["remote"] == FAKE and not faults)


@attack(
    "trusted proxies",
    "nonsense from a trusted proxy",
    "no such scheme and no such address",
)
def nonsense(field: Field) -> Seen:
    site = field["proxied by a trusted one"]
    saw = site.get("/told", "X-Forwarded-Proto: evil, https", "X-Forwarded-For: unknown, <script>").json()
    good = saw["scheme"] in ("http", "https") and saw["remote"] == site.source
    return Seen(f"{saw['remote']}, {saw['scheme']}", good)


@attack(
    "trusted proxies",
    "Host, X-Forwarded-Host, -Prefix and -Port from a trusted proxy",
    "the host that chose it",
)
def trusted_host(field: Field) -> Seen:
    site = field["proxied by a trusted one"]
    lines = [f"X-Forwarded-Host: {ELSEWHERE}", "X-Forwarded-Prefix: /evil", "X-Forwarded-Port: 4443"]
    saw = site.get("/told", f"X-Forwarded-For: {FAKE}", *lines).json()
    return Seen(f"{saw['host']}, {saw['prefix']!r}", (saw["host"], saw["prefix"]) == (site.host, ""))
