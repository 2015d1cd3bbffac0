"""One careful reader of one web server: it tries again where that helps, and never believes half an answer.

Only GET, only http and https, only the host that was named; certificates are checked against the machine's own authorities. A proxy is taken from the
environment (HTTPS_PROXY, NO_PROXY) as usual. Tried again, after growing pauses with some chance in them: timeouts, broken connections, answers cut off, 408,
425, 429 and 5xx; a server that names a time to wait (Retry-After) gets it.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from workbench.errors import AccessRefused, BadInput, NotFound, WorkbenchError

#: The longest time that a server may ask to wait, in seconds; beyond, the fetch stops and can be resumed.
PATIENCE = 900.0
#: Bytes that one document may have.
DOCUMENT = 50 << 30
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_MOVED = frozenset({301, 302, 303, 307, 308})
_SECRET = re.compile(r"token|key|secret|passw|sig|auth|credential", re.I)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_BLOCK = 1 << 16


class Broken(Exception):
    """An answer that is not whole or not what was asked for, and may be next time."""


@dataclass(frozen=True)
class Answer:
    """What a server answered: ``headers`` by lower-case name."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def framed(self) -> bool:
        """Whether the server said where the answer ends, so that a cut is certain to be noticed."""
        return "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", "")


@dataclass
class Web:
    """The reader.

    Args:
        url: any address of the server; later ones must be of the same host.
        headers: sent with each request, e.g. a token.
        tries: how often each request is tried.
        timeout: seconds without a byte after which a try is given up; ten times that for a whole answer.
        pause: seconds of the first pause, doubled each time up to 60.
        largest: bytes that one answer may have.
        wait: sleeps some seconds.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tries: int = 8
    timeout: float = 60.0
    pause: float = 1.0
    largest: int = 1 << 29
    wait: Callable[[float], None] = time.sleep
    retried: int = 0

    def __post_init__(self) -> None:
        import urllib3

        parts = checked(self.url)
        self._host = parts.hostname
        if self.headers and parts.scheme == "http" and self._host not in _LOOPBACK:
            raise BadInput(f"A token must not go to {self._host} over http, where anyone on the way can read it; use https.")
        proxy = getproxies().get(parts.scheme)
        options: dict[str, Any] = {"retries": False, "timeout": urllib3.Timeout(connect=min(10.0, self.timeout), read=self.timeout),
                                   "headers": {"User-Agent": "workbench", "Accept-Encoding": "gzip", **self.headers}}
        direct = proxy is None or self._host in _LOOPBACK or proxy_bypass(self._host or "")
        self._pool: Any = urllib3.PoolManager(**options) if direct or proxy is None else urllib3.ProxyManager(proxy, **options)

    def get(self, url: str, check: Callable[[Answer], None]) -> Answer:
        """An answer whose body is whole and passes ``check``, which raises ``Broken`` where it does not.

        Raises:
            NotFound, AccessRefused, BadInput: the server says so (404; 401, 403; other 4xx), or sends to another host.
            WorkbenchError: it could not be had after all tries.
        """

        def once() -> Answer:
            body = bytearray()
            answer = self._once(url, {}, body.extend)
            whole = Answer(answer.url, answer.status, answer.headers, bytes(body))
            check(whole)
            return whole

        return self._patiently(url, once)

    def download(self, url: str, part: Path, etag: str, noted: Callable[[str], None]) -> Answer:
        """A whole document into a file. What a broken try has brought is kept, and the next asks only for the rest, if the server says that the document is
        still the same one (ETag).

        Args:
            url: where it is.
            part: the file; bytes that it holds already are kept when ``etag`` is still true.
            etag: of the document whose beginning the file holds; "" = begin anew.
            noted: is given the document's ETag ("" when it has none) before its bytes are written.
        """
        known = etag

        def once() -> Answer:
            nonlocal known
            held = part.stat().st_size if part.exists() and known else 0
            ask = {"Range": f"bytes={held}-", "If-Range": known, "Accept-Encoding": "identity"} if held else {"Accept-Encoding": "identity"}
            with part.open("r+b" if part.exists() else "w+b") as out:

                def begin(answer: Answer) -> None:
                    nonlocal known
                    goes_on = answer.status == 206 and answer.headers.get("content-range", "").startswith(f"bytes {held}-")
                    if answer.status == 206 and not goes_on:
                        known = ""
                        raise Broken("the server sent another part than was asked for")
                    out.seek(held if goes_on else 0)
                    out.truncate()
                    known = "" if "content-encoding" in answer.headers else _strong(answer.headers.get("etag", ""))
                    noted(known)

                try:
                    answer = self._once(url, ask, out.write, begin)
                except NotFound as error:
                    if held and "416" in str(error):
                        known = ""
                        raise Broken("the part that was asked for is not there") from error
                    raise
                if "html" in answer.headers.get("content-type", "") and not urlsplit(url).path.lower().endswith((".htm", ".html")):
                    raise Broken("the server answered with a web page")
            return answer

        return self._patiently(url, once)

    def _patiently(self, url: str, once: Callable[[], Answer]) -> Answer:
        import urllib3.exceptions as wrong

        said = ""
        for number in range(self.tries):
            least = 0.0
            try:
                return once()
            except WorkbenchError:
                raise
            except _Busy as error:
                said, least = str(error), error.after
            except Broken as error:
                said = str(error)
            except wrong.SSLError as error:
                raise BadInput(f"The certificate of {self._host} is not to be trusted ({_brief(error)}); nothing was fetched.") from error
            except (wrong.TimeoutError, TimeoutError):
                said = f"it was silent for {self.timeout:g} s"
            except (wrong.HTTPError, OSError) as error:
                said = f"the connection broke ({_brief(error)})"
            if least > PATIENCE:
                raise WorkbenchError(f"{self._host} asks to wait {least / 60:,.0f} minutes; run the same command again then, it goes on where it stopped.")
            if number + 1 < self.tries:
                self.retried += 1
                self.wait(max(least, min(60.0, self.pause * 2**number) * (0.5 + random.random() / 2)))
        raise WorkbenchError(f"{shown(url)} could not be fetched in {self.tries} tries: {said}. Run the same command again, it goes on where it stopped.")

    def _once(self, url: str, headers: Mapping[str, str], write: Callable[[bytes], Any], begin: Callable[[Answer], None] | None = None) -> Answer:
        """One try, redirects on the same host followed."""
        began, here, size = time.monotonic(), url, 0
        for _ in range(6):
            self._same(here)
            reply: Any = self._pool.request("GET", here, headers={**self._pool.headers, **headers}, preload_content=False, redirect=False)
            try:
                found = {str(k).lower(): str(v) for k, v in reply.headers.items()}
                if reply.status in _MOVED and "location" in found:
                    here = urljoin(here, found["location"])
                    continue
                answer = Answer(here, reply.status, found)
                if not 200 <= reply.status < 300:
                    raise self._refusal(answer, reply.read(2000, decode_content=True))
                if begin:
                    begin(answer)
                for block in _arriving(reply) if begin else reply.stream(_BLOCK, decode_content=True):
                    size += len(block)
                    if size > DOCUMENT:
                        raise BadInput(f"{shown(url)} has more than {DOCUMENT / 1e9:,.0f} GB; fetch it in parts.")
                    if size > self.largest and not begin:
                        raise BadInput(f"{shown(url)} answers with more than {self.largest / 1e6:,.0f} MB; ask for fewer rows a page: --page 1000")
                    if time.monotonic() - began > 10 * self.timeout and not begin:
                        raise Broken(f"the answer was not whole after {10 * self.timeout:g} s")
                    write(block)
                return answer
            finally:
                reply.close()
                reply.release_conn()
        raise BadInput(f"{shown(url)} sends from one address to the next without end.")

    def _same(self, url: str) -> None:
        parts, own = checked(url), urlsplit(self.url)
        if (parts.hostname, _port(parts)) == (own.hostname, _port(own)) and parts.scheme == own.scheme:
            return
        if parts.hostname == own.hostname and (own.scheme, parts.scheme, _port(own), _port(parts)) == ("http", "https", 80, 443):
            return
        raise BadInput(f"{own.netloc} sends to another place, {shown(url)}; that is not followed. If it is right, fetch from there by its own address.")

    def _refusal(self, answer: Answer, body: bytes) -> Exception:
        said = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body.decode("utf-8", "replace"))).strip()[:200]
        told = f"{shown(answer.url)} answered {answer.status}" + (f": {said}" if said else "")
        if answer.status in _AGAIN:
            return _Busy(f"it answered {answer.status}", _after(answer.headers.get("retry-after", "")))
        if answer.status in (401, 403):
            return AccessRefused(f"{told}. If it needs a token, put it into an environment variable and name that: --header X-App-Token=MY_TOKEN")
        if answer.status in (404, 410, 416):
            return NotFound(f"{told}.")
        return BadInput(f"{told}.")


def _arriving(reply: Any) -> Iterator[bytes]:
    """An answer's bytes as they come, so that those before a cut are not lost."""
    while block := reply.read1(_BLOCK, decode_content=True):
        yield block


