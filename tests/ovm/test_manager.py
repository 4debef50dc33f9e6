"""The simulated Manager itself, with zeep as a client that knows nothing but its WSDLs."""

from __future__ import annotations

import re
import threading
from contextlib import nullcontext
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import requests
from zeep import xsd
from zeep.exceptions import Fault

from ims_dom0.vmcfg import parse
from tests.labs.ovm.server import serving
from tests.ovm.pretended import IMAGE, Client
from tests.xen.pretended import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.labs.ovm.faults import Moment
    from tests.labs.ovm.manager import Manager
    from tests.ovm.pretended import PretendedDom0


def test_a_vm_lives_and_dies(client: Client, dom0: PretendedDom0) -> None:
    client.template()
    client.create()
    vm = client.vm()
    assert client.getRealPath(vm) == str(dom0.ovs / f"running_pool/{vm.imgId}_web") == vm.location
    for operation, passing, then in (
        ("powerOn", "INITIALIZING", "RUNNING"),
        ("pause", "PAUSING", "PAUSED"),
        ("unpause", "UNPAUSING", "RUNNING"),
        ("reboot", "REBOOTING", "RUNNING"),
        ("suspend", "SUSPENDING", "SUSPENDED"),
        ("resume", "RESUMING", "RUNNING"),
        ("shutdown", "SHUTTINGDOWN", "POWEREDOFF"),
        ("powerOn", "INITIALIZING", "RUNNING"),
        ("powerOff", "SHUTTINGDOWN", "POWEREDOFF"),
    ):
        getattr(client, operation)(vm)
        assert client.status() in {passing, then}
        client.until(then)
        assert [domain["uuid"] for domain in dom0.xen.domains()] == (
            [vm.uuid] if then in {"RUNNING", "PAUSED"} else []
        )
    client.deleteVMByVMId(vm.imgId)
    wait_for(lambda: not client.getAllVMs(client.pool()))
    assert not list((dom0.ovs / "running_pool").iterdir())
    dom0.xen.check()


def test_a_vm_is_a_copy_of_its_template(client: Client, dom0: PretendedDom0) -> None:
    client.template()
    client.create(vif=[{"macAddress": "00:16:3E:00:00:0A", "bridge": "xenbr7"}])
    client.powerOn(client.vm())
    client.until("RUNNING")
    folder, seed = dom0.ovs / "running_pool/1_web", dom0.ovs / "seed_pool/tiny"
    cfg = parse((folder / "vm.cfg").read_text())
    assert (cfg["name"], cfg["memory"], cfg["maxmem"], cfg["vcpus"]) == ("1_web", 96, 96, 2)
    assert (cfg["kernel"], cfg["extra"]) == (f"{seed}/vmlinuz", "it's")
    images = (f"file:{folder}/System.img,xvda,w", f"file:{folder}/Bootparams.img,xvdb,r")
    assert cfg["disk"] == images
    assert cfg["vif"] == ("mac=00:16:3E:00:00:0A,bridge=xenbr7,type=netfront",)
    assert cfg["vfb"] == ("type=vnc,vncunused=1,vnclisten=0.0.0.0,vncpasswd=s3cret",)
    assert cfg["OVM_SIMPLE_NAME"] == "web"
    assert (folder / "System.img").read_bytes() == IMAGE
    assert "OVM" not in (folder / "vm.xl").read_text()


def test_a_card_gets_an_address(client: Client, dom0: PretendedDom0) -> None:
    client.template()
    client.create()
    text = (dom0.ovs / "running_pool/1_web/vm.cfg").read_text()
    assert re.search("mac=00:16:3E(:[0-9A-F]{2}){3},bridge=xenbr0,type=netfront'", text)


def test_what_guests_do_themselves_is_seen(client: Client, dom0: PretendedDom0) -> None:
    client.template()
    client.create()
    client.powerOn(client.vm())
    client.until("RUNNING")
    dom0.xen.tell("deaf")
    client.shutdown(client.vm())
    assert client.status() == "SHUTTINGDOWN"
    client.until("RUNNING")  # it does not listen
    (domain,) = dom0.xen.domains()
    dom0.xen.remove_foreign(domain["id"])
    assert client.status() == "POWEREDOFF"


def test_a_properties_file(client: Client, dom0: PretendedDom0) -> None:
    client.template()
    client.create()
    key, value = (xsd.AnyObject(xsd.String(), text) for text in ("a", "1 2"))
    properties = {"mapEntry": [{"key": key, "value": value}]}
    client.createPropertiesFileOnVirtualMachine(properties, client.vm(), "p.conf")
    assert (dom0.ovs / "running_pool/1_web/p.conf").read_text() == "a=1 2\n"


