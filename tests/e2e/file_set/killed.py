"""Runs on a test host: a transaction whose process is killed as soon as it has written down one step of its journal.

Usage: killed.py STEP SITE, where SITE is the text of the site's file. Never returns when the step is reached.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_engine import apply_set
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import parse
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_journal import Store
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_programs import program


class Killed(Store):
    def advance(self, journal: dict[str, Any], step: str) -> None:
        super().advance(journal, step)
        if step == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGKILL)


WANTED = parse({"/etc/nginx/sites-enabled/story.conf": {"content": sys.argv[2]}}, {})
apply_set(Killed("story"), WANTED, [program("nginx", {}, WANTED)])
