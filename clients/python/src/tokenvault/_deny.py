"""Access tokens that a vault refuses though their issuer still vouches for them: for operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, List, Optional, Tuple

from ._items import Sealed
from .v1 import admin_service_pb2 as v1

DENY_PATH = "/tokenvault.v1.AdminService/DenyAccessTokens"
DENY_ANSWER = v1.DenyAccessTokensResponse
DENIED_PATH = "/tokenvault.v1.AdminService/ListDeniedAccessTokens"
DENIED_ANSWER = v1.ListDeniedAccessTokensResponse

# The most tokens that one request can deny.
_TOKENS_MAX = 100


@dataclass(frozen=True)
class DeniedToken:
    """An access token that is denied, by the issuer's name in the vault's file of issuers and the token's `jti`.

    `until_ms` is when it expires by itself, in milliseconds since 1970, and the denial is dropped; None: after the
    longest that a token may live. `reference` is why, such as the number of a ticket.
    """

    issuer: str
    jti: str
    until_ms: Optional[int] = None
    reference: Optional[str] = None


def encode(tokens: Iterable[DeniedToken]) -> List[Sealed]:
    """The requests that deny these tokens."""
    messages = [
        v1.DeniedAccessToken(
            issuer=token.issuer, jti=token.jti, until_ms=token.until_ms or 0, reference=token.reference or ""
        )
        for token in tokens
    ]
    runs = [messages[start : start + _TOKENS_MAX] for start in range(0, len(messages), _TOKENS_MAX)]
    return [Sealed(v1.DenyAccessTokensRequest(tokens=run).SerializeToString()) for run in runs]


def encode_list(page_token: str) -> Sealed:
    return Sealed(v1.ListDeniedAccessTokensRequest(page_token=page_token).SerializeToString())


def page(answer: v1.ListDeniedAccessTokensResponse) -> Tuple[List[DeniedToken], str]:
    """The tokens of a page, and where the next one begins; empty on the last one."""
    tokens = [
        DeniedToken(token.issuer, token.jti, token.until_ms or None, token.reference or None)
        for token in answer.tokens
    ]
    return tokens, answer.next_page_token
