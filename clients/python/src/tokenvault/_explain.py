"""Whether a caller would be shown the value of a token, and why not. Nothing is shown of the value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional, Sequence

from ._errors import AnswerMalformed, ConfigurationError
from ._items import Receipt, Sealed, text_bytes
from ._verb import TOKEN_SERVICE
from .v1 import token_service_pb2 as v1

EXPLAIN_PATH = TOKEN_SERVICE + "ExplainAccess"
EXPLAIN_ANSWER = v1.ExplainAccessResponse

_LEVELS = {
    "full": v1.REVEAL_LEVEL_FULL,
    "masked": v1.REVEAL_LEVEL_MASKED,
    "best_permitted": v1.REVEAL_LEVEL_BEST_PERMITTED,
}
_NAMES = {number: name for name, number in _LEVELS.items() if name != "best_permitted"}


@dataclass(frozen=True)
class ExplainedToken:
    """What the access token of another caller would say.

    `clearance` are the regions that it would be for; none: it would not say. `assurance` is 1 to 3, None if it would
    not say; so is `authenticated_seconds`, how long ago its owner would have proven who it is.
    """

    roles: Sequence[str] = ()
    scopes: Sequence[str] = ()
    clearance: Sequence[str] = ()
    assurance: Optional[int] = None
    authenticated_seconds: Optional[int] = None


@dataclass(frozen=True)
class ExplainedCaller:
    """Another caller, as it would come. To ask about one takes a grant for `explain_access`.

    `access_token` is what it would say: callers that are named by an issuer come with one, others never. `purpose` and
    `reference` are what its call would state, `source` the address that it would come from.
    """

    principal: str
    access_token: Optional[ExplainedToken] = None
    purpose: Optional[str] = None
    reference: Optional[str] = None
    source: Optional[str] = None


@dataclass(frozen=True)
class AccessQuestion:
    """A question about one token.

    `purpose` and `reference` are those of the question; of a call of one's own (`caller` is None), what it would state.
    `level` is `full`, `masked` or `best_permitted`.
    """

    region: str
    audience: str
    data_class: str
    token: str = field(repr=False)
    level: str = "full"
    purpose: Optional[str] = None
    reference: Optional[str] = None
    caller: Optional[ExplainedCaller] = None


@dataclass(frozen=True)
class Explanation:
    """Whether the value would be shown.

    `level` says how much, `full` or `masked`; None if nothing would. Then `reason` is the name of the reason, `text`
    the same in words and `remedy` what to do. `policies` are the ids of those that decided; none of a call of one's
    own.
    """

    level: Optional[str]
    reason: Optional[str]
    text: str
    remedy: str
    policies: List[str]
    receipt: Receipt

    @property
    def is_shown(self) -> bool:
        return self.level is not None


def encode(question: AccessQuestion) -> Sealed:
    """A question as messages have it."""
    if question.level not in _LEVELS:
        raise ConfigurationError("the level must be full, masked or best_permitted")
    caller = question.caller
    explained = v1.ExplainedCall(
        audience=question.audience,
        item=v1.DetokenizeItem(
            data_class=question.data_class, token=text_bytes(question.token, "the token").decode()
        ),
        level=_LEVELS[question.level],
    )
    if caller is not None:
        explained.purpose = caller.purpose or ""
        explained.reference = caller.reference or ""
        explained.caller.CopyFrom(_caller(caller))
    message = v1.ExplainAccessRequest(
        region=question.region,
        purpose=question.purpose or "",
        reference=question.reference or "",
        explained=explained,
    )
    return Sealed(message.SerializeToString())


def _caller(caller: ExplainedCaller) -> v1.ExplainedCaller:
    token = caller.access_token
    said = token or ExplainedToken()
    message = v1.ExplainedCaller(
        principal=caller.principal,
        access_token=token is not None,
        roles=list(said.roles),
        scopes=list(said.scopes),
        clearance=list(said.clearance),
        assurance=said.assurance or 0,
        source=caller.source or "",
    )
    if said.authenticated_seconds is not None:
        message.authenticated_seconds = said.authenticated_seconds
    return message


def explanation(answer: v1.ExplainAccessResponse) -> Explanation:
    """Reads an answer."""
    level = _NAMES.get(answer.level) if answer.revealed else None
    if answer.revealed and level is None:
        raise AnswerMalformed("it does not say how much would be shown")
    receipt = Receipt.read(answer.receipt)
    return Explanation(level, answer.reason or None, answer.text, answer.remedy, list(answer.policies), receipt)
