"""Access tokens that the client fetches itself: OAuth 2 client credentials (RFC 6749 section 4.4) over mutual TLS.

The client is known to the authorization server by its certificate (RFC 8705 section 2), so there is no secret to keep
beside the certificate's key. Nothing that the server answers is repeated in an error, but for the code of one.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import random
import re
import socket
import ssl
import threading
import time
import urllib.parse
from typing import Any, Dict, Optional, Tuple

from ._errors import ConfigurationError, TokenUnavailable
from ._tokens import PathOrText, TokenSource, checked

# How long one question to the server may take, with all that belongs to it, in seconds.
_DEADLINE_SECONDS = 5.0
_HEAD_BYTES_MAX = 16 << 10
_ANSWER_BYTES_MAX = 64 << 10
# The client's id, scopes, and whatever else is asked for: one to so many visible ASCII characters and blanks.
_PARAMETER = re.compile(r"[ -~]{1,1024}\Z")
# A code of RFC 6749 section 5.2, such as `invalid_client`, which looks like no secret.
_CODE = re.compile(r"[a-z_]{1,40}\Z")
# What is counted on where the server does not say how long a token lives.
_LIFE_SECONDS_DEFAULT = 60.0
# A token is asked for again after a day at the latest.
_LIFE_SECONDS_MAX = 24 * 3600.0
# The pause after the first failure, which doubles with each further one, and the longest.
_PAUSE_SECONDS_FIRST = 1.0
_PAUSE_SECONDS_MAX = 60.0


class ClientCredentials(TokenSource):
    """Tokens of an authorization server for who shows it a certificate.

    The server knows the client by what its authority says of the certificate (`tls_client_auth`) or by the certificate
    itself (`self_signed_tls_client_auth`); which of them is its affair. `token_url` is https, of TLS 1.3; `ca`,
    `certificate` and `key` are PEM files, and the system's authorities are not asked. They are those of the client that
    the tokens are for: the vault takes a token with the certificate alone that it was given to. `more` are further
    fields of the request, `resource` for instance.

    One token is fetched at a time, whoever asks: again after three to four fifths of its life, beside the calls, which
    go on with the one at hand; after a failure with growing pauses. The one at hand serves to its end. Whoever asks
    when there is none waits for the next one.
    """

    def __init__(
        self,
        token_url: str,
        client_id: str,
        *,
        ca: PathOrText,
        certificate: PathOrText,
        key: PathOrText,
        scope: Optional[str] = None,
        audience: Optional[str] = None,
        more: Optional[Dict[str, str]] = None,
    ) -> None:
        fields = {"grant_type": "client_credentials", "client_id": client_id, "scope": scope, "audience": audience}
        asked = {name: value for name, value in {**fields, **(more or {})}.items() if value is not None}
        self._endpoint = _Endpoint(token_url, _context(ca, certificate, key), asked)
        self._lock = threading.Lock()
        self._token = ""
        # When it ends, on both clocks: one stands still while the machine sleeps, the other may jump.
        self._ends = (float("-inf"), float("-inf"))
        # When it is asked for again, and when at the soonest, where there is none to show.
        self._ask_at = self._ask_soonest = float("-inf")
        self._failures = 0
        self._problem = TokenUnavailable("the access token has just ended", True)
        self._asking: Optional[threading.Event] = None

    def token(self, timeout: float) -> str:
        waits_until = time.monotonic() + timeout
        with self._lock:
            lives = self._lives()
            if self._asking is None and time.monotonic() >= (self._ask_at if lives else self._ask_soonest):
                self._asking = threading.Event()
                threading.Thread(target=self._ask, args=(self._asking,), name="tokenvault-token", daemon=True).start()
            if lives:
                return self._token
            asking = self._asking
        if asking is not None and not asking.wait(max(0.0, waits_until - time.monotonic())):
            raise TokenUnavailable("the authorization server has not answered yet", True)
        with self._lock:
            if self._lives():
                return self._token
            problem = self._problem
        # An exception of its own for each who asked: they may be raised in several threads.
        raise TokenUnavailable(str(problem), problem.is_passing)

    def refused(self, token: str) -> None:
        with self._lock:
            if token == self._token:
                self._token = ""
                self._ends = (float("-inf"), float("-inf"))

    def _lives(self) -> bool:
        return time.monotonic() < self._ends[0] and time.time() < self._ends[1]

    def _ask(self, asked: threading.Event) -> None:
        """Fetches a token, or notes why there is none."""
        problem: Optional[TokenUnavailable] = None
        token, life = "", 0.0
        try:
            token, life = self._endpoint.fetch()
        except TokenUnavailable as refused:
            problem = refused
        except Exception as error:  # Whoever waits has to be told, whatever it was.
            problem = TokenUnavailable(f"the authorization server can't be asked: {type(error).__name__}", True)
        with self._lock:
            now = time.monotonic()
            if problem is None:
                self._token, self._failures = token, 0
                self._ends = (now + life, time.time() + life)
                self._ask_at, self._ask_soonest = now + life * random.uniform(0.6, 0.8), float("-inf")
            else:
                self._problem = problem
                pause = min(_PAUSE_SECONDS_MAX, _PAUSE_SECONDS_FIRST * float(2 ** min(self._failures, 16)))
                self._failures += 1
                self._ask_at = now + pause * random.uniform(0.5, 1.0)
                self._ask_soonest = min(self._ask_at, now + _PAUSE_SECONDS_FIRST)
            self._asking = None
        asked.set()


class _Endpoint:
    """Where tokens are given: one POST, no proxies, no redirects, little patience, an answer of bounded size."""

    def __init__(self, url: str, context: ssl.SSLContext, fields: Dict[str, str]) -> None:
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port or 443
        except ValueError:
            raise ConfigurationError("the token URL can't be read") from None
        is_plain = re.match(r"[!-~]+\Z", url) and "@" not in parts.netloc and "#" not in url
        if parts.scheme != "https" or not parts.hostname or not is_plain:
            raise ConfigurationError("the token URL must be https://<host>[:<port>]/<path>")
        for name, value in fields.items():
            if not isinstance(value, str) or not _PARAMETER.match(value) or not _PARAMETER.match(name):
                raise ConfigurationError(f"{name} must be 1 to 1024 visible ASCII characters")
        self._host, self._port, self._context = parts.hostname, port, context
        body = urllib.parse.urlencode(fields).encode()
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = [
            f"POST {path} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Accept: application/json",
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        self._request = "\r\n".join([*head, "", ""]).encode() + body

    def fetch(self) -> Tuple[str, float]:
        """A new token, and the seconds that it lives."""
        ends = time.monotonic() + _DEADLINE_SECONDS
        refused: Optional[TokenUnavailable] = None
        status, raw = 0, b""
        try:
            status, raw = self._exchange(ends)
        except _TooLong:
            refused = TokenUnavailable("the authorization server's answer is too long")
        except (OSError, ValueError, http.client.HTTPException) as error:
            problem = "no answer in time" if isinstance(error, socket.timeout) else getattr(error, "strerror", None)
            problem = problem or type(error).__name__
            refused = TokenUnavailable(f"the authorization server can't be reached: {problem}", True)
        if refused is not None:
            raise refused
        answered = _object(raw)
        if status != 200:
            # Its body may repeat what was sent: but for a code, its status says enough.
            code = answered.get("error")
            said = f"HTTP status {status}" if status < 400 or status >= 500 or not _is_code(code) else str(code)
            raise TokenUnavailable(f"the authorization server refuses a token: {said}", status >= 500)
        if str(answered.get("token_type", "bearer")).lower() != "bearer":
            raise TokenUnavailable("the authorization server gives no bearer token")
        life = answered.get("expires_in", _LIFE_SECONDS_DEFAULT)
        if isinstance(life, bool) or not isinstance(life, (int, float)) or not life > 0:
            raise TokenUnavailable("the authorization server gives a token without a life")
        return checked(answered.get("access_token")), min(float(life), _LIFE_SECONDS_MAX)

    def _exchange(self, ends: float) -> Tuple[int, bytes]:
        """The status and the body of the answer."""
        with socket.create_connection((self._host, self._port), timeout=_left(ends)) as plain:
            with self._context.wrap_socket(plain, server_hostname=self._host) as connection:
                connection.settimeout(_left(ends))
                connection.sendall(self._request)
                answer = http.client.HTTPResponse(_Answer(connection, ends), method="POST")  # type: ignore[arg-type]
                with answer:
                    answer.begin()
                    body = answer.read(_ANSWER_BYTES_MAX + 1)
                    if len(body) > _ANSWER_BYTES_MAX:
                        raise _TooLong
                    if answer.length:
                        raise http.client.IncompleteRead(b"", answer.length)
                    return answer.status, body


class _TooLong(Exception):
    pass


class _Answer(io.RawIOBase):
    """What a server sends, until its time is over or it has sent too much."""

    def __init__(self, connection: ssl.SSLSocket, ends: float) -> None:
        self._connection, self._ends = connection, ends
        self._bytes_left = _HEAD_BYTES_MAX + _ANSWER_BYTES_MAX

    def makefile(self, _mode: str) -> io.BufferedReader:
        """As a socket has it, for the parser."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(_left(self._ends))
        count = self._connection.recv_into(buffer)
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise _TooLong
        return count


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise socket.timeout
    return left


def _context(ca: PathOrText, certificate: PathOrText, key: PathOrText) -> ssl.SSLContext:
    """TLS 1.3, as with the vault."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cafile=os.fspath(ca))
        # A key under a passphrase is refused; nobody is asked for it on a terminal.
        context.load_cert_chain(os.fspath(certificate), os.fspath(key), password="")
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"TLS to the authorization server can't be set up: {error.strerror}") from None
    return context


def _is_code(code: object) -> bool:
    return isinstance(code, str) and _CODE.match(code) is not None


def _object(raw: bytes) -> Dict[str, Any]:
    """The JSON object of an answer; an empty one where there is none, so that no error holds what was there."""
    try:
        read = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
