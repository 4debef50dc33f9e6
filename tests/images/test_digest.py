from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.errors import CancelledError, ImageError, InvalidError
from ims_images import check_digest, file_digest

if TYPE_CHECKING:
    from pathlib import Path

EMPTY = hashlib.sha256().hexdigest()


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) * 3 + 7])
def test_digest_is_sha256_of_all_bytes_and_progress_ends_at_the_size(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "image"
    data = bytes(range(251)) * (size // 251 + 1)
    path.write_bytes(data[:size])
    seen: list[tuple[int, int | None]] = []
    digest = file_digest(path, lambda done, total: seen.append((done, total)))
    assert digest == "sha256:" + hashlib.sha256(data[:size]).hexdigest()
    assert not size or seen[-1] == (size, size)
    assert seen == sorted(seen)


def test_what_progress_raises_ends_the_work(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"x")

    def cancel(_done: int, _total: int | None) -> None:
        raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        file_digest(path, cancel)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no-such-file") as caught:
        file_digest(tmp_path / "no-such-file")
    assert caught.value.code == "image-not-readable"


@pytest.mark.parametrize(
    "expected", [EMPTY, EMPTY.upper(), f"sha256:{EMPTY}", f" SHA256:{EMPTY}\n"]
)
def test_every_usual_spelling_of_a_digest_is_accepted(expected: str) -> None:
    check_digest(expected, f"sha256:{EMPTY}")


def test_another_digest_is_a_mismatch() -> None:
    with pytest.raises(InvalidError) as caught:
        check_digest("0" * 64, EMPTY)
    assert caught.value.code == "image-digest-mismatch"


@given(st.text(max_size=80).filter(lambda text: text.strip().lower() != EMPTY))
def test_anything_else_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(InvalidError, match="--sha256"):
        check_digest(text, EMPTY)


@pytest.mark.parametrize("text", [EMPTY[:-1], EMPTY + "0", "md5:" + EMPTY[:32], "", "g" * 64])
def test_a_digest_of_wrong_length_or_kind_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="--sha256") as caught:
        check_digest(text, EMPTY)
    assert caught.value.code == "invalid-digest"