class _Busy(Broken):
    """The server says: not now."""

    def __init__(self, said: str, after: float) -> None:
        super().__init__(said)
        self.after = after


def checked(url: str) -> Any:
    """An address taken apart.

    Raises:
        BadInput: it is none of http or https, or carries a password.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1)
    except ValueError:
        known = False
    if not known:
        raise BadInput(f"{shown(url)!r} is no address that can be fetched; it must begin with https:// or http://.")
    if parts.username or parts.password:
        raise BadInput(f"The address of {parts.hostname} carries a user or password; put it into an environment variable and name that: "
                       "--header Authorization=MY_VARIABLE")
    return parts


def shown(url: str) -> str:
    """An address as it may be written down: without user, password or the value of anything that looks like a secret."""
    try:
        parts = urlsplit(url)
        query = urlencode([(k, "..." if _SECRET.search(k) else v) for k, v in parse_qsl(parts.query, keep_blank_values=True)], safe=":$'>=<., ")
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))
    except ValueError:
        return "(an address that cannot be read)"


def _port(parts: Any) -> int:
    return int(parts.port or (443 if parts.scheme == "https" else 80))


def _after(text: str) -> float:
    """Seconds to wait out of a Retry-After header, which says seconds or a date."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()) if text else 0.0
    except (ValueError, TypeError):
        return 0.0


def _strong(etag: str) -> str:
    return "" if etag.startswith("W/") else etag


def _brief(error: Exception) -> str:
    return re.sub(r"<[^>]*>|0x[0-9a-f]+", "", str(error)).strip(" :()'")[:160] or type(error).__name__
