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
    description: Narrows the run to this application; nothing is stopped then because it is not listed.
    type: str
  build_env:
    description: Environment variables for git, pip and uv, such as the package index, proxies or the certificate
      authorities' file.
    type: dict
    default: {}
  state:
    description: Whether the applications are live, or gone from the host.
    type: str
    choices: [present, absent]
    default: present
  keep_data:
    description: With O(state=absent), whether the directory C(shared/) and the logs stay.
    type: bool
    default: true
  operation:
    description: Set by the action plugin. It first asks what is to be done and then calls once for each application
      that changes.
    type: str
    choices: [inspect, deploy, stop, remove]
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
      description: One of C(none), C(deployed), C(reactivated), C(started), C(stopped), C(removed).
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
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.deploy.plugins.module_utils import release_engine
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError, scrub
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_git import prepare_git
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_inspect import inspect_all

OPTIONS: dict[str, Any] = {
    "apps": {"type": "dict", "required": True},
    "owner": {"type": "str", "default": "flask_apps"},
    "only": {"type": "str"},
    "build_env": {"type": "dict", "default": {}},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "keep_data": {"type": "bool", "default": True},
    "operation": {"type": "str", "choices": ["inspect", "deploy", "stop", "remove"], "default": "inspect"},
    "sealed": {"type": "str", "no_log": True},
    "version": {"type": "str"},
    "archive": {"type": "path"},
    "by": {"type": "str", "default": ""},
}


def unsealed(parameters: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the applications with their secrets and files put back, and the variables of the build."""
    sealed = json.loads(parameters["sealed"] or "{}")
    apps = {name: {**(app or {}), **sealed.get("apps", {}).get(name, {})} for name, app in parameters["apps"].items()}
    build_env = {**parameters["build_env"], **sealed.get("build_env", {})}
    return apps, {name: str(value) for name, value in build_env.items()}


def inspect(parameters: dict[str, Any], predict: bool) -> dict[str, Any]:
    """Return what each application needs, and which ones are no longer listed."""
    apps, build_env = unsealed(parameters)
    if not predict:
        prepare_git()
    findings, errors = inspect_all(apps, parameters["owner"], build_env, predict)
    if errors:
        secrets = [
            *build_env.values(),
            *(str(value) for app in apps.values() for value in app.get("secrets", {}).values()),
        ]
        lines = [f"{error.problem}\n{error.output}".strip() for error in errors]
        raise ReleaseError("inspect", scrub("\n".join(lines), secrets))
    unlisted = [] if parameters["only"] else release_engine.unlisted(parameters["owner"], set(apps))
    return {"changed": False, "findings": [finding.as_dict() for finding in findings], "unlisted": unlisted}


def deploy(parameters: dict[str, Any]) -> dict[str, Any]:
    """Bring the one given application to its wanted release."""
    apps, build_env = unsealed(parameters)
    results = [
        release_engine.deploy(
            name,
            app,
            parameters["version"],
            parameters["owner"],
            build_env,
            parameters["archive"] or "",
            parameters["by"],
        )
        for name, app in apps.items()
    ]
    return {"changed": any(result["action"] != "none" for result in results), "apps": results}


def stop(parameters: dict[str, Any]) -> dict[str, Any]:
    """Stop the given applications; their files stay."""
    results = release_engine.stop_unlisted(parameters["owner"], sorted(parameters["apps"]), parameters["by"])
    return {"changed": bool(results), "apps": results}


def remove(parameters: dict[str, Any], predict: bool) -> dict[str, Any]:
    """Take the given applications off the host."""
    results = []
    for name, app in parameters["apps"].items():
        base, log_dir = (app or {}).get("base") or f"/srv/{name}", (app or {}).get("log_dir") or f"/var/log/{name}"
        results.append(
            release_engine.remove(
                name, base, log_dir, parameters["owner"], parameters["keep_data"], parameters["by"], predict
            )
        )
    return {"changed": any(result["action"] != "none" for result in results), "apps": results}


def main() -> None:
    # The account that Ansible came in with may have a stricter one, with which nobody but root could pass directories.
    os.umask(0o022)
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    parameters = module.params
    operation = "remove" if parameters["state"] == "absent" else parameters["operation"]
    if module.check_mode and operation in ("deploy", "stop"):
        operation = "inspect"
    try:
        if operation == "inspect":
            result = inspect(parameters, module.check_mode)
        elif operation == "deploy":
            result = deploy(parameters)
        elif operation == "stop":
            result = stop(parameters)
        else:
            result = remove(parameters, module.check_mode)
    except ReleaseError as error:
        module.fail_json(msg=error.problem, step=error.step)
    except OSError as error:
        module.fail_json(msg=f"{error.strerror}: {error.filename}", step=operation)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
