"""Units under faults and crashes: what ran before runs again, and nothing of a refused unit is left."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_journal import STEPS
from e2e.support import output, unit_properties

FOLDER = "/etc/systemd/system"
NAME = "crash.service"
SYSTEMD: dict[str, Any] = {"program": "systemd", "owner": "crash"}
RUNS: dict[str, Any] = {"enabled": True, "active": True}
INSTALL = "[Install]\nWantedBy=multi-user.target\n"


def service(command: str, more: str = "") -> dict[str, Any]:
    return {"content": f"[Service]\nExecStart={command}\n{more}\n{INSTALL}"}


@pytest.fixture(autouse=True)
def nothing_left(host: Any, direct: Any) -> Any:
    """Every test ends with an empty set, after which no trace is left."""
    yield
    direct.apply({}, **SYSTEMD)
    assert output(host, f"find {FOLDER} -name 'crash*'") == ""
    assert output(host, "systemctl list-units --all --plain --no-legend 'crash*'") == ""


@pytest.mark.parametrize("step", STEPS)
def test_a_unit_of_a_killed_run_that_is_no_longer_wanted_goes(host: Any, direct: Any, step: str) -> None:
    files = {f"{FOLDER}/{NAME}": service("/bin/sleep infinity")}
    direct.kill(step, files, **SYSTEMD, units={NAME: RUNS})
    predicted = direct.check({}, **SYSTEMD)
    assert direct.apply({}, **SYSTEMD) == predicted
    assert not direct.apply({}, **SYSTEMD)


@pytest.mark.parametrize("step", ["kept", "swapped", "applied"])
def test_a_process_of_a_killed_run_is_replaced_by_that_of_the_old_unit(host: Any, direct: Any, step: str) -> None:
    old, new = ({f"{FOLDER}/{NAME}": service(f"/bin/sleep {seconds}")} for seconds in (1000001, 1000002))
    assert direct.apply(old, **SYSTEMD, units={NAME: RUNS})
    direct.kill(step, new, **SYSTEMD, units={NAME: RUNS})
    assert direct.apply(old, **SYSTEMD, units={NAME: RUNS})
    assert output(host, "pgrep -fa '^/bin/sleep 100000'").split(maxsplit=1)[1] == "/bin/sleep 1000001"
    assert not direct.apply(old, **SYSTEMD, units={NAME: RUNS})


def test_a_new_unit_that_does_not_stay_up_leaves_nothing(host: Any, apply: Any) -> None:
    flaps = {f"{FOLDER}/{NAME}": service("/bin/sh -c 'echo out of luck; exit 3'", "Restart=always")}
    answer = apply(flaps, **SYSTEMD, units={NAME: RUNS})
    assert answer.status != 0
    assert "does not stay up" in answer.text
    assert "out of luck" in answer.text
    assert output(host, f"find {FOLDER} -name 'crash*'") == ""
    assert unit_properties(host, NAME, "LoadState") == {"LoadState": "not-found"}


def test_instances_of_a_template_go_with_it(host: Any, direct: Any) -> None:
    files = {f"{FOLDER}/crash@.service": service("/bin/sleep infinity")}
    instances: dict[str, Any] = {f"crash@{number}.service": RUNS for number in (1, 2)}
    assert direct.apply(files, **SYSTEMD, units=instances)
    assert output(host, "systemctl is-active crash@1.service crash@2.service") == "active\nactive"
    first = unit_properties(host, "crash@1.service", "MainPID")
    files = {f"{FOLDER}/crash@.service": service("/bin/sleep 1000003")}
    assert direct.apply(files, **SYSTEMD, units=instances)
    assert unit_properties(host, "crash@1.service", "MainPID") != first
    assert not direct.apply(files, **SYSTEMD, units=instances)


@pytest.mark.parametrize("path", [f"{FOLDER}/crash@.service", f"{FOLDER}/{NAME}", f"{FOLDER}/ssh.service.d/crash.conf"])
def test_a_word_that_systemd_does_not_know_is_refused_wherever_it_is(host: Any, apply: Any, path: str) -> None:
    text = "[Service]\nFrobnicate=1\n"
    content = text if path.endswith(".conf") else service("/bin/sleep infinity")["content"] + text
    for _run in range(2):
        answer = apply({path: {"content": content}}, **SYSTEMD)
        assert answer.status != 0
        assert "Frobnicate" in answer.text
        assert f"{path}:" in answer.text
    assert not host.file(path).exists


def test_a_socket_changes_while_its_service_runs(host: Any, direct: Any) -> None:
    def files(backlog: int) -> dict[str, Any]:
        socket = f"[Socket]\nListenStream=/run/crash.sock\nBacklog={backlog}\n[Install]\nWantedBy=sockets.target\n"
        return {f"{FOLDER}/crash.socket": {"content": socket}, f"{FOLDER}/{NAME}": service("/bin/sleep infinity")}

    units = {"crash.socket": RUNS, NAME: {"active": True}}
    assert direct.apply(files(100), **SYSTEMD, units=units)
    assert direct.apply(files(200), **SYSTEMD, units=units)
    assert unit_properties(host, "crash.socket", "Backlog") == {"Backlog": "200"}
    assert output(host, f"systemctl is-active crash.socket {NAME}") == "active\nactive"


def test_another_install_section_takes_effect(host: Any, direct: Any) -> None:
    for target in ("multi-user.target", "sysinit.target"):
        text = f"[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy={target}\n"
        assert direct.apply({f"{FOLDER}/{NAME}": {"content": text}}, **SYSTEMD, units={NAME: RUNS})
        assert output(host, f"find {FOLDER} -name {NAME} -type l") == f"{FOLDER}/{target}.wants/{NAME}"
