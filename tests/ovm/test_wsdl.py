"""Where WSDLs come from: the configured Manager alone, a file of the day, or our own table."""

from __future__ import annotations

import os
import stat
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import HypervisorError, ImsError, UnavailableError
from ims_core.undo import Undo
from ims_ovm.compare import compare
from ims_ovm.wire.table import DEFAULT
from ims_ovm.wire.wsdl import wsdl
from tests.labs.ovm.manager import Authentication
from tests.labs.ovm.server import serving
from tests.ovm.answering import (
    HTML,
    Answer,
    Asked,
    answering,
    client_of,
    forwarded,
    manager_of,
    without_wsdl,
    wsdl_of,
)
from tests.ovm.provided import PretendedOvm, archive_of, delivery_of, imported, mark_of, spec_of

if TYPE_CHECKING:
    from pathlib import Path

    from ims_core.errors import ImsError as Error
    from tests.labs.ovm.manager import Manager
    from tests.ovm.pretended import PretendedDom0

SERVICES = ("ServerPoolService", "VirtualMachineService", "LifecycleService", "ResourceService")
PASSWORD = "hunter2 in no file"  # noqa: S105 - of a thing that only pretends


def altered(old: str, new: str) -> Answer:
    """The table's WSDL of the server pools with another text in it."""
    text = wsdl(DEFAULT, "ServerPoolService").decode()
    assert old in text
    return Answer(text.replace(old, new, 1))


def refused(answer: Answer) -> tuple[Error, list[str]]:
    """The error that such a WSDL comes to, and what was asked for."""
    with answering(lambda asked: answer if asked.path.endswith(".wsdl") else Answer("", 404)) as it:
        with pytest.raises(ImsError) as caught:
            _ = manager_of(client_of(it.url)).pool
        assert not it.paths("POST")
        return caught.value, it.paths()


@pytest.mark.parametrize("said", ["http://elsewhere.invalid:1", "https://127.0.0.1:1", "ftp://x"])
def test_requests_go_to_the_configured_manager_whatever_the_wsdl_names(said: str) -> None:
    answer = altered("http://localhost", said)
    with (
        answering(lambda asked: answer if asked.method == "GET" else Answer("", 403)) as site,
        pytest.raises(UnavailableError, match="HTTP 403"),
    ):
        _ = manager_of(client_of(site.url)).pool
    assert site.paths("POST") == ["/OVSWS/ServerPoolService"]


@pytest.mark.parametrize(
    ("tag", "place"),
    [
        ("<types>", '<import namespace="urn:x" location="{}"/><types>'),
        (
            '<import namespace="http://www.oracle.com/webservices/internal/literal"/>',
            '<import namespace="urn:x" schemaLocation="{}"/>',
        ),
        (
            '<import namespace="http://www.oracle.com/webservices/internal/literal"/>',
            '<include schemaLocation="{}"/>',
        ),
    ],
    ids=["wsdl:import", "xsd:import", "xsd:include"],
)
def test_what_a_wsdl_imports_is_asked_of_the_configured_manager(tag: str, place: str) -> None:
    with answering(lambda _: Answer("<a/>")) as elsewhere:
        error, asked = refused(altered(tag, place.format(f"{elsewhere.url}/more.xsd")))
    assert elsewhere.asked == []
    assert asked == ["/OVSWS/ServerPoolService.wsdl", "/more.xsd"]
    # It is there and cannot be used, which is not the same as none.
    assert error.code == "wsdl-unreadable"
    assert "more.xsd" in error.message
    for file in ("file:///etc/passwd", "/etc/passwd", "../../../etc/passwd"):
        error, asked = refused(altered(tag, place.format(file)))
        assert error.code == "wsdl-unreadable"
        assert "root:" not in error.message
        assert set(asked) <= {"/OVSWS/ServerPoolService.wsdl", "/etc/passwd"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "no XML"),
        ("<html><p>Log in</html>", "no XML"),
        ("<html>Log in</html>", "wsdl"),
        ('<!DOCTYPE d SYSTEM "http://127.0.0.1:1/x.dtd"><d/>', "document type"),
        ('<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>', "document type"),
        ('<definitions xmlns="http://schemas.xmlsoap.org/wsdl/"/>', "wsdl"),
        (wsdl(DEFAULT, "ServerPoolService")[:-400].decode(), "no XML"),
        (wsdl(DEFAULT, "ServerPoolService").decode().replace("<types>", "<types><x>"), "no XML"),
        (wsdl(DEFAULT, "ServerPoolService").decode().replace("t:ServerPool", "t:Nothing"), "wsdl"),
    ],
)
def test_what_is_no_wsdl_is_said_to_be_none_and_not_kept(
    body: str, says: str, tmp_path: Path
) -> None:
    assert says in refused(Answer(body, kind=HTML))[0].message
    assert refused(Answer(body))[0].code == "wsdl-unreadable"
    answers = [Answer(body), wsdl_of(Asked("GET", "/OVSWS/ServerPoolService.wsdl", {}, b""))]
    with answering(
        lambda asked: answers.pop(0) if asked.method == "GET" else Answer("", 403)
    ) as it:
        for code in ("wsdl-unreadable", "access-denied"):
            with pytest.raises(ImsError) as caught:
                _ = manager_of(client_of(it.url, cache=str(tmp_path / "cache"))).pool
            assert caught.value.code == code


