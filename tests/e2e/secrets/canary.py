"""Searches for what must not be found: on the host with the rights of others, and on the controller."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from e2e.machine import Machine
from e2e.playbooks import ROOT
from e2e.secrets.inventory import PROGRAMS, made_markers, values_with


class CanaryHost(Machine):
    """A host, and the markers of the secrets that are there."""

    def __init__(self, name: str, inventory: Path, folder: Path) -> None:
        super().__init__(name, inventory, folder)
        known = folder / "markers.json"
        if not known.exists():
            known.write_text(json.dumps(made_markers()))
        self.markers: dict[str, str] = json.loads(known.read_text())
        self.values = values_with(self.markers)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look at the arguments of all processes of the controller meanwhile."""
        stop = threading.Event()
        hits: set[str] = set()

        def watch() -> None:
            while not stop.wait(0.3):
                for path in Path("/proc").glob("[0-9]*/cmdline"):
                    try:
                        text = path.read_bytes().decode(errors="replace")
                    except OSError:
                        continue
                    hits.update(name for name, marker in self.markers.items() if marker in text)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert not hits, f"processes of the controller show {hits}"

    def left_behind(self) -> list[str]:
        """The files of the controller that hold a secret: all that Ansible wrote, its log among them."""
        folders = [self.folder / "scratch", ROOT / ".ansible", Path.home() / ".ansible"]
        found = []
        # Files and folders of other runs come and go: os.walk passes over those that are gone.
        walked = (step for folder in folders for step in os.walk(folder))
        for path in (Path(place, name) for place, dummy, names in walked for name in names):
            with suppress(OSError):
                if path.is_file() and self.told(path.read_bytes().decode(errors="replace")):
                    found.append(str(path))
        return found

    def told(self, text: str) -> list[str]:
        """The names of the secrets of which a text tells the telling part."""
        # Lines may be broken, for a box.
        flat = re.sub(r"[\s│]+", "", text)
        encoded = {name: base64.b64encode(value.encode()).decode()[:24] for name, value in self.values.items()}
        forms = [*self.markers.items(), *encoded.items()]
        return sorted({name for name, form in forms if form in text or form in flat})

    def searched(self, user: str, tops: list[str] | None = None, sandbox: str = "") -> list[str]:
        """The files, names and processes in which a user finds a secret; root's are those of the user ''."""
        given = {
            "markers": list(self.markers.values()),
            "user": user,
            "tops": tops or ["/"],
            # From within a sandbox only its own user can look: he is told where they are.
            "paths": self.searched("", ["/etc", "/srv", "/var", "/run"]) if sandbox else [],
            "processes": bool(user or sandbox),
        }
        script = (PROGRAMS / "search.py").read_text().replace('GIVEN = "{}"', f"GIVEN = {json.dumps(given)!r}", 1)
        done = self.run(f"sudo flaskworks {sandbox} run python3 -" if sandbox else "sudo python3 -", script)
        assert done.status == 0, done.errors
        result = json.loads(done.text)
        assert result["read"] > 1000 or tops, result
        return list(result["found"])

    def program(self, name: str, given: dict[str, Any]) -> None:
        """Start a program that goes on, with what it may know on its standard input only."""
        self.give(PROGRAMS / f"{name}.py", f"/root/{name}.py")
        self.root(f"python3 /root/{name}.py", json.dumps(given))

    def sampling(self) -> None:
        self.root("rm -f /run/enough /run/sampled.json")
        self.program("sample", {"markers": list(self.markers.values())})

    def sampled(self) -> dict[str, Any]:
        """End the sampling and return what it saw."""
        self.root("touch /run/enough")
        self.wait("test -s /run/sampled.json")
        found: dict[str, Any] = json.loads(self.root("cat /run/sampled.json"))
        return found

    def journal(self, but: str = "/") -> str:
        """All fields of all lines of the journal, but for what one application says itself."""
        shown = self.root("journalctl --sync; journalctl --no-pager --all --output=json")
        lines = [line for line in shown.splitlines() if f'"_SYSTEMD_UNIT":"{but}@' not in line]
        return "\n".join(lines)
