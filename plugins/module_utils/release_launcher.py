# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a release has where systemd does not start it: its ``launch``, and under cron its ``control``."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import launcher
from ansible_collections.flaskworks.deploy.plugins.module_utils.servers import start_words

# Read at once: a deploy goes on when the archive that Ansible has sent is gone.
LAUNCHER = inspect.getsource(launcher)

# POSIX, and no more than what a minimal Debian has. 9 is the lock; no program may inherit it, or it would be held as
# long as that runs.
CONTROL = """\
#!/bin/sh
# Written by flaskworks.deploy: looks after the programs of one release, as the user @user@. cron calls `check`.
#   control start|stop|restart|status|check [PROGRAM]     PROGRAM: @programs@ (web unless said)
#   control reopen                                        the server opens its logs again
set -u
umask 027
release=@directory@
run=@runtime@
program=${2:-web}
case $program in
@timeouts@
    *) echo "control: there is no program '$program': @programs@" >&2; exit 64 ;;
esac
case $program in
    web) unit=@app@@@release@ ;;
    *) unit=@app@.$program@@release@ ;;
esac
if [ "$(id -un)" != @user@ ]; then
    echo "control: this is for @user@: runuser -u @user@ -- $0 $*" >&2
    exit 77
fi
[ -d "$run" ] || { echo "control: $run is missing; systemd-tmpfiles --create makes it" >&2; exit 69; }

# The start of a process in clock ticks since boot (proc(5), stat, field 22; the name in brackets may hold anything).
started() {
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # shellcheck disable=SC2086 # its words
    set -f -- ${stat##*) }
    echo "${20}"
}

# Prints the process that runs. A number alone proves nothing, it may be somebody else's by now: its start has to be
# the one that was written down, and it has to be this user's. (Its command could be renamed by itself.)
alive() {
    pid='' start=''
    [ -e "$run/$program.pid" ] && read -r pid start <"$run/$program.pid"
    case $pid in '' | *[!0-9]*) return 1 ;; esac
    [ -n "$start" ] && [ "$(started "$pid")" = "$start" ] && [ -O "/proc/$pid" ] && echo "$pid"
}

# Waits up to $1 seconds until the program runs (yes) or not (no).
wait_until() {
    left=$(($1 * 10))
    while [ "$left" -gt 0 ]; do
        if alive >/dev/null; then now=yes; else now=no; fi
        [ "$now" = "$2" ] && return 0
        sleep 0.1
        left=$((left - 1))
    done
    return 1
}

start() {
    if pid=$(alive); then
        echo "$unit runs already, process $pid"
        return 0
    fi
    rm -f "$run/$program.stopped" "$run/$program.pid"
    setsid systemd-cat --identifier="$unit" "$release/launch" "$program" </dev/null 9>&- &
    if ! wait_until 10 yes; then
        echo "$unit did not start: journalctl --identifier=$unit" >&2
        return 1
    fi
    echo "$unit runs, process $(alive)"
}

stop() {
    : >"$run/$program.stopped"
    if pid=$(alive); then
        kill -TERM "$pid"
        wait_until "$timeout" no || echo "$unit did not end within $timeout s, it is killed" >&2
        # Its group is what it has started itself.
        # With -s, since dash takes the -- behind -KILL for a number.
        kill -s KILL -- "-$pid" 2>/dev/null
        wait_until 5 no || return 1
    fi
    rm -f "$run/$program.pid"
    echo "$unit is stopped"
}

# One at a time.
exec 9>"$run/$program.lock"
case ${1:-} in
    start) flock 9 && start ;;
    stop) flock 9 && stop ;;
    stop-soon)
        : >"$run/$program.stopped"
        pid=$(alive) && kill -TERM "$pid"
        true
        ;;
    restart) flock 9 && stop && start ;;
    status)
        if pid=$(alive); then
            echo "$unit runs, process $pid"
        elif [ -e "$run/$program.stopped" ]; then
            echo "$unit was stopped"
            exit 3
        elif [ -e "$run/$program.pid" ]; then
            echo "$unit died; the next check starts it"
            exit 1
        else
            echo "$unit does not run; the next check starts it"
            exit 3
        fi
        ;;
    check)
        # Somebody is at work: the next minute will do.
        flock --nonblock 9 || exit 0
        [ -e "$run/$program.stopped" ] && exit 0
        alive >/dev/null && exit 0
        logger --tag "$unit" "does not run: starting it"
        start >/dev/null
        ;;
    reopen) exec "$release/launch" reopen ;;
    *)
        echo "Usage: $0 start|stop|restart|status|check|reopen [PROGRAM]" >&2
        exit 64
        ;;
esac
"""


def launcher_files(name: str, app: Mapping[str, Any], release_id: str = "%i") -> dict[str, str]:
    """Return name -> text of the programs of a release; none where systemd does all of it."""
    given = app.get("launcher")
    if not given:
        return {}
    directory, runtime = f"{app['base']}/releases/{release_id}", f"/run/{name}/{release_id}"
    processes = {process: ["/bin/sh", "-c", f"exec {command}"] for process, command in given["processes"].items()}
    facts = {
        "directory": directory,
        "runtime": runtime,
        "user": app["user"],
        "limits": given["limits"],
        "commands": {"web": start_words(app["server"]["type"], directory), **processes},
    }
    # -ISB: nothing of the application is imported before it is its turn.
    text = "#!/usr/bin/python3 -ISB\n" + LAUNCHER
    files = {"launch": f"{text}\n\nmain({json.dumps(facts)!r}, sys.argv[1:])\n"}
    if app["manager"] == "cron":
        said = {
            "app": name,
            "release": release_id,
            "user": app["user"],
            "directory": directory,
            "runtime": runtime,
            "programs": " ".join(["web", *processes]),
            "timeouts": "\n".join(f"    {key}) timeout={value} ;;" for key, value in given["timeouts"].items()),
        }
        files["control"] = re.sub("@([a-z]+)@", lambda matched: str(said[matched[1]]), CONTROL)
    return files
