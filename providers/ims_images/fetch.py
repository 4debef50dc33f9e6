"""Fetch an image over HTTPS into a private cache, resuming what was interrupted.

A file has its final name only when it is complete and, where a digest was given, right. Several
processes may fetch the same URL: one does, the others wait for it.
"""

from __future__ import annotations

import email.utils
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ims_core.errors import InvalidError
from ims_images._cache import Entry, Remote, local_errors, private_directory
from ims_images._deadline import Deadline
from ims_images._https import incomplete, network_errors, open_url, unavailable
from ims_images._url import checked_url, public_url
from ims_images.digest import Progress, file_digest, no_progress, normal_digest

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from io import FileIO
    from pathlib import Path

__all__ = ["fetch"]

MAX_SIZE = 64 << 30
"""64 GiB, of any image."""

_BLOCK = 1 << 18
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_RELIABLE_AFTER = 60  # seconds; RFC 9110, section 8.8.2.2: a younger date may stand for two files
_OK, _PARTIAL, _NOT_MODIFIED = 200, 206, 304


def fetch(
    url: str,
    cache: Path,
    *,
    sha256: str = "",
    timeout: float,
    progress: Progress = no_progress,
) -> Path:
    """Bring the image of a URL into the cache, unless it is there and current.

    What arrives stays in the cache when the transfer fails, and the next call goes on from
    there if the server still has the same file. Nothing is tried twice here: the caller knows
    best whether to try a retryable error again.

    Args:
        url: ``https://`` only, without user and password.
        cache: A directory, made with mode 0700 if need be; files in it have mode 0600.
        sha256: The expected digest, with or without ``sha256:``. With it, a file that is in the
            cache is used without asking the server; without it, the server is asked whether the
            file has changed.
        timeout: Seconds for all of it, waiting for another process included. Only a resolver
            that hangs can take longer.
        progress: Called with the bytes present and the bytes in all; what it raises ends the
            transfer.

    Returns:
        The complete file. It belongs to the cache: copy it, do not change it.

    Raises:
        InvalidError: The URL, the digest or the cache cannot be used; ``image-digest-mismatch``
            when the file is not the expected one, which is then removed.
        NotFoundError: The server does not have it.
        UnavailableError: The server cannot be reached, or failed; try again.
        DeadlineError: ``timeout`` was not enough.
        CapacityError: The local disk is full.
    """
    url = checked_url(url)
    expected = normal_digest(sha256) if sha256 else ""
    private_directory(cache)
    entry = Entry(cache, url)
    with Deadline(timeout, url) as deadline, entry.locked(deadline.end):
        transfer = _Transfer(url, entry, expected, deadline, progress)
        if expected and entry.final.exists():
            if file_digest(entry.final, transfer.tick) == expected:
                return entry.final
            entry.forget()
        return transfer.run()


