"""Where the vault is, who we are, and how long we wait. Everything is checked here, before anything is dialled."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping, Optional, Tuple, Union

from ._errors import ConfigurationError
from ._tokens import TokenSource

#: Seconds that a call may take with all its attempts, unless told otherwise.
DEADLINE_DEFAULT = 10.0
#: The longest deadline of a call, in seconds.
DEADLINE_MAX = 3600.0
#: Attempts of one call, unless told otherwise.
ATTEMPTS_DEFAULT = 4
#: The most attempts of one call.
ATTEMPTS_MAX = 10
#: Calls that a batch which needs several keeps open at once, unless told otherwise.
IN_FLIGHT_DEFAULT = 4
#: The most calls that one batch may keep open at once.
IN_FLIGHT_MAX = 64
#: Endpoints that a call may be sent on to.
FOLLOWED_ENDPOINTS_MAX = 16
#: Batches of a stream that are on their way or wait to be taken, unless told otherwise.
STREAM_WINDOW_DEFAULT = 8
#: The most batches of a stream that may be on their way.
STREAM_WINDOW_MAX = 1024

_ENDPOINT = re.compile(r"https://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})/?\Z")

PathOrText = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Endpoint:
    """Where a vault listens: `https://<host>:<port>`, nothing behind it."""

    host: str
    port: int

    @staticmethod
    def parse(text: str) -> Endpoint:
        """Parses it."""
        found = _ENDPOINT.match(text)
        if not found or not 0 < int(found["port"]) < 65536:
            raise ConfigurationError("the endpoint must be https://<host>:<port>")
        return Endpoint(found["host"].lower(), int(found["port"]))

    @property
    def target(self) -> str:
        """What gRPC dials."""
        return f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"https://{self.target}"


@dataclass(frozen=True)
class ClientConfig:
    """What a client is made of. PEM goes in as bytes; `from_files` and `from_environment` read it.

    `ca`: the authorities that the server's certificate may come from; the system's are never trusted.
    `certificate`, `key`: the client's certificate with its chain, and its private key.
    `server_name`: the name that the server's certificate has to bear, where it is not the endpoint's host.
    `deadline`: seconds that a call may take, all its attempts included.
    `attempts_max`: how often a call is attempted at most, 1 for once.
    `in_flight_max`: how many calls a batch that needs several keeps open at once.
    `stream_window`: how many batches of a stream are on their way, or wait to be taken, at once.
    `regions`: endpoints of regions that are served elsewhere, a connection each.
    `followed`: endpoints that a call for another region may be sent on to, when the vault names them. One that is not
    listed is never followed: a value would go where nobody meant it to. The server there, as those of `regions`, has to
    prove itself by the same authorities, under its endpoint's own host name.
    `checkpoints`: a folder that keeps the newest checkpoint of each log, beside memory: a log that does not go on from
    what was seen of it in an earlier run raises LogContradicted, and is not asked. One folder for each vault; clients
    may share it.
    `token_source`: gives the access token that is shown with every attempt, where accounts ask for one.
    """

    endpoint: str
    ca: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    server_name: Optional[str] = None
    deadline: float = DEADLINE_DEFAULT
    attempts_max: int = ATTEMPTS_DEFAULT
    in_flight_max: int = IN_FLIGHT_DEFAULT
    stream_window: int = STREAM_WINDOW_DEFAULT
    regions: Mapping[str, str] = field(default_factory=dict)
    followed: Tuple[str, ...] = ()
    token_source: Optional[TokenSource] = None
    checkpoints: Optional[PathOrText] = None

    def __post_init__(self) -> None:
        for endpoint in (self.endpoint, *self.regions.values(), *self.followed):
            Endpoint.parse(endpoint)
        _check_pem("the server's CA", self.ca, b"-----BEGIN CERTIFICATE-----")
        _check_pem("the client certificate", self.certificate, b"-----BEGIN CERTIFICATE-----")
        _check_pem("the client key", self.key, b"PRIVATE KEY-----")
        check_deadline(self.deadline)
        _check_count("attempts_max", self.attempts_max, ATTEMPTS_MAX)
        _check_count("in_flight_max", self.in_flight_max, IN_FLIGHT_MAX)
        _check_count("stream_window", self.stream_window, STREAM_WINDOW_MAX)
        if len(self.followed) > FOLLOWED_ENDPOINTS_MAX:
            raise ConfigurationError(f"the endpoints to follow must be at most {FOLLOWED_ENDPOINTS_MAX}")

    @staticmethod
    def from_files(
        endpoint: str, ca: PathOrText, certificate: PathOrText, key: PathOrText, **more: Any
    ) -> ClientConfig:
        """A configuration whose PEM stands in files; `more` are the other fields."""
        return ClientConfig(endpoint, ca=_read(ca), certificate=_read(certificate), key=_read(key), **more)

    @staticmethod
    def from_environment(**more: Any) -> ClientConfig:
        """A configuration by the variables that the command line goes by.

        They are TOKENVAULT_ENDPOINT, TOKENVAULT_CA, TOKENVAULT_CERT and TOKENVAULT_KEY: an endpoint and three files.
        """
        found = []
        for name in ("TOKENVAULT_ENDPOINT", "TOKENVAULT_CA", "TOKENVAULT_CERT", "TOKENVAULT_KEY"):
            if not os.environ.get(name):
                raise ConfigurationError(f"{name} is not set")
            found.append(os.environ[name])
        return ClientConfig.from_files(*found, **more)


def check_deadline(seconds: float) -> float:
    """A deadline that a call can have."""
    if not 0 < seconds <= DEADLINE_MAX:
        raise ConfigurationError("the deadline must be above zero and at most one hour")
    return seconds


def _check_count(name: str, count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise ConfigurationError(f"{name} must be 1 to {most}")


def _check_pem(what: str, text: bytes, mark: bytes) -> None:
    if not isinstance(text, bytes) or mark not in text:
        raise ConfigurationError(f"{what} is not in PEM form")


def _read(path: PathOrText) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"can't read {os.fspath(path)}: {error.strerror}") from None
