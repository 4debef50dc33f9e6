"""VirtualBox's settings files of 6.1 and 7.2, and what somebody may have made of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_virtualbox.vboxmanage.document import (
    Adapter,
    Document,
    Forward,
    Taken,
    read_document,
    read_registry,
)
from tests.virtualbox.pretended import UUIDS, settings_file

if TYPE_CHECKING:
    from pathlib import Path

A, B, C, D, E, F = UUIDS
MARK = '{"store":"s","name":"a & b <c>"}'
MEDIA = f"""<MediaRegistry><HardDisks>
<HardDisk uuid="{{{A}}}" location="/pool/templates/tiny/disk.vdi" format="VDI" type="Normal">
<HardDisk uuid="{{{B}}}" location="/pool/vms/web/root.vdi" format="VDI">
<HardDisk uuid="{{{C}}}" location="Snapshots/{{{C}}}.vdi" format="VDI"/></HardDisk></HardDisk>
</HardDisks><DVDImages><Image uuid="{{{D}}}" location="/pool/vms/web/seed-1.iso"/>
<Image uuid="{{{E}}}" location="/pool/vms/web/seed-2.iso"/></DVDImages></MediaRegistry>"""
CONTROLLERS = f"""<StorageControllers><StorageController name="SATA" type="AHCI" PortCount="2">
<AttachedDevice type="HardDisk" hotpluggable="false" port="0" device="0">
<Image uuid="{{{C}}}"/></AttachedDevice>
<AttachedDevice passthrough="false" type="DVD" port="1" device="0">
<Image uuid="{{{E}}}"/></AttachedDevice></StorageController></StorageControllers>"""
OLD_CONTROLLERS = CONTROLLERS.replace(C, B).replace(E, D)
SNAPSHOTS = f"""<Snapshot uuid="{{{D}}}" name="first" timeStamp="2026-11-22T06:00:00Z">
<Description>{{"ims": 1}}</Description>
<Hardware><Memory RAMSize="99"/>STORED</Hardware>BESIDE
<Snapshots><Snapshot uuid="{{{E}}}" name="sécond" timeStamp="2026-11-22T06:00:20Z"
 stateFile="Snapshots/1.sav"><Hardware/></Snapshot>
<Snapshot uuid="{{{F}}}" name="third" timeStamp="2026-11-22T06:00:10Z"><Hardware/></Snapshot>
</Snapshots></Snapshot>"""
NETWORK = """<Network>
<Adapter slot="0" enabled="true" MACAddress="080027AABB00" type="82540EM">
<NAT network="10.0.2.0/24"><DNS pass-domain="false"/>
<Forwarding name="ims-ssh" proto="1" hostip="127.0.0.1" hostport="2200"
 guestport="22"/><Forwarding name="web" proto="1" hostport="8080" guestport="80"/></NAT></Adapter>
<Adapter slot="1" enabled="true" MACAddress="080027AABB01"><DisabledModes><NAT/><InternalNetwork
 name="x"/></DisabledModes><BridgedInterface name="en0: Wi-Fi"/></Adapter>
