"""A site that is closed to visitors, and opened again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.playbooks import Run
from e2e.support import Site, play

# As long as a name may be: nginx's variables bear it.
APP = "blog-of-the-people-next-door-12"
PLAYBOOK = "playbooks/maintenance.yml"
# What must not be a way around it.
EXTRA = 'location = /robots.txt { return 200 "by hand"; }\nerror_page 503 /sorry.html;\n'
LOCATIONS = {"/upload": {"max_body": "3m"}, "/live": {"websocket": True}, "/events": {"stream": True}}
TOKEN = re.compile(r"\b[0-9a-f]{64}\b")


@dataclass(frozen=True)
class Closing:
    """A host, its site, and the means to close it."""

    host: Any
    source: Path
    blog: Site

    def run(self, state: str, *options: str, app: str = APP, status: int = 0) -> Run:
        words = [word for option in options for word in (option if option.startswith("--") else f"-e={option}",)]
        return play(self.host, PLAYBOOK, f"-e=app={app}", f"-e=state={state}", *words, status=status)

    def on(self, *options: str) -> str:
        """Close the blog; return the token of the link that the run tells."""
        return told_token(self.run("on", *options))

    def deploy(self, playbook: str, *options: str) -> Run:
        """Run another playbook, for the site that this host has."""
        return play(self.host, f"playbooks/{playbook}.yml", "-e", '{"left_out": ["wiki"]}', *options)

    def files(self) -> set[str]:
        """What a maintenance leaves on the host."""
        found = "find /etc/nginx /var/lib/flaskworks/file_set -iname '*maintenance*' -o -path '/etc/nginx/flaskworks*'"
        return set(self.host.check_output(found).split())


def told_token(run: Run) -> str:
    """The token that a run told; it tells it once."""
    tokens = TOKEN.findall(run.text)
    assert len(tokens) == 1, run.text[-3000:]
    return str(tokens[0])
