"""The syntax of OpenNebula's templates, and the VM that one orders."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_bootparams.opennebula_template import Card, Machine, machine, parse
from ims_bootparams.opennebula_template.syntax import MAX_BYTES
from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypothesis.strategies import DrawFn

NAMES = st.text("abcXYZ_019", min_size=1, max_size=6)
#: A value cannot end in a backslash: it would escape the quote.
VALUES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    | st.sampled_from('\\"$[],=# \n\r\t'),
    max_size=30,
).filter(lambda text: not text.endswith("\\"))
GAPS = st.sampled_from(["", " ", "\n", "\t \r\n", '# a, "comment" = [\n', " # x\n\n#y\n "])
BLANKS = st.sampled_from(["", " ", "\t "])
WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/.:-_$\\'{}")

Content = tuple[tuple[str, "str | Mapping[str, str]"], ...]


def read(text: str) -> Content:
    return tuple((each.name, each.value) for each in parse(text.encode()).attributes)


@st.composite
def written(draw: DrawFn) -> tuple[str, Content]:
    """A template in any of the ways to write it, and what it says."""

    def value(text: str) -> str:
        bare = draw(st.booleans())
        if bare and text and set(text) <= WORD:
            return text + " "  # a word ends where it cannot go on
        return '"' + text.replace('"', '\\"') + '"'

    def assigned(name: str, text: str) -> str:
        return f"{name}{draw(BLANKS)}={draw(BLANKS)}{text}"

    content: list[tuple[str, str | Mapping[str, str]]] = []
    pieces: list[str] = []
    for _ in range(draw(st.integers(0, 4))):
        name = draw(NAMES)
        if draw(st.booleans()):
            single = draw(VALUES)
            content.append((name.upper(), single))
            text = value(single)
        else:
            vector = draw(st.dictionaries(NAMES.map(str.upper), VALUES, max_size=4))
            content.append((name.upper(), vector))
            items = [
                f"{draw(GAPS)}{assigned(draw(st.sampled_from([key, key.lower()])), value(each))}"
                f"{draw(GAPS)}"
                for key, each in vector.items()
            ]
            trailing = draw(st.booleans())
            comma = "," if items and trailing else ""
            text = f"[{','.join(items)}{comma}{draw(GAPS)}]"
        pieces.append(f"{draw(GAPS)}{assigned(name, text)}{draw(GAPS)}")
    return "".join(pieces), tuple(content)


@settings(max_examples=150)
@given(written())
def test_whatever_is_written_is_read_back(example: tuple[str, Content]) -> None:
    text, content = example
    assert read(text) == content


def test_attributes_keep_their_order_and_may_come_again() -> None:
    text = 'nic=[network="a"]\nNAME=web # a comment\nNIC = [ NETWORK = b,IP=192.0.2.1 ]MEMORY=512'
    assert read(text) == (
        ("NIC", {"NETWORK": "a"}),
        ("NAME", "web"),
        ("NIC", {"NETWORK": "b", "IP": "192.0.2.1"}),
        ("MEMORY", "512"),
    )


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", ()),
        ("# nothing", ()),
        ("A=", (("A", ""),)),
        ("A = \nB = # none\nC=1", (("A", ""), ("B", ""), ("C", "1"))),
        ("A=[]", (("A", {}),)),
        ('A="x" B="y"', (("A", "x"), ("B", "y"))),
        (r'A="C:\dir\n \"q\" \\"', None),
        (r'A="C:\dir\n \"q\" \\."', (("A", r'C:\dir\n "q" \\.'),)),
    ],
)
def test_corners_of_the_syntax_are_read_as_opennebula_reads_them(
    text: str, content: Content | None
) -> None:
    if content is None:
        with pytest.raises(InvalidError, match="closes this one"):
            read(text)
    else:
        assert read(text) == content


@pytest.mark.parametrize("end", ["", ",", ",\n", "\n# cut here"])
def test_a_vector_may_be_closed_by_the_end_of_the_file(end: str) -> None:
    assert read(f'NAME=a\nCONTEXT=[\nA="1",\nB=2{end}') == (
        ("NAME", "a"),
        ("CONTEXT", {"A": "1", "B": "2"}),
    )


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ("= 1", 1, 1, "expected a name"),
        ("A=1\n  ]", 2, 3, "expected a name"),
        ("<TEMPLATE>", 1, 1, "expected a name"),
        ("A", 1, 2, "expected ="),
        ("A\n=1", 1, 2, "expected ="),
        ("A = my vm", 1, 10, "expected ="),
        ("A-B = 1", 1, 2, "expected ="),
        ('A = "x\ny', 1, 5, "expected another quote"),
        ("A = ]", 1, 5, "expected a value"),
        ("A = , B", 1, 5, "expected a value"),
        ("A = [B = ]", 1, 10, "expected a value"),
        ("A = [B =\n 1]", 1, 9, "expected a value"),
        ("A = [B = [C = 1]]", 1, 10, "expected a value"),
        ("A = [B = 1 C = 2]", 1, 12, "expected a comma or ]"),
        ('A = [B = "x"y"]', 1, 13, "expected a comma or ]"),
        ("A = [,]", 1, 6, "expected a key or ]"),
        ("A = [B = 1,,C = 2]", 1, 12, "expected a key or ]"),
        ("A = [\nB = 1,\nb = 2]", 3, 1, "B is there already"),
        ("A = 1\nB\0 = 2", 2, 2, "there is a NUL character"),
    ],
)
def test_each_error_of_syntax_says_where_it_is_and_what_was_expected(
    text: str, line: int, column: int, problem: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        read(text)
    place = f"OpenNebula template, line {line}, column {column}: "
    assert caught.value.message.startswith(place + problem)
    assert caught.value.hint


@settings(max_examples=50)
@given(
    VALUES,
    st.sampled_from(["A = [P = {} Q]", "A = {} =", "A = [P = {}, =]", 'A = [P = {}, B = "']),
)
def test_no_error_shows_a_value(value: str, around: str) -> None:
    quoted = '"' + f"s3cret{value}".replace('"', '\\"') + '"'
    with pytest.raises(InvalidError) as caught:
        read(around.format(quoted))
    assert "s3cret" not in f"{caught.value}{caught.value.hint}"


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidError, match="not UTF-8 at byte 3"):
        parse(b'A="\xff"')


#: What a careless reader would take long over: a head, what comes again and again, and an end.
HOSTILE = {
    "blanks": ("", " ", ""),
    "comments": ("", "#\n", ""),
    "singles": ("", "A=1\n", ""),
    "vectors": ("", "A=[]", ""),
    "brackets": ("", "A=[", ""),
    "commas": ("A=[", ",", ""),
    "name": ("", "A", ""),
    "escaped quotes": ('A="', '\\"', ""),
    "backslashes": ('A="', "\\", 'x"'),
    "quotes": ("", '"', ""),
    "values": ("A=[A=1", ' "', "]"),
    "an error at the end": ("", "A=1\n", "]"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_content_takes_long(name: str) -> None:
    head, unit, end = HOSTILE[name]
    times = (MAX_BYTES - len(head) - len(end)) // len(unit)
    content = f"{head}{unit * times}{end}".encode()
    begun = time.process_time()
    with suppress(InvalidError):
        parse(content)
    assert time.process_time() - begun < 5


def test_a_vector_may_have_very_many_keys() -> None:
    keys = [f"K{index}" for index in range(90_000)]
    begun = time.process_time()
    assert len(parse(f"A=[{'=1,'.join(keys)}=1]".encode()).vectors("A")[0]) == len(keys)
    assert time.process_time() - begun < 5


def test_too_large_a_template_is_refused_before_it_is_read() -> None:
    with pytest.raises(InvalidError, match=f"has {MAX_BYTES + 1} bytes"):
        parse(b"A" * (MAX_BYTES + 1))


# --- The VM -------------------------------------------------------------------------------------


def ordered(text: str) -> Machine:
    return machine(parse(text.encode()))


def test_a_template_orders_a_vm() -> None:
    text = """
        NAME = web
        CPU = 0.5
        VCPU = 2
        MEMORY = "1024"
        DISK = [ IMAGE = "Debian 12", IMAGE_UNAME = oneadmin, SIZE = 4096 ]
        NIC = [ NETWORK = "public net", IP = 192.0.2.7, MODEL = virtio ]
        NIC = [ NETWORK_ID = 3, MAC = 02:00:c0:00:02:07 ]
        OS = [ ARCH = x86_64 ]
        GRAPHICS = [ TYPE = vnc ]
    """
    assert ordered(text) == Machine(
        name="web",
        memory=1024 * 1024 * 1024,
        vcpus=2,
        image="Debian 12",
        disk=4 * 1024 * 1024 * 1024,
        cards=(
            Card(network="public net", ip="192.0.2.7"),
            Card(network_id="3", mac="02:00:c0:00:02:07"),
        ),
    )


def test_what_a_template_does_not_say_is_left_open() -> None:
    assert ordered("") == Machine()
    assert ordered("DISK=[IMAGE_ID=3]\nNIC=[]") == Machine(image_id="3", cards=(Card(),))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("MEMORY = 1.5", "MEMORY"),
        ("MEMORY = 0", "MEMORY"),
        ("MEMORY = 8g", "MEMORY"),
        ("MEMORY = ٣", "MEMORY"),
        ("MEMORY = 1234567890123", "MEMORY"),
        ("MEMORY = 1 MEMORY = 2", "MEMORY"),
        ("MEMORY = [ A = 1 ]", "MEMORY"),
        ("VCPU = -1", "VCPU"),
        ("DISK = [ SIZE = big ]", "DISK.SIZE"),
        ("DISK = [ IMAGE = a ] DISK = [ IMAGE = b ]", "DISK"),
        ("DISK = a", "DISK[0]"),
        ("NIC = [ NETWORK = a ] NIC = b", "NIC[1]"),
        ("NIC_ALIAS = [ NETWORK = a ]", "NIC_ALIAS"),
        ("PCI = [ TYPE = NIC ]", "PCI"),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(text: str, field: str) -> None:
    with pytest.raises(InvalidError) as caught:
        ordered(text)
    assert caught.value.message.startswith(f"{field}: ")
    assert caught.value.hint