<Adapter slot="2" enabled="true" MACAddress="080027AABB02"><HostOnlyInterface name="vboxnet0"/>
</Adapter>
<Adapter slot="3" enabled="true" MACAddress="080027AABB03"><NATNetwork name="NatNetwork"/></Adapter>
<Adapter slot="4" enabled="true" MACAddress="080027AABB04"><InternalNetwork name="inside"/>
</Adapter>
<Adapter slot="5" enabled="true" MACAddress="080027AABB05"><HostOnlyNetwork name="hn"/></Adapter>
<Adapter slot="6" enabled="true" MACAddress="080027AABB06"/>
<Adapter slot="7" enabled="false" MACAddress="080027AABB07"><NAT/></Adapter></Network>"""
PROPERTIES = """<GuestProperties>
<GuestProperty name="/IMS/Context/nonce" value="n1" timestamp="1" flags="RDONLYGUEST"/>
<GuestProperty name="/VirtualBox/GuestInfo/OS/Product" value="Linux &amp; co" timestamp="2"/>
</GuestProperties>"""


def written(version: str, attributes: str = "") -> bytes:
    """The same machine as both versions write it."""
    inside, beside = (CONTROLLERS, "") if version == "7.2" else ("", CONTROLLERS)
    snapshots = SNAPSHOTS.replace(
        *(("STORED", OLD_CONTROLLERS) if version == "7.2" else ("BESIDE", OLD_CONTROLLERS))
    )
    return settings_file(
        *(A, "web 01"),
        attributes=f'currentSnapshot="{{{E.upper()}}}" {attributes}',
        hardware=NETWORK + PROPERTIES + inside,
        extra={"IMS/mark": MARK, "GUI/LastCloseAction": "PowerOff"},
        body=MEDIA + snapshots.replace("STORED", "").replace("BESIDE", "") + beside,
    )


@pytest.fixture(params=["6.1", "7.2"])
def found(request: pytest.FixtureRequest) -> Document:
    document = read_document(written(request.param))
    assert document is not None
    return document


def test_a_machine_is_what_its_file_says_of_it(found: Document) -> None:
    assert (found.uuid, found.name, found.memory, found.cpus) == (A, "web 01", 512, 2)
    assert found.extra == {"IMS/mark": MARK, "GUI/LastCloseAction": "PowerOff"}
    assert found.properties == {
        "/IMS/Context/nonce": "n1",
        "/VirtualBox/GuestInfo/OS/Product": "Linux & co",
    }


def test_its_media_are_those_of_now_and_those_they_depend_on(found: Document) -> None:
    assert found.root == C
    assert found.disks[A] == "/pool/templates/tiny/disk.vdi"
    assert list(found.disks) == [A, B, C]
    assert found.drive == "/pool/vms/web/seed-2.iso"
    assert found.discs == ("/pool/vms/web/seed-1.iso", "/pool/vms/web/seed-2.iso")


def test_its_snapshots_come_in_the_order_of_their_time_however_they_are_nested(
    found: Document,
) -> None:
    first = 1795327200.0
    assert found.snapshots == (
        Taken(D, "first", '{"ims": 1}', first, memory=False),
        Taken(F, "third", "", first + 10, memory=False),
        Taken(E, "sécond", "", first + 20, memory=True),
    )
    assert found.current == E


def test_its_cards_are_those_that_are_plugged_in_somewhere(found: Document) -> None:
    networks = ["nat", "bridged:en0: Wi-Fi", "hostonly:vboxnet0", "natnetwork:NatNetwork"]
    networks += ["intnet:inside", "hostonlynet:hn"]
    rules = (Forward("ims-ssh", "127.0.0.1", 2200, 22), Forward("web", "", 8080, 80))
    assert found.adapters == tuple(
        Adapter(slot, f"08:00:27:aa:bb:{slot:02}", network, rules if slot == 0 else ())
        for slot, network in enumerate(networks)
    )


RESTING = {
    "poweroff": "",
    "saved": 'stateFile="Snapshots/2.sav"',
    "aborted": 'aborted="true"',
    "aborted-saved": 'aborted="true" stateFile="Snapshots/2.sav"',
}


@pytest.mark.parametrize("state", RESTING, ids=str)
@pytest.mark.parametrize("version", ["6.1", "7.2"])
def test_without_a_process_the_file_tells_the_state(version: str, state: str) -> None:
    found = read_document(written(version, RESTING[state]))
    assert found is not None
    assert found.resting == state


def test_a_machine_of_defaults_has_no_more_than_a_name() -> None:
    found = read_document(f'<VirtualBox><Machine uuid="{{{A}}}" name="x"/></VirtualBox>'.encode())
    assert found == Document(A, "x", "poweroff", 0, 1)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
MACHINE = f'<Machine uuid="{{{A}}}" name="x"/>'
HOSTILE = {
    "empty": b"",
    "no XML": b"\0\xff",
    "another root": b"<html/>",
    "cut": b"<VirtualBox><Machine",
    "entities": f"{BOMB}<VirtualBox>{MACHINE}&b;</VirtualBox>".encode(),
    "a DTD": f"<!DOCTYPE VirtualBox><VirtualBox>{MACHINE}</VirtualBox>".encode(),
    "unknown encoding": f'<?xml version="1.0" encoding="x"?><V>{MACHINE}</V>'.encode(),
    "no text's encoding": f'<?xml version="1.0" encoding="hex"?><V>{MACHINE}</V>'.encode(),
    "a wrong number": settings_file(A, "x").replace(b'"512"', b'"much"'),
    "a long number": settings_file(A, "x").replace(b'"512"', b'"%s"' % (b"9" * 5000)),
    "a wrong port": settings_file(A, "x").replace(b'"2200"', b'""'),
    "a wrong slot": settings_file(A, "x").replace(b'slot="0"', b'slot="first"'),
    "a wrong time": settings_file(A, "x", body='<Snapshot timeStamp="0001-01-01"/>'),
    "no time": settings_file(A, "x", body="<Snapshot/>"),
    "huge": b"<VirtualBox>" + b" " * (9 << 20) + f"{MACHINE}</VirtualBox>".encode(),
    "deep": settings_file(
        *(A, "x"),
        body='<Snapshot timeStamp="2026-11-22T06:00:00Z">' * 50_000 + "</Snapshot>" * 50_000,
    ),
}


@pytest.mark.parametrize("kind", HOSTILE, ids=str)
def test_a_file_that_is_no_machine_s_is_none(kind: str) -> None:
    assert read_document(HOSTILE[kind]) is None


@pytest.mark.parametrize("declared", ['SYSTEM "{}"', 'PUBLIC "x" "{}"'], ids=["system", "public"])
def test_no_other_file_is_read(declared: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    entity = f"<!DOCTYPE x [<!ENTITY s {declared.format(secret)}>]>"
    text = f'{entity}<VirtualBox><Machine name="x">&s;</Machine></VirtualBox>'
    assert read_document(text.encode()) is None
    assert read_registry(text.encode(), "/home") is None


def test_of_elements_that_are_there_twice_one_counts() -> None:
    content = settings_file(A, "x", hardware='<Memory RAMSize="7"/><CPU count="9"/>')
    found = read_document(content.replace(b"</VirtualBox>", f"{MACHINE}</VirtualBox>".encode()))
    assert found is not None
    assert (found.memory, found.cpus) == (512, 2)


PIECES = st.sampled_from(
    [
        *(MACHINE, "<Machine>", "</Machine>", "<VirtualBox>", "</VirtualBox>", "<Hardware>"),
        *(MEDIA, CONTROLLERS, SNAPSHOTS, NETWORK, PROPERTIES, "<Network>", "<Snapshot", "&amp;"),
        *('timeStamp="9999-12-31T23:59:59"', '"', ">", "<", "/>", "]]>", "<![CDATA[", "&#0;"),
        *("<!--", "<?xml version='1.0' encoding='utf-16'?>", BOMB, "\0", "slot='9'", "xmlns='x'"),
    ]
)


@given(st.one_of(st.binary(), st.lists(PIECES, max_size=12).map(lambda x: "".join(x).encode())))
def test_nothing_in_a_file_raises(content: bytes) -> None:
    assert isinstance(read_document(content), Document | None)
    assert isinstance(read_registry(content, "/home"), dict | None)


@given(
    st.dictionaries(
        st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF)),
        st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF)),
    )
)
def test_extra_data_is_read_as_it_was_written(extra: dict[str, str]) -> None:
    found = read_document(settings_file(A, "x", extra=extra))
    assert found is not None
    assert found.extra == extra


@given(st.integers(0, 3000), st.integers(0, 3000), st.binary(max_size=9))
def test_a_damaged_file_is_none_or_a_machine(place: int, length: int, noise: bytes) -> None:
    whole = written("7.2")
    damaged = whole[:place] + noise + whole[place + length :]
    assert isinstance(read_document(damaged), Document | None)


REGISTRY = f"""<VirtualBox xmlns="http://www.virtualbox.org/" version="1.12-linux"><Global>
<ExtraData/><MachineRegistry><MachineEntry uuid="{{{A}}}" src="/pool/a.vbox"/>
<MachineEntry uuid="{{{B.upper()}}}" src="Machines/b &amp; c.vbox"/>
<MachineEntry src="/nobody.vbox"/><MachineEntry uuid="{{{C}}}"/></MachineRegistry>
</Global><MachineRegistry><MachineEntry uuid="{{{D}}}" src="/x"/></MachineRegistry></VirtualBox>"""


def test_the_registry_has_the_paths_of_all_machines_some_relative_to_it() -> None:
    assert read_registry(REGISTRY.encode(), "/home/x/VirtualBox") == {
        A: "/pool/a.vbox",
        B: "/home/x/VirtualBox/Machines/b & c.vbox",
    }


def test_a_registry_without_machines_is_one_and_another_file_is_none() -> None:
    empty = "<VirtualBox><Global><MachineRegistry/></Global></VirtualBox>"
    assert read_registry(empty.encode(), "/home") == {}
    for kind in ("no XML", "cut", "entities", "a DTD", "unknown encoding", "huge"):
        assert read_registry(HOSTILE[kind], "/home") is None
