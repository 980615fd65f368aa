"""Runs on a test host: a transaction whose process is killed as soon as it has written down one step of its journal.

Usage: killed.py STEP GIVEN, where GIVEN is JSON: owner, program, units and files.
"""

from __future__ import annotations

import json
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


GIVEN = json.loads(sys.argv[2])
WANTED = parse(GIVEN["files"], {})
apply_set(Killed(GIVEN["owner"]), WANTED, [program(GIVEN["program"], GIVEN["units"], WANTED)])
