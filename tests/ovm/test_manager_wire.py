"""What the simulated Manager makes of requests by other hands, and how it fails on demand."""

from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING

import pytest
import requests
from zeep import Transport
from zeep.exceptions import Fault
from zeep.wsse.username import UsernameToken

from tests.labs.ovm import mischief
from tests.labs.ovm.control import Control
from tests.labs.ovm.manager import Authentication
from tests.labs.ovm.server import serving
from tests.ovm.pretended import Client
from tests.xen.pretended import wait_for

if TYPE_CHECKING:
    from tests.labs.ovm.faults import Kind
    from tests.labs.ovm.manager import Manager
    from tests.ovm.pretended import PretendedDom0

OPERATION = "getServerPoolByName"
ASKED = f"<t:{OPERATION}Element><t:poolName>pool</t:poolName></t:{OPERATION}Element>"
SECONDS = 5


def ask(
    url: str,
    content: str = ASKED,
    *,
    action: str = f'"http://oracle.ovs.api//{OPERATION}"',
    content_type: str = "text/xml",
    before: str = "",
) -> requests.Response:
    """Ask by plain HTTP, without retries or a connection that is kept."""
    envelope = (
        f'{before}<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:t="http://oracle.ovs.api/types/">'
        f"<e:Body>{content}</e:Body></e:Envelope>"
    )
    headers = {"SOAPAction": action, "Content-Type": content_type}
    service = f"{url}/OVSWS/ServerPoolService"
    return requests.post(service, envelope, headers=headers, timeout=SECONDS)


def test_a_right_request(client: Client) -> None:
    answered = ask(client.url)
    assert answered.status_code == 200
    assert "<ns0:serverPoolName>pool</ns0:serverPoolName>" in answered.text


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (ASKED, {"action": "http://oracle.ovs.api//getServerPoolByName"}),
        (ASKED, {"action": '"http://oracle.ovs.api/getServerPoolByName"'}),
        (ASKED, {"action": '"http://oracle.ovs.api//getAllServerPools"'}),
        (ASKED, {"content_type": "application/soap+xml"}),
        (ASKED, {"before": "<!DOCTYPE e:Envelope>"}),
        (ASKED, {"before": "no XML"}),
        (ASKED * 2, {}),
        ("", {}),
        (ASKED.replace("poolName", "PoolName"), {}),
        (ASKED.replace("t:poolName", "poolName"), {}),
        (ASKED.replace("Element>", ">"), {}),
        (f"<t:{OPERATION}Element/>", {}),
        (ASKED.replace("</t:poolName>", "</t:poolName><t:more/>"), {}),
    ],
)
def test_a_wrong_request(client: Client, content: str, options: dict[str, str]) -> None:
    answered = ask(client.url, content, **options)
    assert answered.status_code == 500
    assert "<faultcode>env:Client</faultcode>" in answered.text


def test_the_wsdl_names_another_host(client: Client) -> None:
    wsdl = requests.get(f"{client.url}/OVSWS/ResourceService.wsdl", timeout=SECONDS)
    assert 'location="http://ovm-manager.internal:8888/OVSWS/ResourceService"' in wsdl.text
    assert requests.get(f"{client.url}/OVSWS/wire.wsdl", timeout=SECONDS).status_code == 404


@pytest.mark.parametrize(("password", "welcome"), [("right", True), ("wrong", False)])
def test_basic(dom0: PretendedDom0, password: str, welcome: bool) -> None:
    session = requests.Session()
    session.auth = ("me", password)
    with serving(dom0.manager(Authentication("basic", "me", "right"))) as url, session:
        assert ask(url).status_code == 401
        if welcome:
            assert Client(url, transport=Transport(session=session)).pool().serverPoolId == 1
        else:
            with pytest.raises(requests.HTTPError):
                Client(url, transport=Transport(session=session)).pool()


@pytest.mark.parametrize(("password", "welcome"), [("right", True), ("wrong", False)])
def test_wsse(dom0: PretendedDom0, password: str, welcome: bool) -> None:
    with serving(dom0.manager(Authentication("wsse", "me", "right"))) as url:
        assert "FailedAuthentication" in ask(url).text
        client = Client(url, wsse=UsernameToken("me", password))
        if welcome:
            assert client.pool().serverPoolId == 1
        else:
            with pytest.raises(Fault, match="FailedAuthentication"):
                client.pool()


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("fault", 500, "<faultcode>env:Server</faultcode>"),
        ("fault-after", 500, "<faultcode>env:Server</faultcode>"),
        ("500", 500, "<html>"),
        ("401", 401, "<html>"),
        ("truncate", 200, "<env:Envelope"),
        ("entity", 200, "<!ENTITY"),
    ],
)
def test_a_wrong_answer(
    client: Client, manager: Manager, kind: Kind, status: int, text: str
) -> None:
    manager.faults.add(OPERATION, kind)
    answered = ask(client.url)
    assert answered.status_code == status
    assert text in answered.text
    assert (kind != "truncate") == answered.text.endswith(("</env:Envelope>", "</html>"))
    assert ask(client.url).status_code == 200


