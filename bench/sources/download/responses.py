"""Interpretation of HTTP responses and connection errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bench.sources.download import limits
from bench.sources.download.records import Origin

if TYPE_CHECKING:
    import requests


def origin_of(response: requests.Response, url: str) -> Origin:
    """Return the description of the file at ``url`` from the headers of a response."""
    etag, last_modified = (response.headers.get(name) for name in ("ETag", "Last-Modified"))
    return Origin(url=url, etag=etag, last_modified=last_modified)


def span(response: requests.Response) -> tuple[int | None, int | None]:
    """Return the first byte of a response and the size of the whole file; None if not given.

    The first byte of a 416 response is the end of the file.
    """
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None
    told = re.fullmatch(
        r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", "")
    )
    if told is None:
        return None, None
    total = None if told[2] == "*" else int(told[2])
    return total if told[1] is None else int(told[1]), total


def retry_after(response: requests.Response) -> float:
    """Return the time that a server asks to wait (s); the header has seconds or a date."""
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    try:
        return Retry().parse_retry_after(response.headers.get("Retry-After", "0"))
    except InvalidHeader:
        return 0.0


def failure(error: Exception) -> str:
    """Return a short description of a connection error."""
    import requests
    from urllib3 import exceptions as urllib3

    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {limits.CONNECT_SECONDS:g} s"
    if isinstance(error, requests.Timeout | urllib3.TimeoutError):
        return f"no data for {limits.STALL_SECONDS:g} s"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy cannot be reached"
    if isinstance(error, requests.exceptions.SSLError | urllib3.SSLError):
        return "the connection is not secure"
    if isinstance(error, urllib3.HTTPError):
        return "the connection broke off"
    return "no connection"
