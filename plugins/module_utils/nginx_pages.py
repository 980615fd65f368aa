# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pages that nginx shows in the place of others, and addresses that lead elsewhere."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_rewrites import rewrite_faults
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_words import below, quoted, url_fault

Entry = Mapping[str, Any]
Faults = Iterator[tuple[str, str]]

PAGES = "/etc/nginx/error_pages"
# A place that no visitor gets to by himself: nginx merges the slashes of what he asks for (merge_slashes).
PLACE = "//error"
UNREACHABLE = ("502", "504")
_STATUS = re.compile(r"[45][0-9][0-9]")
# 499 is nginx's own word for a client that went; 444 is no answer at all.
_NO_PAGE = frozenset({"444", "499"})
_TARGET = re.compile(
    r"(https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?)?(/[A-Za-z0-9._~!&'()*+,=:@%/-]*)?([?#][A-Za-z0-9._~!&'()*+,=:@%/?#-]*)?"
)


def page_faults(site: Entry, static: Collection[str]) -> Faults:
    """Return what is wrong with the error pages. ``static``: the URL prefixes that nginx serves itself."""
    for status, page in site["error_pages"].items():
        key = f"error_pages.{status}"
        if not _STATUS.fullmatch(status) or status in _NO_PAGE:
            yield key, "is no status of an error: write one from 400 to 599"
        if bool(page.get("page")) == bool(page.get("text")):
            yield key, "has either page, the path of a static file, or text"
        elif page.get("page"):
            if fault := url_fault(page["page"]):
                yield f"{key}.page", fault
            elif page["page"].endswith("/") or not any(below(page["page"], url) for url in static):
                named = ", ".join(sorted(static)) or "there is none"
                yield (
                    f"{key}.page",
                    f"{page['page']!r} is no file below a static path ({named}): nginx serves it itself",
                )
        elif "\0" in page["text"]:
            yield f"{key}.text", "holds a NUL character"


def redirect_faults(site: Entry, taken: Collection[str]) -> Faults:
    """Return what is wrong with redirects and rewrites. ``taken``: prefixes for which somebody else answers."""
    for url, redirect in site["redirects"].items():
        key = f"redirects.{url}"
        if fault := url_fault(url):
            yield key, fault
        elif url == "/":
            yield key, "'/' would be every path: use rewrites, or another site for another name"
        elif url in taken:
            yield key, "is a static path, a location or a path of basic_auth.except too: decide who answers"
        yield from _target_faults(key, url, redirect)
    for index, rewrite in enumerate(site["rewrites"]):
        yield from rewrite_faults(f"rewrites[{index}]", rewrite)


def _target_faults(key: str, url: str, redirect: Entry) -> Faults:
    to = redirect["to"]
    if not to or not _TARGET.fullmatch(to) or to.startswith("//"):
        yield f"{key}.to", f"{to!r} is neither a path nor a URL of http or https; encode special characters"
    elif url.endswith("/"):
        if not to.endswith("/") or re.search(r"[?#]", to):
            yield f"{key}.to", f"{to!r} does not end in a slash, but '{url}' stands for all below it"
        elif to.startswith("/") and below(to, url):
            yield f"{key}.to", f"{to!r} lies below '{url}' itself, so that it would go round for ever"
        if redirect["status"] not in (301, 302):
            yield (
                f"{key}.status",
                f"{redirect['status']} is for a single path: '{url}' stands for all below it, use 301 or 302",
            )
    elif to == url:
        yield f"{key}.to", "leads to itself"


def text_files(name: str, site: Entry) -> dict[str, str]:
    """Return path -> text of the pages that are given as text."""
    return {
        f"{PAGES}/{name}/{_file(status, page)}": page["text"].rstrip("\n") + "\n"
        for status, page in sorted(site["error_pages"].items())
        if page.get("text")
    }


def _file(status: str, page: Entry) -> str:
    """Return the name of a page; its end decides about the type that a browser is told."""
    return f"{status}.html" if page["text"].lstrip().startswith("<") else f"{status}.txt"


def error_pages(name: str, site: Entry) -> list[dict[str, str]]:
    """Return ``status`` and ``to`` of each page, the one for an application that can't be reached included."""
    pages = {
        status: page["page"] if page.get("page") else f"{PLACE}/{_file(status, page)}"
        for status, page in site["error_pages"].items()
    }
    by_hand = " ".join(re.findall(r"(?m)(?:^|[;{}])\s*error_page([^;]*)", site["extra"]))
    for status in UNREACHABLE if site["retry_page"] else ():
        if status not in by_hand:
            pages.setdefault(status, "@nginx_sites_retry")
    return [{"status": status, "to": to} for status, to in sorted(pages.items())]


def redirects(site: Entry) -> list[dict[str, str]]:
    """Return the locations of redirects: ``match`` and the one ``line`` in each, as nginx reads them."""
    found = []
    for url, redirect in sorted(site["redirects"].items()):
        to, status = redirect["to"], redirect["status"]
        if url.endswith("/"):
            # A capture is escaped in a redirect of rewrite, and is not in one of return.
            kind = "permanent" if status == 301 else "redirect"
            # Nobody chooses the host: browsers read "/\evil" as "//evil", and a redirect writes %5C as a backslash.
            skipped = r"[/\\]*" if to == "/" else ""
            pattern = quoted(f"(?s)^{re.escape(url)}{skipped}(.*)$")
            line = f"rewrite {pattern} {quoted(to + '$1')} {kind};"
        else:
            rest = "" if re.search(r"[?#]", to) else "$is_args$args"
            line = f"return {status} {quoted(to + rest)};"
        found.append({"match": f"^~ {url}" if url.endswith("/") else f"= {url}", "line": line})
    return found