@pytest.mark.parametrize("kind", ["drop", "drop-after", "die-after"])
def test_no_answer(client: Client, manager: Manager, kind: Kind) -> None:
    done: list[str] = []
    manager.hooks.at("after", OPERATION, lambda: done.append("done"))
    manager.faults.add(OPERATION, kind)
    with pytest.raises(requests.ConnectionError):
        ask(client.url)
    assert bool(done) == (kind != "drop")
    if kind == "die-after":
        with pytest.raises(requests.ConnectionError):
            ask(client.url)
    else:
        assert ask(client.url).status_code == 200


@pytest.mark.parametrize("kind", ["hang", "hang-after"])
def test_an_answer_that_never_comes(client: Client, manager: Manager, kind: Kind) -> None:
    manager.faults.add("ServerPoolService.wsdl", kind)
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{client.url}/OVSWS/ServerPoolService.wsdl", timeout=0.2)


def test_an_answer_that_drips(
    client: Client, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mischief, "DRIP_SECONDS", 0.05)
    manager.faults.add("*", "drip")
    with raw(client.url) as connection:
        received = [connection.recv(65536) for _ in range(4)]
    assert [len(piece) for piece in received[1:]] == [1, 1, 1]


def test_an_answer_without_end(client: Client, manager: Manager) -> None:
    manager.faults.add("*", "huge")
    with raw(client.url) as connection:
        received = 0
        while received < 4 << 20:
            received += len(connection.recv(65536))


def raw(url: str) -> socket.socket:
    """A connection on which a WSDL was asked for."""
    host, _, port = url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), SECONDS)
    connection.sendall(b"GET /OVSWS/ServerPoolService.wsdl HTTP/1.1\r\nHost: here\r\n\r\n")
    return connection


def test_a_job_that_fails(client: Client, manager: Manager, dom0: PretendedDom0) -> None:
    client.template()
    manager.faults.add("createVmBasedOnTemplate", "job-error")
    client.order()
    client.until("ERROR")
    assert client.vm().comments == "this job was to fail"
    client.deleteVMByVMId(client.vm().imgId)
    wait_for(lambda: not client.getAllVMs(client.pool()))
    client.create()
    dom0.xen.tell("fail-create", "not enough memory")
    client.powerOn(client.vm())
    client.until("ERROR")
    assert "not enough memory" in client.vm().comments
    (dom0.xen.xen / "fail-create").unlink()
    client.powerOn(client.vm())
    client.until("RUNNING")


def test_when_the_dom0_does_not_answer(client: Client, dom0: PretendedDom0) -> None:
    client.template()
    client.create()
    dom0.xen.tell("fail-list", "no Xen")
    with pytest.raises(Fault, match="no Xen"):
        client.vm()
    (dom0.xen.xen / "fail-list").unlink()
    assert client.status() == "POWEREDOFF"


def test_a_job_that_is_slow(client: Client, manager: Manager) -> None:
    client.template()
    client.create()
    steps: list[str] = []
    manager.hooks.at("after", "powerOn", lambda: steps.append(client.status()))
    manager.hooks.at("job", "powerOn", lambda: steps.append("job"))
    manager.hooks.at("done", "powerOn", lambda: steps.append("done"))
    manager.faults.add("powerOn", "slow", seconds=0.3)
    client.powerOn(client.vm())
    assert client.status() == "INITIALIZING"
    wait_for(lambda: steps == ["INITIALIZING", "job", "done"])
    assert client.status() == "RUNNING"


def test_orders_over_http(client: Client, manager: Manager) -> None:
    control = Control(client.url)
    control.clear_requests()
    control.add_fault(OPERATION, "500", 2)
    assert [ask(client.url).status_code for _ in range(3)] == [500, 500, 200]
    assert [operation for operation, _ in control.requests()] == [OPERATION] * 3
    assert manager.requests.count(OPERATION) == 3
    control.add_fault("*", "500", -1)
    control.clear_faults()
    control.pace(powerOn=1.5)
    control.add_many(2, "pool")
    assert ask(client.url).status_code == 200
    assert manager.jobs.pace == {"powerOn": 1.5}
    assert len(manager.store.vms(manager.store.pool("pool"))) == 2


def test_a_connection_is_kept(dom0: PretendedDom0) -> None:
    with serving(dom0.manager()) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=SECONDS)
        for _ in range(2):
            connection.request("GET", "/OVSWS/LifecycleService.wsdl")
            assert connection.getresponse().read().endswith(b"</definitions>\n")
    connection.close()  # which did not keep the Manager from its end
