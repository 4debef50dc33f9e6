from __future__ import annotations

import hashlib
import multiprocessing
import random
import socket
import stat
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import (
    AccessDeniedError,
    CancelledError,
    DeadlineError,
    ImsError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from ims_images import fetch
from ims_images.fetch import MAX_SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Site

BODY = random.Random(7).randbytes(700_000)  # noqa: S311 - content, not a secret
OTHER = BODY[::-1]
LONG_AGO = "Tue, 01 Jan 2019 00:00:00 GMT"
TIMEOUT = 20.0


def get(site: Site, cache: Path, *, sha256: str = "", timeout: float = TIMEOUT) -> Path:
    return fetch(f"{site.url}/disk.img?token=s3cret", cache, sha256=sha256, timeout=timeout)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def finals(cache: Path) -> list[Path]:
    return list(cache.glob("*.image"))


def interrupted(site: Site, cache: Path, *, after: int = 300_000) -> None:
    """Leave a part in the cache."""
    site.cut_after = after
    with pytest.raises(UnavailableError) as caught:
        get(site, cache)
    assert caught.value.code == "image-fetch-incomplete"
    site.cut_after = None
    assert not finals(cache)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cache"


def test_a_file_arrives_whole_and_private(site: Site, cache: Path) -> None:
    site.body = BODY
    seen: list[tuple[int, int | None]] = []
    path = fetch(
        f"{site.url}/disk.img",
        cache,
        sha256=f"sha256:{sha256(BODY).upper()}",
        timeout=TIMEOUT,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert path.read_bytes() == BODY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert seen[-1] == (len(BODY), len(BODY))
    assert [file.suffix for file in cache.iterdir() if file.suffix == ".part"] == []


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"v1"'}, '"v1"'),
        ({"ETag": 'W/"v1"', "Last-Modified": LONG_AGO}, LONG_AGO),
        ({"ETag": '"v1"', "Last-Modified": LONG_AGO}, '"v1"'),
    ],
)
def test_an_interrupted_transfer_goes_on_where_it_stopped(
    site: Site, cache: Path, headers: dict[str, str], validator: str
) -> None:
    site.body, site.headers = BODY, headers
    interrupted(site, cache)
    path = get(site, cache)
    assert path.read_bytes() == BODY
    assert site.asked[1]["range"] == "bytes=300000-"
    assert site.asked[1]["if-range"] == validator
    assert len(site.asked) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ETag": 'W/"weak"'},
        {"Last-Modified": LONG_AGO, "Date": "Tue, 01 Jan 2019 00:00:30 GMT"},
        {"Last-Modified": "yesterday"},
    ],
)
def test_without_a_reliable_validator_it_starts_over(
    site: Site, cache: Path, headers: dict[str, str]
) -> None:
    site.body, site.headers = BODY, headers
    interrupted(site, cache)
    site.body = OTHER
    assert get(site, cache).read_bytes() == OTHER
    assert "range" not in site.asked[1]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_changed_starts_over(site: Site, cache: Path, *, ranges: bool) -> None:
    site.body, site.headers = BODY, {"ETag": '"v1"'}
    interrupted(site, cache)
    site.body, site.headers, site.ranges = OTHER[:1000], {"ETag": '"v2"'}, ranges
    assert get(site, cache).read_bytes() == OTHER[:1000]
    assert site.asked[1]["if-range"] == '"v1"'


def test_a_server_that_ignores_if_range_is_found_out_by_its_etag(site: Site, cache: Path) -> None:
    site.body, site.headers = BODY, {"ETag": '"v1"'}
    interrupted(site, cache)
    site.body = OTHER
    # It answers 206 to our If-Range, but with another ETag.
    site.headers = {"ETag": '"v2"', "Last-Modified": '"v1"'}
    assert get(site, cache).read_bytes() == OTHER
    assert "range" in site.asked[1]
    assert "range" not in site.asked[2]


