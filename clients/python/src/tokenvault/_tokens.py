"""Access tokens: where a client gets the one that it shows beside its certificate. None of them is ever printed."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Optional, Tuple, Union

from ._errors import TokenUnavailable

# RFC 6750 section 2.1. gRPC would print metadata that it does not take.
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z")
_TOKEN_CHARS_MAX = 16 << 10

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


def checked(token: object) -> str:
    """A token that can stand in a header."""
    if not isinstance(token, str) or len(token) > _TOKEN_CHARS_MAX or not _BEARER.match(token):
        raise TokenUnavailable("what was given as an access token is none (RFC 6750 section 2.1)")
    return token
