"""ResourceService: templates, from their import until they are removed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.labs.ovm import names
from tests.labs.ovm.store import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.labs.ovm.agent import Agent
    from tests.labs.ovm.jobs import Jobs
    from tests.labs.ovm.store import Pool, Store, Template
    from tests.labs.ovm.wire import Given, Result

__all__ = ["Templates"]

_URL = re.compile(r"https?://[!-~]+")


class Templates:
    """The templates of one Manager.

    Attributes:
        operations: By name, what answers a request.
    """

    def __init__(self, store: Store, agent: Agent, jobs: Jobs) -> None:
        """Nothing is done yet."""
        self._store, self._agent, self._jobs = store, agent, jobs
        self.operations: Mapping[str, Callable[[str, Given], Result]] = {
            "getAllTemplateResources": self._all,
            "importTemplate": self._import,
            "importTemplateFromURL": self._import,
            "approveTemplate": self._approve,
            "deleteTemplate": self._delete,
        }

    def recover(self) -> None:
        """End what a Manager that died has left half done."""
        for pool in self._store.pools():
            for template in self._store.templates(pool):
                if template.status == "Importing":
                    why = "the Manager ended while it was imported"
                    self._store.set_template(template, "Error", why)

    def _all(self, _: str, given: Given) -> Result:
        return [
            {"templateId": each.id, "templateName": each.name, "status": each.status}
            for each in self._store.templates(self._pool(given))
        ]

    def _import(self, operation: str, given: Given) -> None:
        name, url = names.name(given.text("templateName")), None
        if operation == "importTemplateFromURL":
            url = given.text("url")
            if not _URL.fullmatch(url):
                raise RefusedError("this is no HTTP address")
        template = self._store.add_template(self._pool(given), name, "Importing")

        def work() -> None:
            if url:
                self._agent.fetch(name, url)
            self._agent.register(name)
            if not self._jobs.killed:
                self._store.set_template(template, "Pending Approval")

        self._jobs.start(
            operation, work, lambda why: self._store.set_template(template, "Error", why)
        )

    def _approve(self, _: str, given: Given) -> None:
        template = self._named(given)
        if template.status != "Pending Approval":
            raise RefusedError(f"template {template.name} is {template.status}")
        self._store.set_template(template, "Active")

    def _delete(self, _: str, given: Given) -> None:
        template = self._named(given)
        if template.status == "Importing":
            raise RefusedError(f"template {template.name} is {template.status}")
        self._agent.forget(template.name)
        self._store.remove_template(template)

    def _pool(self, given: Given) -> Pool:
        return self._store.pool(given.text("serverPoolName"))

    def _named(self, given: Given) -> Template:
        return self._store.template(self._pool(given), given.text("templateName"))
