"""The site server as a station reaches it: requests that say clearly what is wrong, and the recipes that it fetches."""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sightline import __version__
from sightline.core.errors import ConflictError, InputError, RecipeError, StoreError
from sightline.line.settings import SiteServer
from sightline.store.rollouts import Wanted

API = "/api/v1"
OLDER = frozenset((404, 405))  # what a server says of a route that it does not have
WRONG = frozenset((400, 413, 422))  # the request can never be taken
MAX_ANSWER = 200_000_000
PIECE = 1 << 20


class Site:
    """A connection to the server, opened when it is needed and again after it broke. One thread at a time."""

    def __init__(self, settings: SiteServer, station: str) -> None:
        self._settings, self._station = settings, station
        self._url = urlsplit(settings.url)
        self._connection: http.client.HTTPConnection | None = None
        self.retry_after_s = 0.0  # as the server asked for with its last refusal

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        """Post gzip JSON to a route of this station; the answer.

        Raises InputError where the server will never take it, StoreError and ConflictError where it has to wait.
        """
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        _, data = self._ask("POST", f"{API}/stations/{self._station}/{path}", body, headers)
        try:
            answer = json.loads(data)
        except ValueError as error:
            raise StoreError(
                f"{self._settings.url} is not a Sightline server ({error}). Correct its address"
            ) from error
        return dict(answer)

    def fetch(self, hash: str, part: Path) -> bytes:
        """The file of a recipe. What was fetched before a break is in `part`, and is not fetched again.

        Raises RecipeError where the whole of it is not what its hash says, StoreError where it has to be tried again.
        """
        part.parent.mkdir(parents=True, exist_ok=True)
        have = part.stat().st_size if part.is_file() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        self._ask("GET", f"{API}/stations/{self._station}/recipes/{hash}/file", None, headers, into=part)
        data = part.read_bytes()
        part.unlink()
        if hashlib.sha256(data).hexdigest() != hash:
            if have:  # two halves that do not fit: both are thrown away
                raise StoreError(f"recipe {hash[:12]} was damaged on its way and is fetched anew")
            raise RecipeError(f"recipe {hash[:12]} is damaged as {self._settings.url} sends it. Register it again")
        return data

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], into: Path | None = None
    ) -> tuple[int, bytes]:
        self.retry_after_s = 0.0
        try:
            response = self._send(method, path, body, headers)
            if into is not None and response.status in {200, 206}:
                _save(response, into, append=response.status == 206)
                return response.status, b""
            data = response.read(MAX_ANSWER)
            if response.will_close or not response.isclosed():
                self.close()
        except ssl.SSLError as error:
            self.close()
            raise StoreError(_of_tls(self._settings.url, error)) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise StoreError(
                f"the site {self._settings.url} cannot be reached ({error or type(error).__name__}). "
                "Check address and network; the station keeps its records"
            ) from error
        if 200 <= response.status < 300:
            return response.status, data
        told = response.headers.get("Retry-After", "")
        self.retry_after_s = float(told) if told.isdigit() else 0.0
        raise self._refusal(response.status, _detail(data))

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Send a request; once more on a new connection where the server has closed the one that was idle."""
        sent = {**headers, "Authorization": f"Bearer {self._settings.token.read()}"}
        sent["User-Agent"] = f"sightline/{__version__}"
        for fresh in (self._connection is None, True):
            connection = self._connect()
            try:
                connection.request(method, path, body, sent)
                return connection.getresponse()
            except (ConnectionError, http.client.BadStatusLine):
                self.close()
                if fresh:
                    raise
        raise AssertionError("the second connection is a fresh one")

    def _refusal(self, status: int, detail: str) -> Exception:
        """What an answer means that is none of the good ones."""
        url = self._settings.url
        if status in OLDER and "rolled out" not in detail:
            there = self._version()
            return ConflictError(
                f"the site {url} runs Sightline {there}, which takes no records from stations; this station has "
                f"{__version__}. Upgrade the server; the station keeps its records"
            )
        if status in WRONG:
            return InputError(f"the site {url} refuses it: {detail}")
        if status == 409:
            return ConflictError(f"the site {url} says: {detail}")
        if status in {401, 403}:
            return StoreError(f"the site {url} does not accept the station's token: {detail}")
        return StoreError(f"the site {url} cannot take records now ({status}): {detail}")

    def _version(self) -> str:
        try:
            return str(json.loads(self._ask("GET", f"{API}/health", None, {})[1])["version"])
        except (StoreError, InputError, ConflictError, ValueError, KeyError, TypeError, RecursionError):
            return "of another version"

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            host, timeout = str(self._url.hostname), self._settings.timeout_ms / 1e3
            if self._url.scheme == "http":
                self._connection = http.client.HTTPConnection(host, self._url.port, timeout=timeout)
            else:
                context = self._settings.tls.context()
                self._connection = http.client.HTTPSConnection(host, self._url.port, timeout=timeout, context=context)
        return self._connection


@dataclass
class SiteRecipes:
    """What is rolled out to a station, as its site says it (`sightline.line.assigned.Source`).

    `told` gives what the server said last, None before it said anything; `tell` keeps what the station runs in its
    journal, so that the site hears it in the order of the records.
    """

    site: Site
    folder: Path
    told: Callable[[], Mapping[str, Wanted] | None]
    tell: Callable[[str, str | None, str], None]

    def wanted(self) -> Mapping[str, Wanted] | None:
        """By product, what is to be run; None where that is not known yet."""
        return self.told()

    def report(self, product: str, running: str | None, fault: str) -> None:
        """Say what is run."""
        self.tell(product, running, fault)

    def file(self, hash: str) -> bytes:
        """The file of a recipe. Raises RecipeError, StoreError."""
        return self.site.fetch(hash, self.folder / f"{hash[:16]}.part")

    def close(self) -> None:
        """Hang up."""
        self.site.close()


def _save(response: http.client.HTTPResponse, path: Path, append: bool) -> None:
    """Write a body to a file as it comes: what is there when it breaks off stays."""
    with path.open("ab" if append else "wb") as file:
        while piece := response.read(PIECE):
            file.write(piece)
    if response.length:  # the connection ended before the body did
        raise http.client.IncompleteRead(b"", response.length)


def _detail(data: bytes) -> str:
    """What a problem says in words."""
    try:
        return str(json.loads(data)["detail"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return data[:200].decode("utf-8", "replace") or "no reason is given"


def _of_tls(url: str, error: ssl.SSLError) -> str:
    why = getattr(error, "verify_message", "") or error.reason or str(error)
    if "expired" in why:
        return f"the certificate of {url} has expired. Renew it on the server; the station keeps its records"
    if "not yet valid" in why:
        return f"the certificate of {url} is not valid yet. Check this station's clock; it keeps its records"
    return f"the certificate of {url} is not accepted ({why}). Correct [site] tls or the server's certificate"
