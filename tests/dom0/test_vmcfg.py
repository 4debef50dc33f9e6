from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ims_core.errors import InvalidError
from ims_dom0.vmcfg import Value, XlValue, parse, to_xl, write_xl
from tests.dom0.libxlu import Libxlu, RefusedError

LARGEST = (1 << 63) - 1
KEYS = st.from_regex(r"[a-z][._0-9a-z]{0,20}", fullmatch=True)
FIT = st.text(st.one_of(st.just("\t"), st.characters(exclude_categories=["Cc", "Cs"])))
VALUES = st.one_of(FIT, st.integers(0, LARGEST), st.lists(FIT).map(tuple))
FILES = st.dictionaries(KEYS, VALUES)

# As Oracle VM's Manager and its templates write them (facts: keys of 2.2 and of its agent).
PARAVIRTUAL = """\
bootloader = '/usr/bin/pygrub'
disk = ['file:/OVS/running_pool/12_web01/System.img,xvda,w',
'phy:/dev/mapper/data,xvdb,r',
]
maxmem = 1024
memory = '1024'
name = '12_web01'
on_crash = 'restart'
on_reboot = 'restart'
uuid = '2ba1fb3a-5a0f-4ed3-8c3f-1ac5d7a51b6f'
vcpus = 1
vfb = ['type=vnc,vncunused=1,vnclisten=0.0.0.0,vncpasswd=pass#word']
vif = ['bridge=xenbr0,mac=00:16:3E:4B:7D:C9,type=netfront']
vif_other_config = [['00:16:3E:4B:7D:C9', 'rate', '10']]
"""
FULLY_VIRTUAL = """\
# Automatically generated
OVM_simple_name = u'B\u00fcro'
OVM_high_availability = False
acpi = 1
apic = True
builder = 'hvm'
device_model = '/usr/lib/xen/bin/qemu-dm'
disk = ['tap:aio:/OVS/running_pool/7_win/System.img,ioemu:hda,w', ',hdc:cdrom,r']
kernel = '/usr/lib/xen/boot/hvmloader'
memory = 512L
name = '7_win'
pae = 1
rtc_timeoffset = -3600
vif = ['type=ioemu, mac=00:16:3E:00:00:01, bridge=xenbr1']
"""


def test_a_paravirtual_vm_of_oracle_vm() -> None:
    cfg = parse(PARAVIRTUAL)
    assert cfg["disk"] == (
        "file:/OVS/running_pool/12_web01/System.img,xvda,w",
        "phy:/dev/mapper/data,xvdb,r",
    )
    assert (cfg["maxmem"], cfg["memory"], cfg["vcpus"]) == (1024, "1024", 1)
    assert cfg["vfb"] == ("type=vnc,vncunused=1,vnclisten=0.0.0.0,vncpasswd=pass#word",)
    assert cfg["vif_other_config"] == (("00:16:3E:4B:7D:C9", "rate", "10"),)


def test_a_fully_virtual_vm_for_xl(libxlu: Libxlu) -> None:
    values = to_xl(parse(FULLY_VIRTUAL))
    assert values == {
        "acpi": 1,
        "apic": 1,
        "type": "hvm",
        "disk": (
            "format=raw,vdev=hda,access=rw,devtype=disk,target=/OVS/running_pool/7_win/System.img",
            "format=empty,vdev=hdc,access=ro,devtype=cdrom,target=",
        ),
        "kernel": "/usr/lib/xen/boot/hvmloader",
        "memory": 512,
        "name": "7_win",
        "pae": 1,
        "rtc_timeoffset": "-3600",
        "vif": ("type=ioemu, mac=00:16:3E:00:00:01, bridge=xenbr1",),
    }
    assert libxlu.read(write_xl(values), values) == as_xl_keeps(values)


def test_xl_refuses_what_oracle_vm_wrote_and_reads_what_it_becomes(libxlu: Libxlu) -> None:
    with pytest.raises(RefusedError):
        libxlu.read(FULLY_VIRTUAL, ["name"])
    values = to_xl(parse(PARAVIRTUAL))
    read = libxlu.read(write_xl(values), values)
    assert read["vif"] == ("bridge=xenbr0,mac=00:16:3E:4B:7D:C9,type=vif",)
    assert [libxlu.disk(entry).target for entry in read["disk"]] == [
        "/OVS/running_pool/12_web01/System.img",
        "/dev/mapper/data",
    ]
    assert "vif_other_config" not in values


