"""What becomes of a Manager that fails, lies or listens: our errors, and no word of a password."""

from __future__ import annotations

import base64
import logging
import re
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ims_core.errors import AccessDeniedError, HypervisorError, ImsError, UnavailableError
from ims_ovm.wire import transport
from tests.labs.ovm.manager import Authentication
from tests.labs.ovm.server import serving
from tests.ovm.answering import (
    ENVELOPE,
    HTML,
    Answer,
    Asked,
    answering,
    client_of,
    forwarded,
    manager_of,
    saying,
    speaking,
    wsdl_of,
)
from tests.ovm.provided import PretendedOvm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ims_ovm.wire.client import Client
    from tests.labs.ovm.faults import Kind
    from tests.labs.ovm.manager import Manager
    from tests.ovm.pretended import PretendedDom0

PASSWORD = "Gr\u00fc\u00dfe pa55w0rd \u20ac"  # noqa: S105 - of a thing that only pretends
CONSOLE = "c0ns0le-s3cret"
PATIENCE, LONG = 0.4, 20.0
LAUGHS = '<!DOCTYPE e [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
)

#: A kind of fault: the error's class, code and exit status, and what it says.
FAULTS: dict[Kind, tuple[type[ImsError], str, int, str]] = {
    "fault": (HypervisorError, "manager-refused", 10, "this was to fail"),
    "fault-after": (HypervisorError, "manager-refused", 10, "this was done, and then failed"),
    "500": (UnavailableError, "manager-failed", 6, "HTTP 500"),
    "401": (AccessDeniedError, "access-denied", 6, "refuses user 'me' (HTTP 401)"),
    "hang": (UnavailableError, "no-answer", 6, "within 0.4 s; what it did is not known"),
    "hang-after": (UnavailableError, "no-answer", 6, "within 0.4 s"),
    "drip": (UnavailableError, "no-answer", 6, "within 0.4 s"),
    "drop": (UnavailableError, "hypervisor-unavailable", 6, "closed connection"),
    "drop-after": (UnavailableError, "hypervisor-unavailable", 6, "closed connection"),
    "die-after": (UnavailableError, "hypervisor-unavailable", 6, ""),
    "truncate": (HypervisorError, "bad-answer", 10, "cannot be read: it is no XML"),
    "huge": (HypervisorError, "output-too-large", 10, "larger than 1 MiB"),
    "entity": (HypervisorError, "bad-answer", 10, "document type"),
}


@pytest.fixture
def manager(dom0: PretendedDom0) -> Manager:
    """One that lets in who knows the password, with a VM whose console has one as well."""
    made = dom0.manager(Authentication("basic", "me", PASSWORD))
    pool = made.store.pool("pool")
    options = {"status": "POWEREDOFF", "memory": 64, "cpus": 1}
    made.store.add_vm(pool, "web", vnc_password=CONSOLE, **options)  # type: ignore[arg-type]
    return made


@pytest.fixture
def url(manager: Manager) -> Iterator[str]:
    with serving(manager) as url:
        yield url


def known(url: str, **changed: Any) -> Client:
    """A client of who knows the password."""
    return client_of(url, **{"auth": "basic", "user": "me", "password": PASSWORD, **changed})


