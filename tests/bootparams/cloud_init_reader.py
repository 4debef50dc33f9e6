"""Runs under the real cloud-init: reads media as its sources do, and prints JSON.

Arguments are KIND:DIRECTORY, each with the files of one medium of that kind. See cloud_init.py.
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
from cloudinit import distros, dmi, helpers, net, sources, url_helper, user_data, util
from cloudinit.config import cc_ssh, cc_write_files, schema  # type: ignore[import-not-found]
from cloudinit.distros import ug_util  # type: ignore[import-not-found]
from cloudinit.handlers.cloud_config import (  # type: ignore[import-not-found]
    CloudConfigPartHandler,
)
from cloudinit.net import eni, netplan, network_state, networkd  # type: ignore[import-not-found]
from cloudinit.sources import (  # type: ignore[import-not-found]
    DataSourceConfigDrive,
    DataSourceNoCloud,
    DataSourceOpenNebula,
    DataSourceOVF,
)
from cloudinit.sources.helpers import openstack  # type: ignore[import-not-found]

CARDS = {"52:54:00:12:34:56": "ens3", "52:54:00:12:34:57": "ens4"}
RENDERERS = {
    "eni": (eni.Renderer, "etc/network/interfaces"),
    "netplan": (netplan.Renderer, "etc/netplan/50-cloud-init.yaml"),
    "networkd": (networkd.Renderer, "etc/systemd/network/*"),
}


def b64(data: bytes | str) -> str:
    if isinstance(data, str):  # bytes that are no text are in it as surrogates
        data = data.encode(errors="surrogateescape")
    return base64.b64encode(data).decode()


def rendered(config: dict[str, Any]) -> dict[str, str]:
    texts = {}
    for name, (renderer, place) in RENDERERS.items():
        with tempfile.TemporaryDirectory() as target:
            maker = renderer()
            state = network_state.parse_net_config_data(config, skip_broken=False, renderer=maker)
            maker.render_network_state(state, target=target)
            texts[name] = "\n".join(p.read_text() for p in sorted(Path(target).glob(place)))
    return texts


def accounts(config: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    """The users that cloud-init would make on Debian, whom it would give the keys, and how."""
    path = Path(cloudinit.__file__).parents[5] / "etc/cloud/cloud.cfg"
    base = util.load_yaml(path.read_text())
    config = copy.deepcopy(util.mergemanydict([config, base]))  # what follows changes it
    distro = distros.fetch("debian")("debian", base["system_info"], helpers.Paths({}))
    users, _ = ug_util.normalize_users_groups(config, distro)
    default, _ = ug_util.extract_default(users)
    ssh = cc_ssh.ssh_util
    with (
        mock.patch.object(ssh, "setup_user_keys", wraps=ssh.setup_user_keys) as setup,
        mock.patch.object(ssh, "extract_authorized_keys", side_effect=lambda user: (user, [])),
        mock.patch.object(ssh.util, "write_file") as write,
    ):
        keys = keys + config.get("ssh_authorized_keys", [])
        cc_ssh.apply_credentials(keys, default, config["disable_root"], ssh.DISABLE_USER_OPTS)
    given = {call.args[1]: call.kwargs.get("options") or "" for call in setup.call_args_list}
    lines = {call.args[0]: sorted(call.args[1].splitlines()) for call in write.call_args_list}
    return {"users": users, "default": default, "key_options": given, "authorized_keys": lines}


def processed(raw: bytes | str) -> tuple[dict[str, Any], list[list[str]]]:
    """The merged cloud-config, and every other part as its type and its base64."""
    with tempfile.TemporaryDirectory() as folder:
        paths = helpers.Paths({"cloud_dir": folder, "run_dir": folder})
        handler = CloudConfigPartHandler(paths)
        handler.cloud_fn = None
        others = []
        for part in user_data.UserDataProcessor(paths).process(raw).walk():
            kind = part.get_content_type()
            if part.is_multipart():
                continue
            payload = util.fully_decoded_payload(part)
            if kind == "text/cloud-config":
                handler.handle_part(None, kind, "part", payload, None, part)
                handler.file_names.append("part")
            else:
                others.append([kind, b64(payload)])
        return handler.cloud_buf or {}, others


def read_nocloud(directory: str) -> dict[str, Any]:
    seed = util.pathprefix2dict(
        directory,
        required=["user-data", "meta-data"],
        optional=["network-config", "vendor-data"],
    )
    network = seed.get("network-config")
    return {
        "meta_data": util.load_yaml(seed["meta-data"]),
        "user_data": seed["user-data"],
        "vendor_data": seed["vendor-data"],
        "network": util.load_yaml(network) if network else None,
    }


def read_configdrive(directory: str) -> dict[str, Any]:
    found = DataSourceConfigDrive.read_config_drive(directory)
    network = found.get("networkdata")
    return {
        "meta_data": found["metadata"],
        "user_data": found["userdata"],
        "vendor_data": sources.convert_vendordata(found["vendordata"]),
        "network": openstack.convert_net_json(network, known_macs=CARDS) if network else None,
        "injected": {path: b64(content) for path, content in found.get("files", {}).items()},
        "ec2": found.get("ec2-metadata"),
        "version": found["version"],
    }


def read_opennebula(directory: str) -> dict[str, Any]:
    distro = mock.Mock()
    distro.networking.is_physical.return_value = True
    with mock.patch.object(DataSourceOpenNebula, "get_physical_nics_by_mac", return_value=CARDS):
        found = DataSourceOpenNebula.read_context_disk_dir(directory, distro)
    return {
        "meta_data": found["metadata"],
        "user_data": found["userdata"],
        "vendor_data": None,
        "network": found.get("network-interfaces"),
    }


def read_configdrive_v1(directory: str) -> dict[str, Any]:
    found = DataSourceConfigDrive.read_config_drive(directory)
    meta_data = found["metadata"]
    return {
        "meta_data": {key: meta_data.get(key) for key in ("instance-id", "public-keys")},
        "user_data": found["userdata"],
        "vendor_data": None,
        "network": found.get("networkdata"),  # it reads none
        "dsmode": found["dsmode"],
        "version": found["version"],
    }


def read_ovf(directory: str) -> dict[str, Any]:
    name, contents = DataSourceOVF.get_ovf_env(directory)
    source = object.__new__(DataSourceOVF.DataSourceOVF)
    source.metadata, raw, config = DataSourceOVF.read_ovf_environment(contents, True)
    assert not config, "no property is a password"
    network = source.metadata.pop("network-config", None)
    return {
        "meta_data": source.metadata | {"public-keys": source.get_public_ssh_keys()},
        "user_data": raw,
        "vendor_data": None,
        "network": network,
        "name": name,
        "properties": DataSourceOVF.get_properties(contents),
    }


SEED = {
    "meta-data": b"{instance-id: theirs, local-hostname: theirs, public-keys: [ssh-rsa theirs]}",
    "user-data": b"#cloud-config\n{runcmd: [theirs]}\n",
    "vendor-data": b"",
}


def read_nocloud_net(directory: str) -> dict[str, Any]:
    """On a machine with that serial number, where each URL is answered by the name at its end."""
    serial = Path(directory, "serial").read_text()
    fetched = []

    def fetch(url: str, **_options: object) -> url_helper.StringResponse:
        fetched.append(url)
        return url_helper.StringResponse(SEED[url.rpartition("/")[2]])

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(dmi, "read_dmi_data", return_value=serial),
        mock.patch.object(util, "get_cmdline", return_value="ro"),
        mock.patch.object(util, "find_devs_with", return_value=[]),
        mock.patch.object(url_helper, "read_file_or_url", side_effect=fetch),
    ):
        paths = helpers.Paths({"cloud_dir": folder, "run_dir": folder})
        kinds = (DataSourceNoCloud.DataSourceNoCloud, DataSourceNoCloud.DataSourceNoCloudNet)
        before, after = (kind({}, None, paths) for kind in kinds)
        early = before._get_data()
        assert after._get_data()
    return {
        "meta_data": after.metadata,
        "user_data": after.userdata_raw,
        "vendor_data": None,
        "network": after.network_config,
        "before_network": early,
        "fetched": fetched,
    }


READERS = {
    "nocloud": read_nocloud,
    "nocloud-v1": read_nocloud,
    "configdrive": read_configdrive,
    "opennebula": read_opennebula,
    "configdrive-v1": read_configdrive_v1,
    "ovf": read_ovf,
    "nocloud-net": read_nocloud_net,
}


def read(argument: str) -> dict[str, Any]:
    kind, _, directory = argument.partition(":")
    seen = READERS[kind](directory)
    meta_data = seen["meta_data"]
    raw = seen.pop("user_data")
    vendor, network = seen.pop("vendor_data"), seen.pop("network")
    keys = meta_data.get("public-keys") or meta_data.get("public_keys")
    config, others = processed(raw)
    schema.validate_cloudconfig_schema(config, strict=True)
    result = seen | {
        "public_keys": sources.normalize_pubkey_data(keys),
        "user_data": b64(raw),
        "config": config,
        "others": others,
        "accounts": accounts(config, sources.normalize_pubkey_data(keys)),
        "files": {
            entry["path"]: b64(
                cc_write_files.extract_contents(
                    entry["content"], cc_write_files.canonicalize_extraction(entry["encoding"])
                )
            )
            for entry in config.get("write_files", [])
        },
    }
    if vendor is not None:
        result["vendor_config"], result["vendor_others"] = processed(vendor)
        merged = util.mergemanydict([config, result["vendor_config"]])
        result["accounts"] = accounts(merged, result["public_keys"])
    if network is not None:
        result["network"] = rendered(network)
    if "runcmd" in config:
        result["script"] = util.shellify(config["runcmd"])
    return result


with (
    mock.patch.object(net, "get_interfaces_by_mac", return_value=CARDS),
    mock.patch.object(network_state, "get_interfaces_by_mac", return_value=CARDS),
    mock.patch.object(network_state, "find_interface_name_from_mac", side_effect=CARDS.get),
):
    print(json.dumps([read(argument) for argument in sys.argv[1:]]))