def test_a_part_that_only_lacks_its_name_is_proved_current_by_its_last_byte(
    site: Site, cache: Path
) -> None:
    site.body, site.headers = BODY, {"ETag": '"v1"'}
    interrupted(site, cache, after=len(BODY) - 5)
    (part,) = cache.glob("*.part")
    part.write_bytes(BODY)
    assert get(site, cache).read_bytes() == BODY
    assert site.asked[1]["range"] == f"bytes={len(BODY) - 1}-"


def test_a_range_beyond_the_file_starts_over(site: Site, cache: Path) -> None:
    site.body, site.headers = BODY, {"ETag": '"v1"'}
    interrupted(site, cache)
    site.body = BODY[:1000]
    assert get(site, cache).read_bytes() == BODY[:1000]
    assert "range" not in site.asked[2]


def test_a_resumed_file_with_a_spoilt_start_fails_its_digest_and_is_removed(
    site: Site, cache: Path
) -> None:
    site.body, site.headers = BODY, {"ETag": '"v1"'}
    interrupted(site, cache)
    (part,) = cache.glob("*.part")
    part.write_bytes(bytes(300_000))
    with pytest.raises(InvalidError) as caught:
        get(site, cache, sha256=sha256(BODY))
    assert caught.value.code == "image-digest-mismatch"
    assert get(site, cache, sha256=sha256(BODY)).read_bytes() == BODY


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"etag": 1}', b'{"size": -4}', b"\xff"])
def test_a_spoilt_record_only_costs_the_resume(site: Site, cache: Path, junk: bytes) -> None:
    site.body, site.headers = BODY, {"ETag": '"v1"'}
    interrupted(site, cache)
    (record,) = cache.glob("*.json")
    record.write_bytes(junk)
    assert get(site, cache).read_bytes() == BODY


def test_a_wrong_digest_leaves_nothing_behind(site: Site, cache: Path) -> None:
    site.body = BODY
    with pytest.raises(InvalidError, match="--sha256") as caught:
        get(site, cache, sha256=sha256(OTHER))
    assert caught.value.code == "image-digest-mismatch"
    assert {file.suffix for file in cache.iterdir()} == {".lock"}


def test_a_wrong_digest_is_found_in_the_cache_too(site: Site, cache: Path) -> None:
    site.body = BODY
    get(site, cache)
    site.body = OTHER
    assert get(site, cache, sha256=sha256(OTHER)).read_bytes() == OTHER


def test_with_a_digest_the_cache_answers_alone(site: Site, cache: Path) -> None:
    site.body = BODY
    get(site, cache)
    assert get(site, cache, sha256=sha256(BODY)).read_bytes() == BODY
    assert len(site.asked) == 1


def test_without_a_digest_the_server_is_asked_whether_it_changed(site: Site, cache: Path) -> None:
    site.body, site.headers = BODY, {"ETag": '"v1"'}
    get(site, cache)
    assert get(site, cache).read_bytes() == BODY
    assert site.asked[1]["if-none-match"] == '"v1"'
    site.body, site.headers = OTHER, {"ETag": '"v2"'}
    assert get(site, cache).read_bytes() == OTHER


def test_an_update_that_was_interrupted_never_passes_for_the_old_file(
    site: Site, cache: Path
) -> None:
    site.body, site.headers = BODY, {"ETag": '"v1"'}
    get(site, cache)
    site.body, site.headers, site.cut_after = OTHER, {"ETag": '"v2"'}, 1000
    with pytest.raises(UnavailableError):
        get(site, cache)
    # Now the range is answered wrongly, so the part is given up; the record must go with it.
    site.cut_after, site.wrong_range = None, True
    assert get(site, cache).read_bytes() == OTHER
    assert "range" in site.asked[-2]
    assert "if-none-match" not in site.asked[-1]


