# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The way back for a change of the firewall that could cut SSH off.

What was is kept on the disk, and a timer of systemd puts it back unless somebody who connected anew says in time that
the host is reached. Neither the module nor the controller has to be alive for that. When the host starts again
meanwhile, which ends the timer, ufw's own service puts it back before it reads its rules.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import replace_file, sync_directory
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import STATE_DIRECTORY, UNIT_DIRECTORY
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_programs import PATH, UfwError, must

GUARD = f"{STATE_DIRECTORY}/ufw_guard"
UNIT = "flaskworks-ufw-revert"
DROP_IN = f"{UNIT_DIRECTORY}/ufw.service.d/flaskworks-revert.conf"
LOCK = "/run/flaskworks-ufw.lock"
# Seconds that others wait beyond its time for a timer to do its work.
GRACE = 20

# Whoever renames the directory ``saved`` decides: the one who keeps the change, or this. It is a shell's script as it
# has to work when all else is gone, Ansible's modules included.
SCRIPT = f"""#!/bin/sh
# Puts ufw back to what it was before a change that nobody confirmed. Written by flaskworks.deploy.
PATH={PATH}
cd {GUARD} || exit 0
[ "${{1-}}" = locked ] || {{ exec 9>{LOCK}; flock --wait 30 9; }}
[ -d going-back ] || mv -T saved going-back 2>/dev/null || exit 0
while read -r name path; do
    cp -p "going-back/$name" "$path.flaskworks~" && mv "$path.flaskworks~" "$path"
done < going-back/files
if [ "${{1-}}" != boot ]; then
    if [ -e going-back/active ]; then
        ufw reload
    else
        # It stops the filter and notes that it is off, whatever was noted before.
        ufw disable
        cp -p going-back/ufw.conf /etc/ufw/ufw.conf
    fi
    [ -e going-back/unit ] || systemctl --quiet disable ufw.service
fi
rm -f {DROP_IN}
rmdir {os.path.dirname(DROP_IN)} 2>/dev/null
# At once, as half of it would tell of a firewall that was off.
mv -T going-back gone
rm -rf {GUARD}
"""
DROP_IN_TEXT = f"""# A change of the firewall waits to be confirmed. Written by flaskworks.deploy.
[Service]
ExecStartPre=-/bin/sh {GUARD}/revert boot
"""


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Be alone with the firewall; the kernel lets go when this process dies."""
    with open(LOCK, "w", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def settled(act: bool = True) -> Iterator[None]:
    """Be alone with the firewall, and no change of it waits to be confirmed: it was kept or taken back within its time.

    One whose timer is gone is taken back here, unless ``act`` is false. Raises UfwError.
    """
    while True:
        with locked():
            late = _until() + GRACE < time.time()
            if late and act and os.path.isdir(GUARD):
                take_back()
            if late or not os.path.isdir(GUARD):
                yield
                return
        time.sleep(0.3)


def arm(paths: Iterable[str], seconds: int, *, active: bool, unit: bool) -> str:
    """Keep these files and start the timer; return the token that confirms the change.

    ``active``: whether the filter is on now, ``unit``: whether its service starts it at boot. Raises UfwError.
    """
    disarm()
    os.makedirs(f"{GUARD}/saved", mode=0o700)
    os.chmod(GUARD, 0o700)
    kept = [path for path in paths if os.path.exists(path)]
    for path in kept:
        must(["cp", "-p", path, f"{GUARD}/saved/{_short(path)}"])
    lines = "".join(f"{_short(path)} {path}\n" for path in kept)
    token = secrets.token_hex(16)
    flags = {"saved/active": active, "saved/unit": unit}
    texts = {name: "" for name, is_so in flags.items() if is_so}
    # The script last: what was is complete as soon as it can be put back.
    texts |= {"saved/files": lines, "token": token, "until": str(int(time.time()) + seconds), "revert": SCRIPT}
    for name, text in texts.items():
        replace_file(f"{GUARD}/{name}", text.encode(), 0o700 if name == "revert" else 0o600)
    os.makedirs(os.path.dirname(DROP_IN), mode=0o755, exist_ok=True)
    replace_file(DROP_IN, DROP_IN_TEXT.encode(), 0o644)
    sync_directory(STATE_DIRECTORY)
    timer = ["systemd-run", "--quiet", "--collect", f"--unit={UNIT}", f"--on-active={seconds}s"]
    try:
        must([*timer, "--timer-property=AccuracySec=100ms", "/bin/sh", f"{GUARD}/revert"])
    except UfwError as error:
        disarm()
        raise UfwError(
            f"the timer that would take the change back can't be set, so nothing was changed (revert_after: 0 does"
            f" without): {error}"
        ) from error
    return token


def holds(token: str) -> bool:
    """Tell whether the change of that token waits to be confirmed."""
    return os.path.isdir(f"{GUARD}/saved") and _text("token") == token


def keep(token: str) -> None:
    """Keep the change of that token. Raises UfwError when it was taken back already."""
    with locked(), contextlib.suppress(FileNotFoundError):
        if holds(token):
            os.rename(f"{GUARD}/saved", f"{GUARD}/kept")
            disarm()
            return
    raise UfwError("the firewall went back to what it was: it was not confirmed in time; allow more by revert_after")


def take_back() -> None:
    """Put the firewall back to what it was, now. The caller holds the lock. Raises UfwError with what is left to do."""
    if os.path.exists(f"{GUARD}/revert"):
        must(["/bin/sh", f"{GUARD}/revert", "locked"])
    disarm()


def disarm() -> None:
    """Forget the way back, and stop its timer."""
    # At once: half of it would tell of a firewall that was off.
    with contextlib.suppress(OSError):
        os.rename(f"{GUARD}/saved", f"{GUARD}/kept")
    shutil.rmtree(GUARD, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(DROP_IN)
        os.rmdir(os.path.dirname(DROP_IN))
    for unit in (f"{UNIT}.timer", f"{UNIT}.service"):
        with contextlib.suppress(UfwError):
            must(["systemctl", "stop", unit])


def _short(path: str) -> str:
    return path.rpartition("/")[2]


def _text(name: str) -> str:
    try:
        with open(f"{GUARD}/{name}", encoding="ascii") as stream:
            return stream.read().strip()
    except FileNotFoundError:
        return ""


def _until() -> float:
    """Return when the timer does its work (seconds since 1970); 0 of a guard that was cut short in the making."""
    return float(_text("until") or 0)
