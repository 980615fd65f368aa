# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Has a variable evaluated, and fails with the words of the filter that found fault with it, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError, AnsibleFilterError
from ansible.plugins.action import ActionBase

# Ansible forks for every task, and reads a collection's Python anew in each; it reads actions before it forks.
from ansible_collections.flaskworks.deploy.plugins.filter import plan  # noqa: F401  pylint: disable=unused-import


class ActionModule(ActionBase):
    """Runs nothing on a host."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    @classmethod
    def finalize_task_arg(cls, name: str, value: Any, templar: Any, context: Any) -> Any:
        """Leave the template as it is: what fails before ``run`` is told by Ansible, once for each level of it."""
        return value

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        if set(self._task.args) != {"value"}:
            raise AnsibleActionFail("flaskworks.deploy.checked takes value, and nothing else")
        try:
            self._templar.template(self._task.args["value"])
        except AnsibleError as error:
            told = [cause for cause in _causes(error) if isinstance(cause, AnsibleFilterError)]
            if not told:
                raise
            raise AnsibleActionFail(str(told[-1])) from None
        return {"changed": False}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__