def test_a_body_that_is_cut_short_never_gets_the_final_name(site: Site, cache: Path) -> None:
    site.body, site.claim = BODY, len(BODY) + 1
    with pytest.raises(UnavailableError) as caught:
        get(site, cache, sha256=sha256(BODY))
    assert caught.value.retryable
    assert not finals(cache)


def test_a_chunked_body_is_accepted_and_a_cut_one_is_not(site: Site, cache: Path) -> None:
    site.body, site.chunked, site.cut_after = BODY, True, 5000
    with pytest.raises(UnavailableError):
        get(site, cache)
    site.cut_after = None
    assert get(site, cache).read_bytes() == BODY


def test_a_body_of_unknown_size_needs_a_digest(site: Site, cache: Path) -> None:
    site.body, site.close_delimited = BODY, True
    with pytest.raises(UnavailableError, match="--sha256"):
        get(site, cache)
    assert get(site, cache, sha256=sha256(BODY)).read_bytes() == BODY


def test_a_file_larger_than_the_limit_is_refused_before_it_is_read(site: Site, cache: Path) -> None:
    site.claim = MAX_SIZE + 1
    with pytest.raises(InvalidError) as caught:
        get(site, cache)
    assert caught.value.code == "image-too-large"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a",
        "HTTP://example.org/a",
        "file:///etc/shadow",
        "/a",
        "ftp://example.org",
    ],
)
def test_only_https_is_fetched(cache: Path, url: str) -> None:
    with pytest.raises(InvalidError) as caught:
        fetch(url, cache, timeout=TIMEOUT)
    assert caught.value.code == "image-url-not-https"
    assert caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "https://a b/",
        "https://example.org/ä",
        "https://example.org/\r\nX: y",
        "https://[::1",
    ],
)
def test_a_url_that_is_none_is_refused(cache: Path, url: str) -> None:
    with pytest.raises(InvalidError) as caught:
        fetch(url, cache, timeout=TIMEOUT)
    assert caught.value.message.isprintable()


def test_a_password_in_a_url_is_refused_and_not_shown(cache: Path) -> None:
    with pytest.raises(InvalidError) as caught:
        fetch("https://user:hunter2@example.org/a", cache, timeout=TIMEOUT)
    assert "hunter2" not in str(caught.value.to_json())


def test_a_redirect_to_https_is_followed_even_to_another_host(
    site: Site, other_site: Site, cache: Path
) -> None:
    other_site.body = BODY
    site.status, site.headers = 302, {"Location": f"{other_site.url}/mirror"}
    assert get(site, cache).read_bytes() == BODY


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/x", "file:///etc/passwd", "//u:pw@host/x"])
def test_a_redirect_away_from_https_is_refused(site: Site, cache: Path, target: str) -> None:
    site.status, site.headers = 302, {"Location": target}
    with pytest.raises(InvalidError, match="redirects") as caught:
        get(site, cache)
    assert "pw" not in caught.value.message
    assert not finals(cache)


def test_an_endless_redirect_ends(site: Site, cache: Path) -> None:
    site.status, site.headers = 307, {"Location": "/again"}
    with pytest.raises(UnavailableError, match="redirects"):
        get(site, cache)
    assert len(site.asked) == 6


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, NotFoundError),
        (410, NotFoundError),
        (403, AccessDeniedError),
        (500, UnavailableError),
        (503, UnavailableError),
        (204, UnavailableError),
    ],
)
def test_a_server_error_is_told_without_secrets(
    site: Site, cache: Path, status: int, kind: type[ImsError]
) -> None:
    site.status = status
    with pytest.raises(kind, match=r"/disk\.img") as caught:
        get(site, cache)
    assert type(caught.value) is kind
    assert "s3cret" not in str(caught.value.to_json())


