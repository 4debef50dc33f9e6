"""vm.cfg and vm.json, whatever is in them: what is written is read again, and never executed."""

from __future__ import annotations

import ast
import json
from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ims_core.errors import InvalidError
from ims_core.models import Interface, Mark, Template
from ims_dom0.vmcfg import Value, parse, parse_disk, write_xm
from ims_ovm.definition import own_disks, template_config, vm_config
from ims_ovm.looking import records_in
from ims_ovm.record import Record, read_record, write_record
from tests.ovm.provided import spec_of

FOLDER = "/OVS/running_pool/7_web"
KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(
    lambda key: (
        key not in {"None", "True", "False", "print", "exec", "import", "from", "def", "class"}
    )
)
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.just("\t"), max_size=30)
VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXTS | st.integers(-(2**63) + 1, 2**63 - 1),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=8,
)
MARK = Mark("store", "0123456789abcdef", "11111111-2222-3333-4444-555555555555")
RECORD = Record(
    *("7_web", "0a", "web", MARK),
    (Interface("xenbr0", "00:16:3e:00:00:01", addresses=("192.0.2.7/24",)),),
    ("vm.cfg", "System.img"),
    started=True,
)


def listed(value: Any) -> Any:
    return [listed(each) for each in value] if isinstance(value, tuple) else value


@given(st.dictionaries(KEYS, VALUES, max_size=6))
@example({"name": "\\", "a": "'", "b": '\\"', "c": ("''",), "d": "u'", "e": "#", "f": "\t\\t"})
def test_what_is_written_for_xm_is_read_again_and_is_only_literals(
    values: dict[str, Value],
) -> None:
    text = write_xm(values)
    assert parse(text) == values
    lines = text.splitlines()
    assert len(lines) == len(values)
    for line, (key, value) in zip(lines, values.items(), strict=True):
        name, equals, literal = line.partition(" = ")
        assert (name, equals) == (key, " = ")
        assert ast.literal_eval(literal) == listed(value)
    module = ast.parse(text)
    assert all(isinstance(each, ast.Assign) for each in module.body)


@given(st.dictionaries(KEYS | st.text(max_size=5), VALUES | st.text(max_size=9), max_size=3))
def test_what_xm_could_read_otherwise_is_not_written(values: dict[str, Value]) -> None:
    try:
        text = write_xm(values)
    except InvalidError:
        return
    assert text.isascii()
    ast.parse(text)
    assert parse(text) == values


NAMES = ("System.img", "Application.img", "Bootparams.img")
PREFIXES = st.sampled_from(["file:", "tap:aio:", "phy:", "", "raw:"])
PLACES = st.sampled_from(["/OVS/seed_pool/x", "/OVS/running_pool/9_x", "/x", ""])
TARGETS = st.sampled_from(
    [*NAMES, "passwd", "../System.img", "System.img/..", "a b", "System.img "]
)
ENTRIES = st.builds(
    lambda prefix, place, name, rest: f"{prefix}{place}/{name}{rest}",
    *(
        PREFIXES,
        PLACES,
        TARGETS,
        st.sampled_from([",xvda,w", ",hdc:cdrom,r", ",xvdb,w!", "", ",x"]),
    ),
)
KEYED = st.builds(
    lambda place, name: f"format=raw,vdev=xvda,target={place}/{name}", PLACES, TARGETS
)


@given(st.lists(ENTRIES | KEYED | TEXTS, min_size=1, max_size=4))
def test_a_template_s_disks_are_all_in_its_folder_or_it_is_refused(disks: list[str]) -> None:
    try:
        text = template_config(write_xm({"disk": tuple(disks)}), FOLDER, NAMES)
    except InvalidError:
        return
    written = parse(text)["disk"]
    assert isinstance(written, tuple)
    assert len(written) == len(disks)
    for each in written:
        assert parse_disk(str(each)).target in {"", *(f"{FOLDER}/{name}" for name in NAMES)}
    targets = [parse_disk(str(each)).target for each in written]
    assert own_disks(text, FOLDER) == tuple(
        target.rpartition("/")[2] for target in targets if target
    )


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_a_vm_has_what_was_ordered_and_keeps_all_else(values: dict[str, Value]) -> None:
    template = Template("t", "ovm-template", "sha256:0", 1, 1, "bootparams")
    spec = spec_of(template, memory=96 << 20, vcpus=3)
    ordered = {
        "disk": ("file:/OVS/seed_pool/t/System.img,xvda,w",),
        "vif": ("mac=00:16:3E:FF:FF:FF,bridge=other,type=netfront",),
    }
    before = {**values, **ordered}
    found = parse(vm_config(write_xm(before), spec, FOLDER, NAMES, cards=True))
    assert found["disk"] == (f"file:{FOLDER}/System.img,xvda,w",)
    assert found["vif"] == ("mac=00:16:3E:00:00:01,bridge=xenbr0,type=netfront",)
    assert (found["memory"], found["vcpus"]) == (96, 3)
    own = {"disk", "vif", "memory", "maxmem", "vcpus"}
    assert {key: found[key] for key in before if key not in own} == {
        key: value for key, value in before.items() if key not in own
    }


# --- vm.json ---

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [each.name for each in (*fields(Record), *fields(Mark), *fields(Interface))]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=10,
)


def test_a_record_is_read_as_it_was_written() -> None:
    assert read_record(write_record(RECORD), "7_web") == RECORD
    assert read_record(write_record(RECORD), "8_web") is None


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b'{"name": "7_web", "mark": 1' + b"0" * 5000 + b"}")
def test_no_bytes_of_a_record_do_harm(content: bytes) -> None:
    found = read_record(content, "7_web")
    assert found is None or read_record(write_record(found), "7_web") == found


@given(st.data())
def test_a_record_of_which_anything_was_changed_does_no_harm(data: st.DataObject) -> None:
    """And whatever is made of it can be used as what it says it is."""
    values = asdict(RECORD)
    where = data.draw(st.sampled_from(["", "mark", "cards"]))
    part: Any = {"": values, "mark": values["mark"], "cards": values["cards"][0]}[where]
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JSON)
    content = json.dumps(values).encode()
    for record in records_in({"7_web/ims/vm.json": content}):
        assert all(isinstance(each, str) for each in (record.image, record.vm_name, *record.disks))
        for card in record.cards:
            texts = (card.network, card.mac, *card.addresses)
            assert all(isinstance(each, str) for each in texts)


@pytest.mark.parametrize("cut", range(0, len(write_record(RECORD)), 7))
def test_a_part_of_a_record_is_none(cut: int) -> None:
    assert read_record(write_record(RECORD)[:cut], "7_web") is None
