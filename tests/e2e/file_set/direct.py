"""Runs on a test host: one transaction, or as much of one as it takes to write down one step of its journal.

Usage: direct.py HOW GIVEN, where HOW is apply, check, or the step after which the process is killed, and GIVEN is JSON:
owner, program, units and files. Prints what apply_set returned.
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
PROGRAM = program(GIVEN["program"], GIVEN["units"], WANTED)
print(json.dumps(apply_set(Killed(GIVEN["owner"]), WANTED, [PROGRAM], check=sys.argv[1] == "check").__dict__))