@pytest.fixture
def listening(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that anybody logs."""
    caplog.set_level(logging.DEBUG)
    return caplog


def refuse_secrets(caplog: pytest.LogCaptureFixture, *shown: object) -> None:
    """Neither password, in no form, was logged or is shown."""
    basic = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    text = caplog.text + "".join(f"{each!s}{each!r}" for each in shown)
    for secret in (PASSWORD, repr(PASSWORD.encode())[2:-1], basic, CONSOLE):
        assert secret not in text


def refuse_secrets_of(caplog: pytest.LogCaptureFixture, error: ImsError) -> None:
    shown = error.to_json()
    assert shown["cause"] == ""
    assert error.__suppress_context__ or error.__context__ is None  # no traceback shows more
    refuse_secrets(caplog, error, shown)


@pytest.mark.parametrize("changing", [False, True], ids=["reading", "changing"])
@pytest.mark.parametrize("kind", FAULTS)
def test_every_fault_is_one_of_our_errors_in_time_and_without_a_password(
    manager: Manager,
    url: str,
    kind: Kind,
    *,
    changing: bool,
    listening: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cls, code, status, says = FAULTS[kind]
    monkeypatch.setattr(transport, "MAX_ANSWER", 1 << 20)
    ours = manager_of(
        known(
            url,
        )
    )
    (vm,) = ours.images()
    assert vm.password == CONSOLE
    ours = manager_of(known(url, seconds=PATIENCE if code == "no-answer" else LONG))
    ours.client.service("VirtualMachineService")
    manager.faults.add("powerOn" if changing else "getVMByName", kind)
    key, values = ("power_on", [vm.raw]) if changing else ("vm", ["pool", "web"])
    begun = time.monotonic()
    with pytest.raises(ImsError) as caught:
        ours.client.call(key, *values, subject="VM web")
    assert time.monotonic() - begun < PATIENCE + 3
    error = caught.value
    assert (type(error), error.code, error.exit_status) == (cls, code, status)
    assert says in error.message
    if cls is HypervisorError and code != "output-too-large":
        assert "VM web" in error.message
    else:
        assert url in error.message
    refuse_secrets_of(listening, error)
    if kind == "401":
        assert "password" in error.hint


@pytest.mark.parametrize("kind", FAULTS)
def test_every_fault_of_a_wsdl_is_one_as_well(
    manager: Manager, url: str, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls, code, status, _ = FAULTS[kind]
    if code == "bad-answer":
        code = "wsdl-unreadable"
    if kind in ("fault", "fault-after"):
        cls, code, status = UnavailableError, "manager-failed", 6
    monkeypatch.setattr(transport, "MAX_ANSWER", 1 << 20)
    manager.faults.add("ServerPoolService.wsdl", kind)
    begun = time.monotonic()
    with pytest.raises(ImsError) as caught:
        _ = manager_of(known(url, seconds=PATIENCE if code == "no-answer" else LONG)).pool
    assert time.monotonic() - begun < PATIENCE + 3
    error = caught.value
    assert (type(error), error.code, error.exit_status) == (cls, code, status)
    if kind != "die-after":
        assert manager_of(known(url)).pool.serverPoolName == "pool"


@pytest.mark.parametrize("auth", ["basic", "wsse", "none"])
def test_each_authentication_is_that_of_a_manager_which_demands_it(
    dom0: PretendedDom0, auth: str, listening: pytest.LogCaptureFixture
) -> None:
    demanded = Authentication(auth, "me", PASSWORD)  # type: ignore[arg-type]
    with serving(dom0.manager(demanded)) as url:
        client = known(url, auth=auth)
        assert manager_of(client).images() == []
        if auth == "wsse":
            shown = client.message("vms", manager_of(client).pool)
            assert "getAllVMsElement" in shown
            refuse_secrets(listening, shown)
        refuse_secrets(listening, client, vars(client), vars(client).values())


@pytest.mark.parametrize("auth", ["basic", "wsse"])
def test_a_wrong_password_is_no_access_and_says_whose(
    dom0: PretendedDom0, auth: str, listening: pytest.LogCaptureFixture
) -> None:
    demanded = Authentication(auth, "me", "another")  # type: ignore[arg-type]
    with serving(dom0.manager(demanded)) as url, pytest.raises(AccessDeniedError) as caught:
        manager_of(known(url, auth=auth)).images()
    assert "'me'" in caught.value.message
    assert {"`user`", "`auth`"} <= set(caught.value.hint.replace(",", " ").split())
    refuse_secrets_of(listening, caught.value)


@pytest.mark.parametrize("auth", ["basic", "wsse"])
def test_a_fault_that_repeats_the_request_is_shown_without_its_passwords(
    auth: str, listening: pytest.LogCaptureFixture
) -> None:
    def parrot(asked: Asked) -> Answer:
        if asked.method == "GET":
            return wsdl_of(asked)
        said = re.sub("<[^>]*>", " ", asked.body.decode())
        text = f"<faultcode>e:Server</faultcode><faultstring>not {said}</faultstring>"
        return Answer(ENVELOPE.format(f"<e:Fault>{text}</e:Fault>"), 500)

    with answering(parrot) as site:
        client = known(site.url, auth=auth)
        order = client.make("TemplateVmConfig", vmName="web", consolePassword=CONSOLE)
        with pytest.raises(HypervisorError, match=r"VM web: the Manager refused: not .*") as caught:
            client.call("create_vm", order, subject="VM web")
    assert "web" in caught.value.message
    assert "…" in caught.value.message
    refuse_secrets_of(listening, caught.value)


def test_a_site_s_own_name_of_a_password_is_known_for_one(
    listening: pytest.LogCaptureFixture,
) -> None:
    def parrot(asked: Asked) -> Answer:
        return Answer(
            ENVELOPE.format(f"<e:Fault><faultstring>{CONSOLE} is weak</faultstring></e:Fault>"), 500
        )

    with answering(lambda asked: absent(asked) or parrot(asked)) as site:
        client = client_of(site.url, fields={"TemplateVmConfig.consolePassword": "pin"})
        order = client.make("TemplateVmConfig", consolePassword=CONSOLE)
        with pytest.raises(HypervisorError, match=": … is weak") as caught:
            client.call("create_vm", order, subject="VM web")
    refuse_secrets_of(listening, caught.value)


def absent(asked: Asked) -> Answer | None:
    return Answer("", 404, HTML) if asked.method == "GET" else None


@pytest.mark.parametrize(
    ("answer", "cls", "code", "says"),
    [
        (Answer("<html><p>Welcome</html>", kind=HTML), HypervisorError, "bad-answer", "no XML"),
        (Answer("<html>Welcome</html>", kind=HTML), HypervisorError, "bad-answer", "nothing"),
        (Answer(""), HypervisorError, "bad-answer", "no XML"),
        (Answer("", 202), HypervisorError, "hypervisor-error", "HTTP 202"),
        (Answer("", 204), HypervisorError, "hypervisor-error", "HTTP 204"),
        (Answer(ENVELOPE.format("")), HypervisorError, "bad-answer", "nothing"),
        (Answer(ENVELOPE.format("<other/>")), HypervisorError, "bad-answer", "other"),
        (
            Answer(ENVELOPE.format("<getAllServerPoolsResponseElement/>")),
            HypervisorError,
            "bad-answer",
            "getAllServerPoolsResponseElement",
        ),
        (Answer("<busy/>", 503), UnavailableError, "manager-failed", "HTTP 503"),
        (Answer("<what/>", 500), HypervisorError, "bad-answer", "nothing"),
        (Answer("", 500), HypervisorError, "bad-answer", "no XML"),
        (Answer("<no/>", 403), AccessDeniedError, "access-denied", "HTTP 403"),
        (Answer("<no/>", 404), HypervisorError, "hypervisor-error", "HTTP 404"),
        (
            Answer(f"{LAUGHS}]>" + ENVELOPE.format("<r>&j;</r>")),
            HypervisorError,
            "bad-answer",
            "cannot be read",
        ),
        (
            Answer(ENVELOPE.format("<e:Fault/>"), 500),
            HypervisorError,
            "manager-refused",
            "refused: ",
        ),
        (
            Answer(ENVELOPE.format("<r>" * 5000 + "</r>" * 5000)),
            HypervisorError,
            "bad-answer",
            "cannot be read",
        ),
    ],
)
def test_what_is_no_answer_is_never_taken_for_one_without_vms(
    answer: Answer, cls: type[ImsError], code: str, says: str
) -> None:
    def answers(asked: Asked) -> Answer:
        if asked.method == "GET":
            return wsdl_of(asked)
        if b"getServerPoolByNameElement" in asked.body:
            pool = "<serverPoolId>1</serverPoolId><serverPoolName>pool</serverPoolName>"
            name = "getServerPoolByNameResponseElement"
            return Answer(ENVELOPE.format(f"<{name}><result>{pool}</result></{name}>"))
        return answer

    with answering(answers) as site, pytest.raises(ImsError) as caught:
        manager_of(client_of(site.url)).images()
    error = caught.value
    assert (type(error), error.code) == (cls, code), error
    assert says in error.message
    assert len(error.message) < 700


@pytest.mark.parametrize("of", ["GET", "POST"])
def test_a_redirect_is_not_followed_and_the_password_goes_nowhere_else(of: str) -> None:
    with answering(lambda _: Answer()) as elsewhere:
        away = Answer("<a/>", 307, headers={"Location": f"{elsewhere.url}/OVSWS/there"})

        def answers(asked: Asked) -> Answer:
            return away if asked.method == of else wsdl_of(asked)

        with answering(answers) as site, pytest.raises(HypervisorError, match="HTTP 307"):
            _ = manager_of(known(site.url)).pool
        assert site.asked[-1].method == of
    assert elsewhere.asked == []


def test_no_proxy_and_no_netrc_of_the_environment_s(
    manager: Manager, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password stolen\n")
    netrc.chmod(0o600)
    with answering(lambda _: Answer()) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
        assert manager_of(known(url)).pool.serverPoolId == 1
        with answering(lambda _: Answer("", 401)) as site:
            with pytest.raises(AccessDeniedError):
                _ = manager_of(client_of(site.url)).pool
            assert "Authorization" not in site.asked[0].headers
    assert proxy.asked == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that only itself vouches for, and its key."""
    both = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", both, "-out", both.with_name("only.pem")),
        ],
        check=True,
        capture_output=True,
    )
    both.write_bytes(both.read_bytes() + both.with_name("only.pem").read_bytes())
    return both


