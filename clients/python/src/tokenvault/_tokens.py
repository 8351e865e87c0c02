"""Access tokens: where a client gets the one that it shows beside its certificate. None of them is ever printed."""

from __future__ import annotations

import json
import os
import re
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Union

from ._errors import ConfigurationError, TokenUnavailable

# RFC 6750 section 2.1. gRPC would print metadata that it does not take.
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z")
_TOKEN_CHARS_MAX = 16 << 10
_ANSWER_BYTES_MAX = 64 << 10
# A token is renewed when a fifth of its life is left, or this many seconds.
_RENEWAL_SECONDS_MAX = 60.0
# What is counted on where the authorization server does not say how long a token lives.
_LIFE_SECONDS_DEFAULT = 60.0
# How long a renewal that failed is not tried again while the old token lives.
_RENEWAL_PAUSE_SECONDS = 5.0

PathOrText = Union[str, "os.PathLike[str]"]


class TokenSource:
    """Gives access tokens. One source may serve several clients and threads; it may block for `timeout` seconds."""

    def token(self, timeout: float) -> str:
        """The token to show now."""
        raise NotImplementedError

    def refused(self, token: str) -> None:
        """The vault did not take this token. Sources that keep one forget it."""


class StaticToken(TokenSource):
    """One token for as long as the client lives."""

    def __init__(self, token: str) -> None:
        self._token = checked(token)

    def token(self, timeout: float) -> str:
        return self._token


class FileToken(TokenSource):
    """A token in a file, read again when the file changes: whoever rotates it replaces the file."""

    def __init__(self, path: PathOrText) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._seen: Optional[Tuple[int, int, int]] = None
        self._token = ""

    def token(self, timeout: float) -> str:
        with self._lock:
            try:
                told = self._path.stat()
                seen = (told.st_ino, told.st_mtime_ns, told.st_size)
                if seen != self._seen:
                    self._token = checked(self._path.read_bytes().decode("ascii", "replace").strip())
                    self._seen = seen
            except OSError as error:
                raise TokenUnavailable(f"can't read the access token from {self._path}: {error.strerror}") from None
            return self._token


class ClientCredentials(TokenSource):
    """Tokens of an authorization server, by OAuth 2 client credentials (RFC 6749 section 4.4) over mutual TLS.

    The client proves itself by its certificate (RFC 8705), so there is no secret to keep beside the key. `token_url` is
    https; `ca`, `certificate` and `key` are PEM files, and the system's authorities are not asked. `more` are further
    fields of the request, `resource` for instance. A token is renewed before it expires; while that fails, the old one
    is shown for as long as it lives.
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
        if urllib.parse.urlsplit(token_url).scheme != "https":
            raise ConfigurationError("the token URL must be https")
        try:
            context = ssl.create_default_context(cafile=os.fspath(ca))
            context.load_cert_chain(os.fspath(certificate), os.fspath(key))
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"TLS to the authorization server can't be set up: {error.strerror}") from None
        self._url = token_url
        fields = {"grant_type": "client_credentials", "client_id": client_id, "scope": scope, "audience": audience}
        self._fields = {**{name: value for name, value in fields.items() if value}, **(more or {})}
        # No proxies, no redirects: a token goes where it was meant to go.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _NoRedirects()
        )
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = self._ends_at = float("-inf")

    def token(self, timeout: float) -> str:
        with self._lock:
            now = time.monotonic()
            if now < self._renew_at:
                return self._token
            try:
                token, life = self._fetch(timeout)
            except TokenUnavailable:
                if now >= self._ends_at:
                    raise
                self._renew_at = min(self._ends_at, now + _RENEWAL_PAUSE_SECONDS)
                return self._token
            self._token = token
            self._ends_at = now + life
            self._renew_at = self._ends_at - min(_RENEWAL_SECONDS_MAX, life / 5)
            return token

    def refused(self, token: str) -> None:
        with self._lock:
            if token == self._token:
                self._token = ""
                self._renew_at = self._ends_at = float("-inf")

    def _fetch(self, timeout: float) -> Tuple[str, float]:
        """A new token, and the seconds that it lives."""
        body = urllib.parse.urlencode(self._fields).encode()
        request = urllib.request.Request(self._url, body, {"Accept": "application/json"}, method="POST")
        refused: Optional[TokenUnavailable] = None
        raw = b""
        try:
            with self._opener.open(request, timeout=max(0.001, timeout)) as answer:
                raw = answer.read(_ANSWER_BYTES_MAX + 1)
        except urllib.error.HTTPError as error:
            with error:
                # Its body may repeat what was sent; its status says enough.
                refused = TokenUnavailable(
                    f"the authorization server refuses a token: HTTP status {error.code}", error.code >= 500
                )
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            problem = getattr(reason, "strerror", None) or type(reason).__name__
            refused = TokenUnavailable(f"the authorization server can't be reached: {problem}", True)
        if refused is not None:
            raise refused
        answered = _object(raw)
        if str(answered.get("token_type", "bearer")).lower() != "bearer":
            raise TokenUnavailable("the authorization server gives no bearer token")
        life = answered.get("expires_in", _LIFE_SECONDS_DEFAULT)
        if isinstance(life, bool) or not isinstance(life, (int, float)) or not life > 0:
            raise TokenUnavailable("the authorization server gives a token without a life")
        return checked(answered.get("access_token")), float(life)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _object(raw: bytes) -> Dict[str, Any]:
    """The JSON object of an answer; an empty one where there is none, so that no error holds what was there."""
    if len(raw) > _ANSWER_BYTES_MAX:
        return {}
    try:
        read = json.loads(raw)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def checked(token: object) -> str:
    """A token that can stand in a header."""
    if not isinstance(token, str) or len(token) > _TOKEN_CHARS_MAX or not _BEARER.match(token):
        raise TokenUnavailable("what was given as an access token is none (RFC 6750 section 2.1)")
    return token
