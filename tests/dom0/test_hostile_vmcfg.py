from __future__ import annotations

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.errors import InvalidError
from ims_dom0.vmcfg import parse


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "from os import *",
        "os.system('x')",
        "a = os.system('x')",
        "a = __import__('os').system('x')",
        "exec 'x'",
        "exec('a=1')",
        "a = [x for x in 'abc']",
        "a = lambda: 1",
        "a = b",
        "a = b = 1",
        "a = 'x' + 'y'",
        "a = 'x' * 999999999",
        "a = 9**9**9",
        "a = 'x' % 1",
        "a = 'x'.upper()",
        "a = ['x'][0]",
        "a[0] = 1",
        "a, b = 1, 2",
        "a = 1, 2",
        "a = {'x': 1}",
        "a = None",
        "a = f'x'",
        "a = r'x'",
        "a = 1.5",
        "a = 1e3",
        "a = 09",
        "a = --1",
        "a = 1_0",
        "a = '''x'''",
        "a = 'x",
        "a = 'x\\",
        r"a = '\x41'",
        r"a = '\101'",
        r"a = '\q'",
        "a = [1 2]",
        "a = [1; 2]",
        "a = [,]",
        "a = [1)",
        "a = ]",
        "a =",
        "a",
        "= 1",
        "1 = 1",
        "a = 1 b = 2",
        "a += 1",
        "a = 'x'; a += ['y']",
        "a = 9223372036854775808",
        "a = " + "9" * 5000,
        "a = 0" + "7" * 5000,
        "a = 0x" + "f" * 5000,
        "a = " + "[" * 9 + "]" * 9,
        "if 1: a = 1",
        "def f(): pass",
        "a = 'x\0y'",
        "# \0",
        "\ufeffa = 1",
        "a = \u0663",
    ],
)
def test_all_else_is_refused_by_its_line(line: str) -> None:
    with pytest.raises(InvalidError, match=r"vm\.cfg, line 3: ") as caught:
        parse(f"# VM\nname = 'x'\n{line}\nb = 2\n")
    assert caught.value.hint


def test_no_message_shows_a_password() -> None:
    for text in ("vncpasswd 'secret'", "a = [1 'secret']", "a = 1 'secret'", "'secret' = 1"):
        with pytest.raises(InvalidError) as caught:
            parse(text)
        assert "secret" not in str(caught.value.to_json())


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    read_or_refuse(text)


PIECES = ["a", "=", "+=", "[", "]", "(", ")", ",", ";", "\n", "'x'", '"', "'", "\\", "#", "-"]


@given(st.lists(st.sampled_from([*PIECES, "0x", "1", "L", "u", "True", " ", "\0", "é"])))
def test_any_row_of_tokens_is_read_or_refused(pieces: list[str]) -> None:
    read_or_refuse("".join(pieces))


def read_or_refuse(text: str) -> None:
    try:
        cfg = parse(text)
    except InvalidError as error:
        assert error.message.startswith("vm.cfg, line ")  # noqa: PT017 - or it is read
    else:
        assert all(set(key) <= set(string.ascii_letters + string.digits + "_.") for key in cfg)


@pytest.mark.parametrize(
    ("unit", "begin", "end"),
    [
        *(
            ("[", "a=", ""),
            ("(", "a=", ""),
            ("'", "a=", ""),
            ("\\", "a='", ""),
            ("\\'", "a='", "'"),
        ),
        *(("9", "a=", ""), ("-", "a=", ""), ("\n", "", ""), ("#", "", ""), (";", "", "")),
        *(("a+=''\n", "", ""), ("a+=['x']\n", "", ""), ("1,", "a=[", "]"), ("''", "a=['", "']")),
        *(("a", "", ""), ("=", "a", ""), ("\\\n", "a='", ""), (" ", "a=", "")),
    ],
)
def test_the_largest_files_take_bounded_time(unit: str, begin: str, end: str) -> None:
    text = begin + unit * (((1 << 20) - len(begin + end)) // len(unit)) + end
    start = time.process_time()
    read_or_refuse(text)
    assert time.process_time() - start < 20
    with pytest.raises(InvalidError, match="characters, more than"):
        parse(text + " " * len(unit))