def test_a_server_that_is_not_there_is_unavailable(site: Site, cache: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        site.url = f"https://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UnavailableError) as caught:
            get(site, cache)
    assert caught.value.retryable


def test_a_certificate_that_nobody_vouches_for_is_refused(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.body = BODY
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(UnavailableError) as caught:
        get(site, cache)
    assert caught.value.code == "image-server-untrusted"
    assert site.asked == []


def test_a_certificate_for_another_name_is_refused(site: Site, cache: Path) -> None:
    site.url = site.url.replace("127.0.0.1", "localhost")
    with pytest.raises(UnavailableError) as caught:
        get(site, cache)
    assert caught.value.code == "image-server-untrusted"


def assert_ends_in_time(site: Site, cache: Path) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineError):
        get(site, cache, timeout=0.4)
    assert time.monotonic() - started < TIMEOUT


def test_a_server_that_never_answers_ends_at_the_deadline(site: Site, cache: Path) -> None:
    site.hold = threading.Event()
    assert_ends_in_time(site, cache)


def test_a_server_that_drips_ends_at_the_deadline(site: Site, cache: Path) -> None:
    site.drip = True
    assert_ends_in_time(site, cache)


def test_a_server_that_never_shakes_hands_ends_at_the_deadline(site: Site, cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        site.url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        assert_ends_in_time(site, cache)


def test_a_body_that_stops_ends_at_the_deadline_and_is_kept(site: Site, cache: Path) -> None:
    arrived = threading.Event()
    site.body, site.headers = BODY, {"ETag": '"v1"'}
    interrupted(site, cache)
    site.hold = arrived
    assert_ends_in_time(site, cache)
    arrived.set()
    site.hold = None
    assert get(site, cache).read_bytes() == BODY
    assert site.asked[-1]["range"] == "bytes=300000-"


def test_what_progress_raises_ends_the_transfer_and_keeps_what_came(
    site: Site, cache: Path
) -> None:
    site.body, site.headers = BODY, {"ETag": '"v1"'}

    def cancel(_done: int, _total: int | None) -> None:
        raise CancelledError("stopped")

    url = f"{site.url}/disk.img?token=s3cret"
    with pytest.raises(CancelledError):
        fetch(url, cache, timeout=TIMEOUT, progress=cancel)
    assert get(site, cache).read_bytes() == BODY
    assert int(site.asked[1]["range"].removeprefix("bytes=").removesuffix("-")) > 0


def _fetch_in_another_process(url: str, cache: Path, digest: str) -> bytes:
    return fetch(url, cache, sha256=digest, timeout=TIMEOUT).read_bytes()


def test_two_processes_at_once_make_one_download(site: Site, cache: Path) -> None:
    site.body, site.hold = BODY, threading.Event()
    task = (f"{site.url}/disk.img", cache, sha256(BODY))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        answers = [pool.apply_async(_fetch_in_another_process, task) for _ in range(2)]
        deadline = time.monotonic() + TIMEOUT
        while not site.asked and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        site.hold.set()
        assert [answer.get(TIMEOUT) for answer in answers] == [BODY, BODY]
    assert len(site.asked) == 1


def test_waiting_for_another_process_ends_at_the_deadline(site: Site, cache: Path) -> None:
    site.body, site.hold = BODY, threading.Event()
    first = threading.Thread(target=get, args=(site, cache))
    first.start()
    deadline = time.monotonic() + TIMEOUT
    while not site.asked and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    with pytest.raises(DeadlineError, match="another process"):
        get(site, cache, timeout=0.2)
    site.hold.set()
    first.join()
    assert len(finals(cache)) == 1


def test_a_cache_that_others_can_write_to_is_refused(site: Site, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(InvalidError) as caught:
        get(site, tmp_path)
    assert caught.value.code == "cache-not-private"


def test_a_link_planted_in_the_cache_is_not_followed(site: Site, cache: Path) -> None:
    site.body = BODY
    interrupted(site, cache)
    (part,) = cache.glob("*.part")
    victim = cache.parent / "victim"
    victim.write_bytes(b"precious")
    part.unlink()
    part.symlink_to(victim)
    with pytest.raises(InvalidError):
        get(site, cache)
    assert victim.read_bytes() == b"precious"
