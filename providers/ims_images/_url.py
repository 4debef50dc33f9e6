"""URLs of images: which are allowed, and how they are shown."""

from __future__ import annotations

from urllib.parse import urldefrag, urlsplit, urlunsplit

from ims_core.errors import InvalidError
from ims_images._file import printable

__all__ = ["checked_url", "public_url"]


def public_url(url: str) -> str:
    """The URL without what may be secret: user, password, query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(a URL that cannot be read)"
    host = parts.netloc.rpartition("@")[2]
    query = "…" if parts.query else ""
    return printable(urlunsplit((parts.scheme, host, parts.path, query, "")))


def checked_url(url: str) -> str:
    """The URL without its fragment.

    Raises:
        InvalidError: IMS does not fetch from it; the message says why.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidError(
            f"the image URL {public_url(url)} cannot be read: {error}", code="invalid-url"
        ) from error
    if parts.scheme.lower() != "https":
        raise InvalidError(
            f"images are fetched over https only, not from {public_url(url)}",
            code="image-url-not-https",
            hint="use the https:// address, or download the image and give its path",
        )
    if "@" in parts.netloc:
        raise InvalidError(
            f"the image URL {public_url(url)} has a user or a password in it",
            code="image-url-has-password",
            hint="use a signed URL, or download the image and give its path",
        )
    if not parts.hostname or port == 0 or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidError(
            f"the image URL {public_url(url)} has no host, or characters that no URL has",
            code="invalid-url",
            hint="write such characters as %XX",
        )
    return urldefrag(url)[0]
