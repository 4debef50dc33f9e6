"""The lab's own storage pool and network in libvirt, made through virsh."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.labs import LabError

URI = "qemu:///system"
POOL = "ims-lab"
POOL_PATH = "/var/lib/libvirt/ims-lab"
NETWORK = "ims-lab"
BRIDGE = "virbr-ims"
#: The network; .1 is the host, .100-.254 are given out by DHCP, .2-.99 are free for static use.
SUBNET = "192.168.177.0/24"
GATEWAY = "192.168.177.1"
#: libvirt's own network, on which a VM made with no configuration at all is put.
DEFAULT_NETWORK = "default"

# With ids of our own, defining them anew changes them instead of clashing with them.
_POOL_XML = f"""\
<pool type='dir'>
  <name>{POOL}</name>
  <uuid>5b0b5d0c-6f5e-4f55-9c55-1a7d6c3e0a01</uuid>
  <target><path>{POOL_PATH}</path><permissions><mode>0711</mode></permissions></target>
</pool>
"""

# No spanning tree and no forward delay, or a guest's first seconds of DHCP would be lost;
# and dnsmasq is not to try an address for three seconds before it gives it out. Leases are short:
# a test or a benchmark that starts a hundred guests must not leave the next without addresses.
_NETWORK_XML = f"""\
<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>
  <name>{NETWORK}</name>
  <uuid>5b0b5d0c-6f5e-4f55-9c55-1a7d6c3e0a02</uuid>
  <forward mode='nat'/>
  <bridge name='{BRIDGE}' stp='off' delay='0'/>
  <ip address='{GATEWAY}' netmask='255.255.255.0'>
    <dhcp>
      <range start='192.168.177.100' end='192.168.177.254'>
        <lease expiry='5' unit='minutes'/>
      </range>
    </dhcp>
  </ip>
  <dnsmasq:options><dnsmasq:option value='no-ping'/></dnsmasq:options>
</network>
"""
_STREAM_SECONDS = 30.0
_LEASES = Path(f"/var/lib/libvirt/dnsmasq/{BRIDGE}.status")


def virsh(*arguments: str, xml: str | None = None) -> str:
    """Run virsh on the lab's URI, ``xml`` on its standard input, and return what it prints."""
    try:
        result = subprocess.run(
            ["virsh", "--quiet", "--connect", URI, *arguments],
            input=xml or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    except FileNotFoundError:
        raise LabError("virsh is not installed; run: python3 -m tests.labs.packages kvm") from None
    except subprocess.TimeoutExpired as error:
        raise LabError(f"virsh {' '.join(arguments)}: no answer in {error.timeout:g} s") from error
    if result.returncode != 0:
        raise LabError(f"virsh {' '.join(arguments)}: {result.stderr.strip()}")
    return result.stdout


def refresh_pool(pool: str) -> None:
    """Have libvirt look at the files of a pool.

    It refuses as long as it sends or receives one, and for a process that was killed that ends a
    little later than the process.
    """
    deadline = time.monotonic() + _STREAM_SECONDS
    while True:
        try:
            virsh("pool-refresh", pool)
        except LabError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def names(kind: str, *options: str) -> list[str]:
    """Return what ``virsh <kind>-list --name`` lists; for domains the kind is empty."""
    command = f"{kind}-list" if kind else "list"
    return virsh(command, "--name", *options).split()


def provide() -> None:
    """Make and start the lab's pool and network; start the network ``default`` if it exists."""
    virsh("pool-define", "/dev/stdin", xml=_POOL_XML)
    if POOL not in names("pool"):
        virsh("pool-build", POOL)
        virsh("pool-start", POOL)
    # A network that runs keeps its old definition until it is started again.
    virsh("net-define", "/dev/stdin", xml=_NETWORK_XML)
    networks = names("net", "--all")
    running = names("net")
    for network in (NETWORK, DEFAULT_NETWORK):
        if network in networks and network not in running:
            if network == NETWORK:  # whose guests are gone
                _LEASES.unlink(missing_ok=True)
            virsh("net-start", network)


def stop_networks() -> None:
    """Take down the networks that :func:`provide` started, with their dnsmasq."""
    for network in set(names("net")) & {NETWORK, DEFAULT_NETWORK}:
        virsh("net-destroy", network)
