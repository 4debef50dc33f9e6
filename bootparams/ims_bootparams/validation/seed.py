"""The check of the URL of a seed that the user serves."""

from __future__ import annotations

import re

from ims_bootparams.validation.common import invalid

__all__ = ["check_seed_url"]

_MOST_PORTS = 65535
_CREDENTIALS = re.compile("[^/]*//[^/]*@")
# RFC 3986, but for what ends a value where it is told (`;`), quotes it, or is never sent (`#`).
# Schemes are compared in lower case by cloud-init, and a `%s` would be a place to fill in.
_URL = re.compile(
    r"https?://(?P<host>[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?/"
    r"([A-Za-z0-9._~!$&()*+,=:@/?-]|%[0-9A-Fa-f]{2})*(?<=/)"
)


def check_seed_url(field: str, url: str) -> None:
    """Refuse what is no URL to which a reader could append the names of its files.

    The URL itself stands in no error: it may hold a password.

    Raises:
        InvalidError: It is another kind of URL, or holds a password.
    """
    if _CREDENTIALS.match(url):
        hint = "Serve it without: who may see the hypervisor's processes could read the password."
        raise invalid(field, "it holds a user or a password", hint)
    found = _URL.fullmatch(url)
    if not found or not _can_be_asked(found["host"], found["port"]):
        hint = (
            "Write http:// or https://, a host and a path that ends in /; use %xx for all but"
            " letters, digits and ._~!$&()*+,=:@/?-"
        )
        raise invalid(field, "it is not the URL of a directory", hint)


def _can_be_asked(host: str, port: str | None) -> bool:
    if port is not None and not 1 <= int(port) <= _MOST_PORTS:
        return False
    if host.startswith("["):
        from ipaddress import IPv6Address  # noqa: PLC0415 - slow to import, for few URLs

        try:
            IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    return all(host.rstrip(".").split("."))