@pytest.mark.parametrize(
    ("cfg", "named"),
    [
        ({"builder": "domU"}, "builder"),
        ({"builder": 1}, "builder"),
        ({"cpuid": (("0", "1"),)}, "cpuid"),
        ({"disk": ("phy:/dev/shared,xvdb,w!",)}, "w!"),
        ({"disk": (5,)}, "'5'"),
    ],
)
def test_what_xl_has_no_word_for_is_refused(cfg: dict[str, Value], named: str) -> None:
    with pytest.raises(InvalidError, match=named):
        to_xl(cfg)


@given(FILES)
def test_what_is_written_is_read_again(values: dict[str, XlValue]) -> None:
    assert parse(write_xl(values)) == values


@given(FILES)
@example({"a": "'\"\\", "b": ("\\'", '"', "\\\\", "\\n", "#;=,]")})
@example({"a": LARGEST})
def test_xl_reads_what_is_written(libxlu: Libxlu, values: dict[str, XlValue]) -> None:
    assert libxlu.read(write_xl(values), values) == as_xl_keeps(values)


def as_xl_keeps(values: dict[str, XlValue]) -> dict[str, XlValue]:
    return {key: str(value) if isinstance(value, int) else value for key, value in values.items()}


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8))
def test_only_control_characters_are_refused_of_what_xl_carries(libxlu: Libxlu, text: str) -> None:
    # Written by hand, so that it does not rest on write_xl.
    quoted = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    assert libxlu.read(f'a = "{quoted}"\n', ["a"]) == {"a": text}
    try:
        write_xl({"a": text})
    except InvalidError:
        assert any(c != "\t" and (c < " " or "\x7f" <= c <= "\x9f") for c in text)


@pytest.mark.parametrize("key", ["OVM_name", "Memory", "_a", "1a", "", "a-b", "a b", "a=1;b", "é"])
def test_a_key_that_is_not_xl_s_is_refused(libxlu: Libxlu, key: str) -> None:
    with pytest.raises(InvalidError, match="key"):
        write_xl({key: "x"})
    with pytest.raises(RefusedError):
        libxlu.read(f"{key} = 'x'\n", [key])


@pytest.mark.parametrize(
    "value", ["a\nb", "\0", "\x7f", "\x85", "\ud800", -1, LARGEST + 1, ("fine", "a\rb")]
)
def test_a_value_that_xl_cannot_carry_is_refused_by_its_key(value: XlValue) -> None:
    with pytest.raises(InvalidError, match="extra"):
        write_xl({"name": "fine", "extra": value})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1", 1),
        ("\ta = 0x1F # comment", 31),
        ("a=010", 8),
        ("a=0", 0),
        ("a=-0xAl", -10),
        ("a=True", 1),
        ("a='x';", "x"),
        (";;a='x';b=2", "x"),
        ("a=1\na=2", 2),
        ("a=['x']\r\na='y'\r\n", "y"),
        ("a='x' \"y\"", "xy"),
        ("a='x'\na+='y'\na+='z'", "xyz"),
        ("a+=['x']\na+=[1]", ("x", 1)),
        (r"""a='\'\"\\\a\b\f\n\r\t\v'""", "'\"\\\a\b\f\n\r\t\v"),
        ("a='it''s'", "its"),
        ("a=u''", ""),
        ("a=[]", ()),
        ("a=[#c\n'x'\n,\n('y',),\n]\n", ("x", ("y",))),
        ("a=('x')", "x"),
        ("a=()", ()),
        ("a=['x'\n'y']", ("xy",)),
        ("a=" + "[" * 8 + "]" * 8, ((((((((),),),),),),),)),
    ],
)
def test_what_the_grammar_has(text: str, value: Value) -> None:
    assert parse(text)["a"] == value


@pytest.mark.parametrize(
    "text",
    [
        "a = 'x'\na += 'y'\na += ''\n",
        "a = ['x']\na += []\na += ['y', 'z',]\n",
        "a += 'x'\n",
        "a = 'x'; a = ['y']\n",
        "a=[#c\n'x'\n,\n'y'\n]\n",
        "a = '\\'' # c\n",
        r'a = "\"\\\a\b\f\n\r\t\v"' + "\n",
    ],
)
def test_xl_s_dialect_is_read_as_xl_reads_it(libxlu: Libxlu, text: str) -> None:
    assert parse(text) == libxlu.read(text, ["a"])
