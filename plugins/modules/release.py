#!/usr/bin/python
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Put releases of web applications live, one rename each
version_added: 0.1.0
author:
  - the flaskworks.deploy contributors (@flaskworks)
description:
  - Looks at all applications of a host in one call, builds a release for each one whose inputs changed, starts it
    beside the live one,
    asks it over HTTP, and switches to it by renaming the symbolic link C(current).
  - A release is a directory that holds code, virtual environment, settings, environment and its own units. The same
    inputs as the live
    release mean that nothing is done; the same as a kept release mean that this one is activated again.
  - A failure at any step before the switch leaves the site as it was.
options:
  apps:
    description:
      - The applications of one owner, by name, as the filter P(flaskworks.deploy.plan#filter) returns them in
        C(releases).
      - With O(state=absent) only C(base) and C(log_dir) are read from an entry, and it may be empty.
    type: dict
    required: true
  owner:
    description:
      - Who manages these applications. One that the same owner had earlier and no longer lists is stopped and
        disabled; its files stay.
    type: str
    default: flask_apps
  only:
    description: Narrows the run to these applications; nothing is stopped then because it is not listed.
    type: list
    elements: str
  build_env:
    description: Environment variables for git, pip and uv, such as the package index, proxies or the certificate
      authorities' file.
    type: dict
    default: {}
  state:
    description:
      - Whether the applications are live, or gone from the host.
      - V(rolled_back) brings an earlier release live, with its own environment, settings and units. Only the names of
        O(apps) count then, and C(base) if it is not C(/srv/NAME).
    type: str
    choices: [present, absent, rolled_back]
    default: present
  release:
    description: With O(state=rolled_back), the release to bring live, by its id or a part of it that no other has.
      The one that was live before unless set, without those that were rolled back from.
    type: str
  force:
    description: Deploys also what was rolled back from.
    type: bool
    default: false
  rotate:
    description:
      - Generated secrets that are made anew, by their names. The release that has them passes the gate as any other;
        until it is live, the ones before stay.
    type: list
    elements: str
    default: []
  before_switch:
    description: Whether the commands C(before_switch) of a new release run on this host. With several hosts only one
      of them migrates the database that they share.
    type: bool
    default: true
  lock_wait:
    description: Seconds to wait while another deploy of the same application is running.
    type: int
    default: 0
  break_lock:
    description: Ends another deploy of the same application that is running, and takes back or finishes what it began.
    type: bool
    default: false
  keep_data:
    description: With O(state=absent), whether the directory C(shared/) and the logs stay.
    type: bool
    default: true
  operation:
    description: Set by the action plugin. It first asks what is to be done and then calls once for each application
      that changes. A deploy goes on by itself; the action plugin asks for its progress.
    type: str
    choices: [inspect, deploy, rollback, stop, remove]
    default: inspect
  sealed:
    description: Set by the action plugin. Secrets, rendered files and O(build_env) as JSON text, kept apart so that
      no log shows them.
    type: str
  version:
    description: Set by the action plugin. The version of the source that the inspection found.
    type: str
  archive:
    description: Set by the action plugin. Where the packed source directory lies on the host.
    type: path
  wheels:
    description: Set by the action plugin. Where the packed wheelhouse lies on the host.
    type: path
  by:
    description: Set by the action plugin. Who deploys, for the history.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Predicts what would change, also on a host that has nothing installed yet.
  diff_mode:
    support: full
    description: Shows which parts of a release differ; secrets only as changed or not.
  idempotent:
    support: full
    description: A run without changes is one execution on the host, whatever the number of applications.
requirements:
  - systemd 252 or newer
  - git for sources of the type git
"""

EXAMPLES = r"""
- name: The releases of all applications are live
  become: true
  flaskworks.deploy.release:
    apps: "{{ (flask_apps | flaskworks.deploy.plan).releases }}"

- name: The blog is gone, its data stays
  become: true
  flaskworks.deploy.release:
    apps: {blog: {}}
    state: absent

- name: The blog is what it was before the last deploy
  become: true
  flaskworks.deploy.release:
    apps: {blog: {}}
    state: rolled_back
"""

RETURN = r"""
apps:
  description: What was done for each application.
  returned: success
  type: list
  elements: dict
  contains:
    app: {description: Name of the application., type: str, returned: always, sample: blog}
    action:
      description: One of C(none), C(deployed), C(reactivated), C(started), C(rolled_back), C(stopped), C(removed).
      type: str
      returned: always
      sample: deployed
    release: {description: The live release afterwards., type: str, returned: always, sample: 20260314-101500-1f2e3d4c}
    previous: {description: The release that was live before., type: str, returned: when there was one}
    reason: {description: Why something was done., type: list, elements: str, returned: always}
    seconds: {description: How long it took., type: float, returned: when something was done}
    phases: {description: Seconds of each phase., type: dict, returned: when something was done}
stopped:
  description: Applications that were stopped because they are no longer listed.
  returned: when there are any
  type: list
  elements: str
"""

import json
import os
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.deploy.plugins.module_utils import release_engine, release_job, release_removal
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import source_secrets
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_run import prepare_git
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError, scrub
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_inspect import inspect_all
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_lock import Patience
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_rollback import (
    plan_rollback,
    unfinished,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_index import index_addresses, index_secrets

OPTIONS: dict[str, Any] = {
    "apps": {"type": "dict", "required": True},
    "owner": {"type": "str", "default": "flask_apps"},
    "only": {"type": "list", "elements": "str"},
    "build_env": {"type": "dict", "default": {}},
    "state": {"type": "str", "choices": ["present", "absent", "rolled_back"], "default": "present"},
    "release": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "rotate": {"type": "list", "elements": "str", "default": []},
    "before_switch": {"type": "bool", "default": True},
    "lock_wait": {"type": "int", "default": 0},
    "break_lock": {"type": "bool", "default": False},
    "keep_data": {"type": "bool", "default": True},
    "operation": {
        "type": "str",
        "choices": ["inspect", "deploy", "rollback", "stop", "remove"],
        "default": "inspect",
    },
    "sealed": {"type": "str", "no_log": True},
    "version": {"type": "str"},
    "archive": {"type": "path"},
    "wheels": {"type": "path"},
    "by": {"type": "str", "default": ""},
}
# What a deploy is asked beside what is wanted: its own names, and those of the options.
_ASKED = {"commands": "before_switch", "force": "force", "rotate": "rotate"}
Result = dict[str, Any]


def unsealed(parameters: Result) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the applications with their secrets and files put back, and the variables of the build."""
    sealed = json.loads(parameters["sealed"] or "{}")
    apps = {name: {**(app or {}), **sealed.get("apps", {}).get(name, {})} for name, app in parameters["apps"].items()}
    build_env = {**parameters["build_env"], **sealed.get("build_env", {})}
    return apps, {name: str(value) for name, value in build_env.items()}


def inspect(parameters: Result, predict: bool) -> Result:
    """Return what each application needs, and which ones are no longer listed."""
    if parameters["state"] == "rolled_back":
        asked = parameters["release"] or ""
        found = [plan_rollback(layout, asked or unfinished(layout))[0] for layout in layouts(parameters)]
        return {"changed": False, "findings": [finding.as_dict() for finding in found], "unlisted": []}
    apps, build_env = unsealed(parameters)
    if not predict:
        prepare_git()
    findings, errors = inspect_all(
        apps, parameters["owner"], build_env, predict, parameters["force"], parameters["rotate"]
    )
    if errors:
        secrets = [
            *build_env.values(),
            *(str(value) for app in apps.values() for value in app.get("secrets", {}).values()),
            *(value for app in apps.values() for value in source_secrets(app["source"])),
            *(value for app in apps.values() for value in index_secrets(index_addresses(app.get("python", {})))),
        ]
        lines = [f"{error.problem}\n{error.output}".strip() for error in errors]
        raise ReleaseError("inspect", scrub("\n".join(lines), secrets))
    unlisted = [] if parameters["only"] else release_removal.unlisted(parameters["owner"], set(apps))
    return {"changed": False, "findings": [finding.as_dict() for finding in findings], "unlisted": unlisted}


def layouts(parameters: Result) -> list[Layout]:
    return [Layout(name, (app or {}).get("base") or f"/srv/{name}") for name, app in parameters["apps"].items()]


def caller(parameters: Result, seen: str, report: release_job.Report) -> release_engine.Caller:
    patience = Patience(parameters["lock_wait"], parameters["break_lock"])
    return release_engine.Caller(parameters["by"], patience, seen, report)


def deploy(parameters: Result, seen: str, report: release_job.Report) -> Result:
    """Bring the one given application to its wanted release."""
    apps, build_env = unsealed(parameters)
    version, owner, archive = parameters["version"], parameters["owner"], parameters["archive"] or ""
    wheels = parameters["wheels"] or ""
    options = {key: parameters[value] for key, value in _ASKED.items()}
    return _summed_up(
        [
            release_engine.deploy(
                release_engine.Wanted(name, app, version, owner, build_env, archive, wheels, **options),
                caller(parameters, seen, report),
            )
            for name, app in apps.items()
        ]
    )


def rollback(parameters: Result, seen: str, report: release_job.Report) -> Result:
    """Bring an earlier release of the one given application live."""
    asked = parameters["release"] or ""
    return _summed_up(
        [
            release_engine.rollback(layout.app, layout.base, asked, caller(parameters, seen, report))
            for layout in layouts(parameters)
        ]
    )


def stop(parameters: Result) -> Result:
    """Stop the given applications; their files stay."""
    return _summed_up(release_removal.stop_unlisted(parameters["owner"], sorted(parameters["apps"]), parameters["by"]))


def remove(parameters: Result, predict: bool) -> Result:
    """Take the given applications off the host."""
    results = []
    for name, app in parameters["apps"].items():
        base, log_dir = (app or {}).get("base") or f"/srv/{name}", (app or {}).get("log_dir") or f"/var/log/{name}"
        results.append(
            release_removal.remove(
                name, base, log_dir, parameters["owner"], parameters["keep_data"], parameters["by"], predict
            )
        )
    return _summed_up(results)


def _summed_up(results: list[Result]) -> Result:
    return {"changed": any(result["action"] != "none" for result in results), "apps": results}


def outcome(work: Callable[[], Result], operation: str) -> Result:
    """Return the result of ``work``, or its failure as a module reports one."""
    try:
        return work()
    except ReleaseError as error:
        return {"failed": True, "msg": f"{error.problem}\n{error.output}".strip(), "step": error.step}
    except OSError as error:
        trouble = release_engine.host_error(error)
        return {"failed": True, "msg": trouble.problem, "step": operation}


def main() -> None:
    # The account that Ansible came in with may have a stricter one, with which nobody but root could pass directories.
    os.umask(0o022)
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    parameters = module.params
    operation = "remove" if parameters["state"] == "absent" else parameters["operation"]
    if module.check_mode and operation != "remove":
        operation = "inspect"
    if operation in ("deploy", "rollback"):
        lasting = {"deploy": deploy, "rollback": rollback}[operation]
        job = release_job.start(lambda seen, report: outcome(lambda: lasting(parameters, seen, report), operation))
        module.exit_json(changed=True, job=job)
    work: Callable[[], Result] = {
        "inspect": lambda: inspect(parameters, module.check_mode),
        "stop": lambda: stop(parameters),
        "remove": lambda: remove(parameters, module.check_mode),
    }[operation]
    result = outcome(work, operation)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