def test_https_with_an_authority_of_the_site_s_own(
    url: str, certificate: Path, manager: Manager
) -> None:
    ca = str(certificate.with_name("only.pem"))
    with answering(lambda asked: forwarded(url, asked), certificate) as site:
        assert manager_of(known(site.url, ca_file=ca)).pool.serverPoolId == 1
        manager.requests.clear()
        with pytest.raises(UnavailableError, match=r"TLS failed: .*self.signed") as caught:
            _ = manager_of(known(site.url)).pool
        assert "ca_file" in caught.value.hint
        other = site.url.replace("localhost", "127.0.0.1")
        with pytest.raises(UnavailableError, match=r"TLS failed: .*127\.0\.0\.1"):
            _ = manager_of(known(other, ca_file=ca)).pool
    assert manager.requests.all() == []


def test_nobody_there_is_said_with_the_address_and_the_reason() -> None:
    with answering(lambda _: Answer()) as site:
        pass
    with pytest.raises(UnavailableError, match="Connection refused") as caught:
        _ = manager_of(client_of(site.url)).pool
    assert site.url in caught.value.message


def test_eight_threads_share_one_client(manager: Manager, url: str) -> None:
    manager.store.add_many(20, "pool")
    ours = manager_of(known(url))
    found: list[int] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait(10)
        for _ in range(3):
            images = ours.images()
            found.append(len({each.uuid for each in images}))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert found == [21] * 24
    assert manager.requests.count("VirtualMachineService.wsdl") == 1


