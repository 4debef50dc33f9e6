"""Runs under the real cloud-init: reads media as its NoCloud source does, and prints JSON.

Arguments are directories, each with the files of one medium. See test_nocloud.
"""

# ruff: noqa: T201

from __future__ import annotations

import base64
import copy
import json
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import cloudinit  # type: ignore[import-not-found]
from cloudinit import distros, helpers, net, sources, util
from cloudinit.config import cc_ssh, cc_write_files, schema  # type: ignore[import-not-found]
from cloudinit.distros import ug_util  # type: ignore[import-not-found]
from cloudinit.net import eni, netplan, network_state, networkd  # type: ignore[import-not-found]

CARDS = {"52:54:00:12:34:56": "ens3", "52:54:00:12:34:57": "ens4"}
RENDERERS = {
    "eni": (eni.Renderer, "etc/network/interfaces"),
    "netplan": (netplan.Renderer, "etc/netplan/50-cloud-init.yaml"),
    "networkd": (networkd.Renderer, "etc/systemd/network/*"),
}


def render(config: dict[str, Any]) -> dict[str, str]:
    texts = {}
    for name, (renderer, place) in RENDERERS.items():
        with tempfile.TemporaryDirectory() as target:
            maker = renderer()
            state = network_state.parse_net_config_data(config, skip_broken=False, renderer=maker)
            maker.render_network_state(state, target=target)
            texts[name] = "\n".join(p.read_text() for p in sorted(Path(target).glob(place)))
    return texts


def accounts(config: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    """The users that cloud-init would make on Debian, and whom it would give the keys."""
    path = Path(cloudinit.__file__).parents[5] / "etc/cloud/cloud.cfg"
    base = util.load_yaml(path.read_text())
    config = copy.deepcopy(util.mergemanydict([config, base]))  # what follows changes it
    distro = distros.fetch("debian")("debian", base["system_info"], helpers.Paths({}))
    users, _ = ug_util.normalize_users_groups(config, distro)
    default, _ = ug_util.extract_default(users)
    with mock.patch.object(cc_ssh.ssh_util, "setup_user_keys") as setup:
        cc_ssh.apply_credentials(
            keys, default, config["disable_root"], cc_ssh.ssh_util.DISABLE_USER_OPTS
        )
    given = {call.args[1]: call.kwargs.get("options") or "" for call in setup.call_args_list}
    return {"users": users, "default": default, "key_options": given}


def read(directory: str) -> dict[str, Any]:
    seed = util.pathprefix2dict(
        directory, required=["user-data", "meta-data"], optional=["network-config"]
    )
    meta_data = util.load_yaml(seed["meta-data"])
    result: dict[str, Any] = {
        "meta_data": meta_data,
        "public_keys": sources.normalize_pubkey_data(meta_data.get("public-keys")),
        "user_data": base64.b64encode(seed["user-data"]).decode(),
    }
    if "network-config" in seed:
        result["network"] = render(util.load_yaml(seed["network-config"]))
    if seed["user-data"].startswith(b"#cloud-config"):
        config = util.load_yaml(seed["user-data"], default={})
        schema.validate_cloudconfig_schema(config, strict=True)
        result["config"] = config
        result["accounts"] = accounts(config, result["public_keys"])
        result["files"] = {
            entry["path"]: base64.b64encode(
                cc_write_files.extract_contents(
                    entry["content"], cc_write_files.canonicalize_extraction(entry["encoding"])
                )
            ).decode()
            for entry in config.get("write_files", [])
        }
        if "runcmd" in config:
            result["script"] = util.shellify(config["runcmd"])
    return result


with (
    mock.patch.object(net, "get_interfaces_by_mac", return_value=CARDS),
    mock.patch.object(network_state, "get_interfaces_by_mac", return_value=CARDS),
    mock.patch.object(network_state, "find_interface_name_from_mac", side_effect=CARDS.get),
):
    print(json.dumps([read(directory) for directory in sys.argv[1:]]))
