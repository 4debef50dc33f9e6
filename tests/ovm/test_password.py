"""The password of the Manager's user is in a file of the user's alone, or in the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import ConfigError
from ims_ovm.password import VARIABLE, read_password

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.touch(mode=0o600)
    return file


@pytest.mark.parametrize(
    ("content", "password"),
    [
        ("secret\n", "secret"),
        ("secret", "secret"),
        ("secret\r\nmore\n", "secret"),
        (" s ec\tret \n", " s ec\tret "),
        ("p\u00e4\u00dfw\u00f6rd \u20ac\n", "p\u00e4\u00dfw\u00f6rd \u20ac"),
        ("#no comment\n", "#no comment"),
    ],
)
def test_it_is_the_first_line_as_it_stands(file: Path, content: str, password: str) -> None:
    file.write_bytes(content.encode())
    assert read_password(str(file)) == password


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o666, 0o601])
def test_a_file_that_others_may_use_is_refused_with_the_remedy(file: Path, mode: int) -> None:
    file.write_text("secret\n")
    file.chmod(mode)
    with pytest.raises(ConfigError, match="may be read by others") as caught:
        read_password(str(file))
    assert caught.value.hint == f"chmod 600 {file}"
    assert "secret" not in f"{caught.value}{caught.value.to_json()}"
    file.chmod(0o400)
    assert read_password(str(file)) == "secret"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\r\n", b"\nsecret\n", b"x" * 5000, b"\xffsecret\n"]
)
def test_what_holds_no_password_is_refused_and_nothing_of_it_is_shown(
    file: Path, content: bytes
) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="password_file") as caught:
        read_password(str(file))
    shown = f"{caught.value}{caught.value.to_json()}"
    assert "secret" not in shown
    assert "xxx" not in shown


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name in ("pipe", "folder", "absent"):
        with pytest.raises(ConfigError, match=f"{name}' (is no plain file|cannot be read)"):
            read_password(str(tmp_path / name))


def test_the_home_directory_is_meant_by_its_sign(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("secret\n")
    monkeypatch.setenv("HOME", str(file.parent))
    assert read_password("~/password") == "secret"


def test_without_a_file_it_is_the_environment_s(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not read_password("")
    monkeypatch.setenv(VARIABLE, "of the environment")
    assert read_password("") == "of the environment"
    file.write_text("of the file\n")
    assert read_password(str(file)) == "of the file"
