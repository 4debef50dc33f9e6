"""The OVM lab as tests use it: the tiny guest is its template, and dom0 itself is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.labs.ovm import AUTHENTICATION, POOL
from tests.xen import conftest as xen

if TYPE_CHECKING:
    from pathlib import Path

    from tests.labs.ovm import OvmLab

__all__ = ["TEMPLATE", "Lab", "settings_of", "write_config"]

TEMPLATE = "jeos-under-test"


class Lab(xen.Lab):
    """A state directory of its own on the OVM lab."""

    def leftovers(self) -> set[str]:
        """Everything that IMS or the Manager could have made."""
        return leftovers(self.dom0)


def leftovers(dom0: Any) -> set[str]:
    """Domains, their keys in xenstore, and files of the repository but for which one it is."""
    told = dom0.run(
        "xl list | awk 'NR > 1 { print \"domain \" $1 }';"
        " for id in $(xenstore-list /local/domain); do"
        ' echo "xenstore $(xenstore-read /local/domain/$id/name)"; done;'
        " find /OVS -type f ! -path /OVS/ims/id -printf 'file %p\\n';"
        " grep -o ' /OVS[^ ]*' /proc/mounts; losetup -l -n -O BACK-FILE;"
        " find /var/log/xen/console -name 'guest-*' -printf 'log %f\\n' 2>/dev/null; :"
    )
    return set(told.splitlines())


def settings_of(lab: OvmLab, folder: Path) -> dict[str, Any]:
    """What the lab's pool is opened with; the password's file is made in that folder."""
    password = folder / "password"
    password.write_text(f"{AUTHENTICATION.password}\n")
    password.chmod(0o600)
    dom0 = {**xen.settings_of(lab.dom0), "directory": "/OVS"}
    return {
        **dom0,
        "manager": lab.manager.url,
        "manager_user": AUTHENTICATION.user,
        "password_file": str(password),
        "server_pool": POOL,
    }


def write_config(folder: Path, lab: OvmLab, /, **changed: object) -> Path:
    """An ims.toml whose default pool is the lab."""
    settings = {**settings_of(lab, folder), **changed}
    lines = [f"{word} = {json.dumps(value)}" for word, value in settings.items()]
    path = folder / "ims.toml"
    path.write_text(
        'default_pool = "lab"\n[pools.lab]\nprovider = "ovm"\n'
        f'template = "{TEMPLATE}"\n' + "\n".join(lines) + "\n"
    )
    return path