def test_what_the_manager_says_of_a_vm_may_be_strange_and_spoils_no_other() -> None:
    status = "<status><code>{}</code><status>{}</status><vmId>1</vmId></status>"
    vms = [
        "<imgName>whole</imgName><imgId>1</imgId><uuid>AB</uuid><memory>64</memory>"
        + status.format(13, "RUNNING"),
        # No id, no UUID, no status.
        "<imgName>none</imgName>",
        '<imgName>nil</imgName><imgId i:nil="true"/><uuid i:nil="1"/><status i:nil="true"/>',
        "<imgId>lots</imgId><memory>much</memory><uuid>cd</uuid>" + status.format("x", "Lost"),
        "<more>1</more><uuid>ef</uuid><deeper><imgId>9</imgId></deeper><imgName>more</imgName>",
        "",
    ]
    results = "".join(f"<result>{each}</result>" for each in vms)
    answers = {
        "getServerPoolByName": "<result><serverPoolName>pool</serverPoolName></result>",
        "getAllVMs": results,
    }
    with answering(speaking(answers)) as site:
        images = manager_of(client_of(site.url)).images()
    assert [each.name for each in images] == ["whole", "none", "nil", "", "more", ""]
    assert [each.id for each in images] == [1, None, None, None, None, None]
    assert [each.uuid for each in images] == ["ab", "", "", "cd", "ef", ""]
    assert [str(each.status) for each in images] == ["RUNNING", *["UNKNOWN"] * 5]
    assert [each.memory for each in images] == [64 << 20, *[None] * 5]


def test_vms_without_a_uuid_are_listed_each(dom0: PretendedDom0, manager: Manager) -> None:
    told = {
        "getAllServerPools": "<result><serverPoolName>pool</serverPoolName></result>",
        "getAllVMs": "".join(f"<result><imgName>{name}</imgName></result>" for name in "abc"),
    }
    with answering(speaking(told)) as site:
        provider = PretendedOvm(dom0, manager, site.url).provider()
        assert [(each.name, each.mark) for each in provider.inspect()] == [
            ("a", None),
            ("b", None),
            ("c", None),
        ]
        provider.close()
    manager.close()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_any_number_of_results_is_a_list(count: int) -> None:
    answers = {
        "getServerPoolByName": "<result><serverPoolName>pool</serverPoolName></result>",
        "getAllVMs": "<result><imgName>web</imgName></result>" * count,
    }
    with answering(speaking(answers)) as site:
        assert len(manager_of(client_of(site.url)).images()) == count


def test_a_number_that_is_none_prints_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    code = (
        "from tests.ovm.answering import *\n"
        "told = {'getServerPoolMetricsByServerPoolId':"
        " '<result><freeMemory>all of it</freeMemory></result>'}\n"
        "with answering(speaking(told)) as site:\n"
        "    print(client_of(site.url).call('pool_metrics', 1, subject='pool').freeMemory)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert capfd.readouterr() == ("None\n", "")


def test_a_truncated_answer_is_not_shown_as_fewer_vms(url: str, manager: Manager) -> None:
    manager.store.add_many(50, "pool")
    ours = manager_of(known(url))
    assert len(ours.images()) == 51
    manager.faults.add("getAllVMs", "truncate")
    with pytest.raises(HypervisorError, match=r"getAllVMs.* cannot be read"):
        ours.images()


def test_the_plan_of_a_vm_shows_no_password() -> None:
    with answering(saying("")) as site:
        client = known(site.url, auth="wsse")
        order = client.make("TemplateVmConfig", vmName="web", consolePassword="…")
        assert "web" in client.message("create_vm", order)
        assert "Security" not in client.message("create_vm", order)