def test_what_there_is(client: Client) -> None:
    client.template()
    client.create()
    client.powerOn(client.vm())
    client.until("RUNNING")
    pool = client.getServerPoolByName("pool")
    metrics = client.getServerPoolMetricsByServerPoolId(pool.serverPoolId)
    assert (metrics.freeMemory, metrics.totalMemory, metrics.allocatedVCpu) == (4096, 8192, 2)
    (server,) = client.getVirtualServerByServerPool(pool.serverPoolId)
    assert (server.serverName, server.cpuNum, server.memFree) == ("dom0", 4, 4096)
    assert client.getMasterServer(pool).ip == server.ip
    (figures,) = client.getVirtualServerMetrics([server.serverId])
    assert figures.virtualServerName == "dom0"


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("getVMByName", ["pool", "nobody"]),
        ("getVMByName", ["nowhere", "web"]),
        ("deleteVMByVMId", [7]),
        ("approveTemplate", ["pool", "tiny"]),
        ("importTemplate", ["pool", "../tiny"]),
        ("importTemplateFromURL", ["pool", "it", "file:///etc"]),
        ("getAgentVersion", [1]),
    ],
)
def test_refusals(client: Client, operation: str, arguments: list[object]) -> None:
    with pytest.raises(Fault):
        getattr(client, operation)(*arguments)


def test_orders_that_are_refused(client: Client) -> None:
    with pytest.raises(Fault, match="does not exist"):
        client.order()
    client.template()
    client.create()
    for name, changes in (
        ("web", {}),
        ("a b", {}),
        ("b", {"memory": 0}),
        ("c", {"consolePassword": "a,b"}),
        ("d", {"vif": [{"macAddress": "00:16", "bridge": "xenbr0"}]}),
    ):
        with pytest.raises(Fault):
            client.order(name, **changes)
    with pytest.raises(Fault, match="is POWEREDOFF"):
        client.pause(client.vm())
    assert [vm.imgName for vm in client.getAllVMs(client.pool())] == ["web"]


def test_a_template_that_is_incomplete(client: Client, dom0: PretendedDom0) -> None:
    (dom0.ovs / "seed_pool/tiny/vmlinuz").unlink()
    client.importTemplate("pool", "tiny")
    wait_for(lambda: client.templates() == {"tiny": "Error"})
    client.deleteTemplate("pool", "tiny")
    assert not client.templates()
    assert not (dom0.ovs / "seed_pool/tiny").exists()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory, and where it is served."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path / "elsewhere"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_a_template_from_elsewhere(
    client: Client, dom0: PretendedDom0, elsewhere: tuple[Path, str]
) -> None:
    folder, url = elsewhere
    dom0.seed(folder, "far")
    (folder / "README").write_text("hello")
    client.importTemplateFromURL("pool", "far", url)
    wait_for(lambda: client.templates() == {"far": "Pending Approval"})
    assert {path.name for path in (dom0.ovs / "seed_pool/far").iterdir()} == {
        *("vm.cfg", "System.img", "Bootparams.img", "vmlinuz", "README")
    }
    (folder / "System.img").unlink()
    client.importTemplateFromURL("pool", "farther", url)
    wait_for(lambda: client.templates()["farther"] == "Error")
    assert not (dom0.ovs / "seed_pool/farther").exists()


def test_many(client: Client, manager: Manager) -> None:
    manager.store.add_many(1000, "pool")
    assert len(client.getAllVMs(client.pool())) == 1000
    assert client.status("many-0999") == "POWEREDOFF"


def test_another_manager_goes_on(dom0: PretendedDom0) -> None:
    with serving(manager := dom0.manager()) as url:
        client = Client(url)
        client.template()
        client.create("on")
        client.create("off")
        for operation in ("createVmBasedOnTemplate", "powerOn", "deleteVMByVMId"):
            manager.jobs.pace[operation] = 60
        client.order("half")
        client.powerOn(client.vm("on"))
        client.deleteVMByVMId(client.vm("off").imgId)
    with serving(dom0.manager()) as url:
        client = Client(url)
        assert (client.status("on"), client.status("half")) == ("POWEREDOFF", "ERROR")
        assert "Manager ended" in client.vm("half").comments
        wait_for(lambda: len(client.getAllVMs(client.pool())) == 2)


@pytest.mark.parametrize("moment", ["before", "after", "job"])
def test_a_manager_that_dies_at_some_moment(dom0: PretendedDom0, moment: Moment) -> None:
    with serving(manager := dom0.manager()) as url:
        client = Client(url)
        client.template()
        client.create()
        vm = client.vm()
        manager.hooks.at(moment, "powerOn", manager.die)
        with nullcontext() if moment == "job" else pytest.raises(requests.ConnectionError):
            client.powerOn(vm)
        wait_for(lambda: manager.jobs.killed)
    assert not dom0.xen.domains()
    with serving(dom0.manager()) as url:
        assert Client(url).status() == "POWEREDOFF"