@dataclass(frozen=True, slots=True)
class _Transfer:
    """One download of one URL, by the process that holds its lock."""

    url: str
    entry: Entry
    expected: str
    deadline: Deadline
    progress: Progress

    def tick(self, done: int, total: int | None) -> None:
        """Report, and end the work when its time is up."""
        self.deadline.left()
        self.progress(done, total)

    def run(self) -> Path:
        """Download, or find that what we have is still current."""
        # The second request is for a server whose answer does not fit what we have.
        for _ in range(2):
            path = self._request()
            if path is not None:
                return path
            self.entry.discard_part()
        raise unavailable(self.url, "answers requests for a part of the file wrongly")

    def _request(self) -> Path | None:
        """Ask once; None when the answer does not fit what we have."""
        known, have = self.entry.recorded(), self.entry.part_size()
        # The record is of the part, or else of the complete file.
        current = have is None and self.entry.final.exists()
        # A complete part lacks only its name; asking for its last byte proves it current.
        start = have or 0 if known.size is None else max(0, min(have or 0, known.size - 1))
        headers = {"User-Agent": "ims", "Accept": "*/*"}
        if current and known.etag:
            headers["If-None-Match"] = known.etag
        elif current and known.last_modified:
            headers["If-Modified-Since"] = known.last_modified
        elif start and known.validator:
            headers |= {"Range": f"bytes={start}-", "If-Range": known.validator}
        with open_url(self.url, headers, self.deadline) as response:
            if response.status == _NOT_MODIFIED:
                return self.entry.final if current else None
            if response.status == _OK:
                return self._receive(response, 0, response.length)
            total = _continues(response, start, known) if "Range" in headers else None
            return None if total is None else self._receive(response, start, total)

    def _receive(self, response: HTTPResponse, start: int, total: int | None) -> Path:
        """Append the body to the part, of which the first ``start`` bytes are good."""
        self._check_size(total)
        if response.length is None and not response.chunked and not self.expected:
            raise unavailable(
                self.url,
                "does not tell the size of the file, so a lost end would go unseen; give --sha256",
                code="image-size-unknown",
            )
        with self.entry.open_part() as part:
            with local_errors(self.entry.part):
                part.truncate(start)
            if not start:
                self.entry.record(_remote(response, total))
            digest = self._digest_of(part, start, total)
            done = start
            while total is None or done < total:
                with network_errors(self.url, self.deadline):
                    block = response.read(_BLOCK)
                self.deadline.left()  # the deadline ends a read just as the server's close does
                if not block:
                    break
                done += len(block)
                self._check_size(done)
                with local_errors(self.entry.part):
                    _write(part, block)
                digest.update(block)
                self.tick(done, total)
            if total is not None and done != total:
                raise incomplete(self.url)
            self._check_digest(f"sha256:{digest.hexdigest()}")
            return self.entry.finish(part)

    def _digest_of(self, part: FileIO, length: int, total: int | None) -> hashlib._Hash:
        """Hash what was there before; the file is then at its end."""
        digest = hashlib.sha256()
        left = length
        while left:
            with local_errors(self.entry.part):
                block = part.read(min(_BLOCK, left))
            if not block:
                break
            digest.update(block)
            left -= len(block)
            self.tick(length - left, total)
        return digest

    def _check_size(self, size: int | None) -> None:
        if size is not None and size > MAX_SIZE:
            self.entry.forget()
            raise InvalidError(
                f"{public_url(self.url)} is larger than the 64 GiB that IMS fetches",
                code="image-too-large",
                hint="download it by other means, and give its path",
            )

    def _check_digest(self, actual: str) -> None:
        if self.expected and actual != self.expected:
            self.entry.forget()
            raise InvalidError(
                f"{public_url(self.url)} has digest {actual}, but --sha256 says {self.expected}; "
                "it was removed",
                code="image-digest-mismatch",
                hint="the image was changed on its way, or --sha256 is of another version of it",
            )


def _write(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _remote(response: HTTPResponse, size: int | None) -> Remote:
    """What identifies this version of the file, as far as it can be relied on."""
    etag = response.headers.get("ETag", "")
    modified = response.headers.get("Last-Modified", "")
    return Remote(
        etag=etag if _STRONG_ETAG.fullmatch(etag) else "",
        last_modified=modified if _is_reliable(modified, response.headers.get("Date", "")) else "",
        size=size,
    )


def _is_reliable(modified: str, date: str) -> bool:
    then, now = email.utils.parsedate_tz(modified), email.utils.parsedate_tz(date)
    if then is None or now is None:
        return False
    try:
        age = email.utils.mktime_tz(now) - email.utils.mktime_tz(then)
    except (ValueError, OverflowError):
        return False
    return age >= _RELIABLE_AFTER


def _continues(response: HTTPResponse, start: int, known: Remote) -> int | None:
    """The size of the whole file, if this answer goes on exactly where we stopped."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status != _PARTIAL or not found:
        return None
    etag = response.headers.get("ETag", known.etag)
    first, last, total = (int(number) for number in found.groups())
    fits = first == start and last < total and known.size in {None, total}
    return total if fits and (not known.etag or etag == known.etag) else None
