#!/usr/bin/python
# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells how the applications of a host are."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: release_info
short_description: Tell which releases are live and how they are
version_added: 0.1.0
author: The flaskworks.deploy contributors (@flaskworks)
description:
  - Reads what the host knows of its applications in one call, whatever their number. It works on a host without any,
    and on one that is not prepared yet.
  - Needs root, since what a release was made of is not for everybody.
  - Times are ISO 8601 in UTC. What is not known is null.
options:
  apps:
    description: Names of applications. All that are recorded on the host when this is not given.
    type: list
    elements: str
  owner:
    description: Only applications of this owner.
    type: str
  probe:
    description:
      - Whether each live release is asked over HTTP on its own socket, with its own settings of the health check.
      - All are asked at once; nobody is waited for longer than 5 seconds. A release that does not run is not asked,
        as the question would start it.
    type: bool
    default: true
  sizes:
    description: Whether the sizes of releases and virtual environments are summed up, which reads every file's size.
    type: bool
    default: false
  diff:
    description:
      - Two releases to compare, the old and the new one, each as an id, a part of it, V(live) or V(previous).
      - Without the new one it is the live release; an empty list compares the release before with the live one.
    type: list
    elements: str
  strict:
    description: Whether an application in O(apps) that the host does not have is a failure.
    type: bool
    default: true
attributes:
  check_mode:
    description: Only reads.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
seealso:
  - module: flaskworks.deploy.release
"""

EXAMPLES = r"""
- name: See how the blog is
  become: true
  flaskworks.deploy.release_info:
    apps: [blog]
  register: found

- name: Insist on a quick answer
  ansible.builtin.assert:
    that: found.apps[0].probe.ms < 200
"""

RETURN = r"""
time:
  description: When the host was asked, by its own clock.
  returned: always
  type: str
  sample: '2026-03-14T10:15:00Z'
prepared:
  description: Whether anything was ever deployed on the host.
  returned: always
  type: bool
missing:
  description: Applications that were asked for and are not there; with a name that may have been meant.
  returned: always
  type: dict
apps:
  description: The applications, sorted by name.
  returned: always
  type: list
  elements: dict
  contains:
    app: {description: Name of the application., type: str, returned: always, sample: blog}
    owner: {description: Who manages it., type: str, returned: always, sample: flask_apps}
    state:
      description:
        - V(live) when all that belongs to it runs and it answers; V(unhealthy) when its answer is not a good one;
          V(degraded) when a process, a timer or the socket does not run; V(idle) when only the socket waits.
        - V(starting), V(stopping), V(failed), V(down); V(stopped) when its owner no longer lists it; V(no release).
      type: str
      returned: always
    release: {description: The live release., type: str, returned: always, sample: 20260314-101500-1f2e3d4c}
    asked: {description: The version that the inventory asked for., type: str, returned: always, sample: v2.1.0}
    version: {description: The commit or digest that it was., type: str, returned: always}
    since: {description: When the release went live., type: str, returned: always}
    by: {description: Who put it live., type: str, returned: always, sample: anna@laptop}
    action: {description: How it went live., type: str, returned: always, sample: deployed}
    previous: {description: The release that was live before., type: str, returned: always}
    activity:
      description:
        - The deploy that goes on (C(state) V(running)) or was cut short (V(interrupted)), with C(release), C(action),
          C(by), C(since), C(step) and C(pid). Null when there is none.
      type: dict
      returned: always
    maintenance:
      description: Whether the site is closed to visitors; see the playbook C(flaskworks.deploy.maintenance).
      type: bool
      returned: always
    tls:
      description:
        - The certificate of its site, with C(mode), C(names), C(issuer), C(until) (ISO 8601), C(days_left), C(late),
          C(self_signed), C(fingerprint) (SHA-256), C(placeholder) (no authority has issued one yet), C(staging),
          C(wanted) (the names that it is to hold) and C(problems) (C(key), C(chain), C(not-yet-valid),
          C(unreadable), in words). It ends with the first certificate of its chain that does.
        - Null without TLS.
      type: dict
      returned: always
    web:
      description:
        - The web service, with C(unit), C(manager) (V(systemd), V(supervisor), V(cron)),
          C(active), C(sub), C(result), C(socket), C(since), C(uptime_s), C(restarts),
          C(server), C(workers) (alive), C(workers_configured) and why it is that number (C(workers_reason)),
          C(memory_bytes), C(memory_peak_bytes), C(memory_limit_bytes).
        - The memory is that of the unit's control group without the files in it that were not used of late, which the
          kernel drops before anything is killed; or the sum of its processes where that is not counted. The peak, which
          counts those files, needs systemd 256.
      type: dict
      returned: always
    sandbox:
      description:
        - The sandbox of the web service, with C(preset) (V(isolated), V(strict), V(standard), V(off)), C(changed), the
          directives in which it differs from that, and C(score), the exposure of 0 to 10 that
          C(systemd-analyze security) finds in the unit as it is loaded.
        - Both are null under another process manager. Null without a release.
      type: dict
      returned: always
    probe:
      description: The answer right now, with C(good), C(status), C(ms) and C(answer) (in words).
      type: dict
      returned: always
    probe_at_deploy_ms:
      description: How long its first good answer took when it went live.
      type: int
      returned: always
    processes:
      description: Each with C(name), C(number) and the keys of C(web) that are not about HTTP.
      type: list
      elements: dict
      returned: always
    timers:
      description: Each with C(name), C(unit), C(active), C(next), C(last), C(running) and C(result).
      type: list
      elements: dict
      returned: always
    releases:
      description:
        - The kept releases, the youngest first, each with C(id), C(asked), C(version), C(created), C(by), C(live_from),
          C(live_until), C(ended) (V(live), V(replaced), V(rolled back), V(stopped), V(never live)), C(rolled_back)
          (C(time), C(by), C(to), or null), and with O(sizes) C(bytes).
      type: list
      elements: dict
      returned: always
    failures:
      description: The last three, the newest first, each with C(time), C(release), C(version), C(by), C(outcome),
        C(step) and C(problem).
      type: list
      elements: dict
      returned: always
    diff:
      description:
        - What differs, with C(old) and C(new) (C(release), C(asked), C(version), C(created)), C(code) (true or false),
          C(python), C(packages), C(settings) and C(units) (their lines), C(environment), C(secrets), C(files) and
          C(static) (names alone), and C(other), which lists parts of which nothing more is known.
        - Has C(added), C(removed) and C(changed) below C(packages) and all that tells names.
        - Only C(error) when there is nothing to compare.
      type: dict
      returned: with O(diff)
    venvs:
      description: Virtual environments, each with C(name), C(bytes) and C(releases).
      type: list
      elements: dict
      returned: with O(sizes)
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_status import add_diff, host_status


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "apps": {"type": "list", "elements": "str"},
            "owner": {"type": "str"},
            "probe": {"type": "bool", "default": True},
            "sizes": {"type": "bool", "default": False},
            "diff": {"type": "list", "elements": "str"},
            "strict": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    if os.geteuid() != 0:
        module.fail_json(msg="the status of applications is for root only: set become")
    status = host_status(given["apps"], given["owner"], given["probe"], given["sizes"])
    if given["diff"] is not None:
        add_diff(status, given["diff"])
    if status["missing"] and given["strict"]:
        lines = [f"there is no application '{name}' on this host: {meant}" for name, meant in status["missing"].items()]
        module.fail_json(msg="\n".join(lines))
    module.exit_json(changed=False, **status)


if __name__ == "__main__":
    main()
