"""Download of one file over HTTP, with retries after connection errors."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from bench.errors import BenchError, argument
from bench.sources.download import limits
from bench.sources.download.meter import Meter
from bench.sources.download.records import Origin, Part
from bench.sources.download.responses import failure, origin_of, retry_after, span

if TYPE_CHECKING:
    import requests

AGAIN = "Run the command again to continue the download."

_ELSEWHERE = (
    f"Try another source by {argument('mirror', 'URL')}, or {argument('source', 'DIR')} with files "
    "you have."
)
_BLOCK = 1 << 20
_PASSING = {429, 500, 502, 503, 504}


class _PassingError(Exception):
    """A request failed, but a later attempt may succeed.

    Args:
        reason: Description of the failure, without a full stop.
        wait: Time that the server asks to wait (s).
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class Download:
    """Download of one file with as many requests as needed.

    Args:
        part: Downloaded part of the file.
        url: Address of the file.
        session: HTTP session for the requests.
        meter: Progress display.
    """

    def __init__(self, part: Part, url: str, session: requests.Session, meter: Meter) -> None:
        self._part, self._url, self._session, self._meter = part, url, session, meter

    def run(self) -> None:
        """Download and check the file; a wrong file is downloaded a second time.

        Raises:
            BenchError: The file cannot be downloaded from this address.
            OSError: The file cannot be written.
        """
        for last in (False, True):
            self._complete()
            wrong = self._part.settle(self._part.origin or Origin(url=self._url))
            if wrong is None:
                return
            if last:
                raise self._error(f"{wrong}; the file was removed")
            self._meter.say(f"{wrong}; downloading it again from the beginning")

    def _complete(self) -> None:
        """Send requests until the part is complete."""
        fruitless, furthest = 0, self._part.size
        while True:
            try:
                self._request()
                return
            except _PassingError as error:
                have = self._part.size
                # Only bytes beyond the furthest point count as progress; otherwise a server that
                # always breaks off at one point would be asked forever.
                fruitless = 0 if have > furthest else fruitless + 1
                furthest = max(have, furthest)
                if fruitless == limits.TRIES:
                    advice = f"{AGAIN} {_ELSEWHERE}"
                    raise self._error(f"{error}, {limits.TRIES} times", advice) from None
                self._pause(error, fruitless)

    def _pause(self, error: _PassingError, fruitless: int) -> None:
        """Wait before the next attempt: longer after each failure, or as the server asks."""
        wait = limits.BACKOFF_SECONDS * 2 ** max(fruitless - 1, 0) * random.uniform(0.75, 1.25)
        wait = min(max(wait, error.wait), limits.LONGEST_WAIT)
        self._meter.say(f"{error}; trying again in {wait:.0f} s")
        time.sleep(wait)

    def _request(self) -> None:
        """Send one request for the missing bytes."""
        import requests
        import urllib3

        have, ranged = self._continuation()
        if have and have == self._part.file.size:
            return
        headers = {"Accept-Encoding": "identity", **ranged}
        timeout = (limits.CONNECT_SECONDS, limits.STALL_SECONDS)
        try:
            with self._session.get(
                self._url, headers=headers, stream=True, timeout=timeout
            ) as response:
                self._take(response, have)
        except requests.TooManyRedirects:
            raise self._error("redirected without end") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if isinstance(error, ValueError):  # a wrong URL, or a redirect to a wrong URL
                raise self._error("the URL, or its redirect, is not a web address") from None
            raise _PassingError(failure(error)) from None

    def _continuation(self) -> tuple[int, dict[str, str]]:
        """Return the number of bytes to keep of the part, and the headers of the next request."""
        part, have, validator = self._part, self._part.size, self._validator()
        too_long = part.file.size is not None and have > part.file.size
        if not have or too_long or not (validator or part.known):
            return 0, {}
        condition = {"If-Range": validator} if validator else {}
        return have, {"Range": f"bytes={have}-", **condition}

    def _validator(self) -> str | None:
        """Return the part's If-Range value; None if the part came from another address."""
        origin = self._part.origin
        return origin.validator if origin and origin.url == self._url else None

    def _take(self, response: requests.Response, have: int) -> None:
        """Append the bytes of a response to the part, or start the part again."""
        code = response.status_code
        if code in _PASSING:
            raise _PassingError(f"the server answers {code}", retry_after(response))
        if code not in (200, 206) and not (code == 416 and have):
            raise self._error(f"the server answers {code} {response.reason}")
        start, total = span(response)
        if code != 200 and (start != have or self._changed(response)):
            self._part.discard()
            raise _PassingError("the server cannot continue the download")
        if code == 416:  # the part is complete
            return
        self._examine(response, total)
        total = self._part.file.size if total is None else total
        self._receive(response, start or 0, total)
        if total is not None and self._part.size < total:
            raise _PassingError("the file was cut short")

    def _changed(self, response: requests.Response) -> bool:
        """Return whether the file on the server has changed; some servers ignore If-Range."""
        before, now = self._validator(), origin_of(response, self._url).validator
        return None not in (before, now) and before != now

    def _examine(self, response: requests.Response, total: int | None) -> None:
        """Refuse a response that cannot be the file, before its bytes are read."""
        file, headers = self._part.file, response.headers
        page = headers.get("Content-Type", "").lower().startswith("text/html")
        if page and not file.name.lower().endswith((".html", ".htm")):
            raise self._error("the server sends a web page, not the file")
        if (packed := headers.get("Content-Encoding", "identity")) != "identity":
            raise self._error(f"the server sends the file compressed ({packed}), without request")
        if total is not None and (wrong := self._part.misfit(total)):
            raise self._error(f"{wrong}; not downloaded")
        whole = total is not None or "Transfer-Encoding" in headers
        if not whole and file.size is None and not self._part.known:
            raise self._error("the server does not say where the file ends")

    def _receive(self, response: requests.Response, start: int, total: int | None) -> None:
        """Write the bytes of a response after the part's first ``start`` bytes."""
        with self._part.path.open("ab" if start else "wb") as out:
            if not start:  # the description is written only after the old part is truncated
                self._part.origin = origin_of(response, self._url)
            self._meter.begin(start, total)
            have = start
            while block := response.raw.read1(_BLOCK, decode_content=False):
                out.write(block)
                have += len(block)
                self._meter.at(have)

    def _error(self, reason: str, advice: str = _ELSEWHERE) -> BenchError:
        return BenchError(f"{self._part.file.name}: {reason} ({self._url}). {advice}")