@pytest.mark.parametrize("served", [True, False], ids=["served", "own"])
def test_every_call_works_by_the_manager_s_wsdl_and_by_our_own(
    dom0: PretendedDom0, tmp_path: Path, served: bool
) -> None:
    manager = dom0.manager()
    with serving(manager) as url:
        answers = (lambda asked: forwarded(url, asked)) if served else without_wsdl(url)
        with answering(answers) as site:
            provider = PretendedOvm(dom0, manager, site.url).provider()
            client = provider._manager.client
            template = imported(provider, archive_of(tmp_path), "kit")
            spec = spec_of(template)
            delivery = delivery_of(bootparams_conf=b"A=1\n")
            provider.create(spec, delivery, mark_of(spec), Undo("0123456789abcdef"))
            provider.start(spec.uuid, delivery)
            provider.suspend(spec.uuid)
            provider.resume(spec.uuid)
            provider.stop(spec.uuid, force=True, timeout=20)
            (image,) = provider._manager.images()
            provider._manager.put_properties(image, "a.properties", {"a": "b", "c": ""})
            assert [each.name for each in provider.hosts()] == ["dom0"]
            provider._manager.pool_metrics()
            provider.start(spec.uuid, delivery)
            with pytest.raises(HypervisorError, match="is RUNNING"):
                client.call("resume", image.raw, subject="VM web")
            with pytest.raises(HypervisorError, match="is RUNNING"):
                client.call("unpause", image.raw, subject="VM web")
            client.call("shut_down", image.raw, subject="VM web")
            provider.delete(spec.uuid)
            provider.delete_template(template.name)
            findings = list(compare(client))
            provider.close()
    asked = {name for name, _ in manager.requests.all()}
    used = {each.name for each in DEFAULT.operations.values()}
    assert used - asked <= {"importTemplateFromURL", "getServerPoolByName"}
    assert [each.subject for each in findings] == list(SERVICES)
    assert {each.ok for each in findings} == {served}
    if not served:
        assert "serves no WSDL" in findings[0].message
        assert "nothing proves 10 of 10 operations" in findings[1].message


# --- the cache ---


def count(manager: Manager) -> int:
    """How often a WSDL was asked for since this was asked last."""
    asked = [name for name, _ in manager.requests.all() if name.endswith(".wsdl")]
    manager.requests.clear()
    return len(asked)


def use(url: str, cache: Path) -> None:
    """What another process would do."""
    client = client_of(url, auth="basic", user="me", password=PASSWORD, cache=str(cache))
    manager_of(client).images()


def files_in(cache: Path) -> list[Path]:
    return [each for each in cache.rglob("*") if each.is_file()]


@pytest.fixture
def demanding(dom0: PretendedDom0) -> Manager:
    return dom0.manager(Authentication("basic", "me", PASSWORD))


def test_a_second_process_asks_for_no_wsdl_for_a_day(demanding: Manager, tmp_path: Path) -> None:
    cache = tmp_path / "deep/cache"
    with serving(demanding) as url:
        use(url, cache)
        assert count(demanding) == 2
        use(url, cache)
        assert count(demanding) == 0
        for file in files_in(cache):
            os.utime(file, (0, time.time() - 25 * 3600))
        use(url, cache)
        assert count(demanding) == 2
    assert len(files_in(cache)) == 2
    for file in files_in(cache):
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert PASSWORD.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"\0" * 4096),
        lambda file: file.write_bytes(file.read_bytes()[:-700]),
        lambda file: file.write_bytes(file.read_bytes().replace(b"oracle", b"miracle")),
        lambda file: (file.unlink(), file.mkdir()),
        lambda file: (file.unlink(), file.symlink_to("/nowhere")),
    ],
    ids=["empty", "zeros", "truncated", "changed", "a directory", "a lost link"],
)
def test_a_damaged_cache_is_not_used(demanding: Manager, tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    with serving(demanding) as url:
        use(url, tmp_path / "cache")
        for file in files_in(tmp_path / "cache"):
            damage(file)
        count(demanding)
        use(url, tmp_path / "cache")
        assert count(demanding) == 2


def test_where_no_cache_can_be_the_manager_is_asked(demanding: Manager, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with serving(demanding) as url:
        for place in (tmp_path / "file", tmp_path / "file/deeper"):
            use(url, place)
            use(url, place)
            assert count(demanding) == 4


def test_each_manager_has_a_cache_of_its_own(
    demanding: Manager, dom0: PretendedDom0, tmp_path: Path
) -> None:
    with serving(demanding) as url, answering(lambda asked: forwarded(url, asked)) as other:
        use(url, tmp_path / "cache")
        assert count(demanding) == 2
        use(other.url, tmp_path / "cache")
        assert count(demanding) == 2
        client_of(other.url, cache=str(tmp_path / "cache")).forget()
        use(url, tmp_path / "cache")
        assert count(demanding) == 0


def test_many_processes_fill_one_cache_at_once(demanding: Manager, tmp_path: Path) -> None:
    errors: list[Exception] = []

    def work() -> None:
        try:
            use(url, tmp_path / "cache")
        except Exception as error:  # noqa: BLE001 - shown below
            errors.append(error)

    with serving(demanding) as url:
        threads = [threading.Thread(target=work) for _ in range(6)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(30)
        count(demanding)
        use(url, tmp_path / "cache")
        assert count(demanding) == 0
    assert errors == []
    assert len(files_in(tmp_path / "cache")) == 2
