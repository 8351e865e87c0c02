"""The two calls to the vault, and what its refusals mean for an order.

Everything the vault wants of its callers is in this file: mutual TLS, a deadline over all attempts, a key under which a
request can be repeated, refusals read from google.rpc.ErrorInfo, receipts. It needs gRPC, the stubs of proto/, and
nothing of the vault's own. It must never hold a value longer than a call; Python can't wipe memory, so the best it can
do is to keep no second name for it.
"""

import dataclasses
import logging
import random
import secrets
import time

import grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from tokenvault.v1 import token_service_pb2 as v1
from tokenvault.v1 import token_service_pb2_grpc

from orders import Tokens

# How long a customer waits for one call at most, repeats included.
DEADLINE_SECONDS = 5
ATTEMPTS_MAX = 4
PAUSE_SECONDS_FIRST = 0.05

log = logging.getLogger("orders")


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The receipt of a call: the place of its entry in the vault's log, and the entry's hash.

    Whoever keeps it can prove later that the entry of this very call was taken out of the log, or changed.
    """

    call: str
    request: str  # the id under which the vault's logs know the call
    origin: str
    index: int
    leaf_hash: str


class Problem(Exception):
    """Why the vault did not do it; the classes tell who can do something about it."""


class Values(Problem):
    """The customer: these values are none of their kind. Never holds a value."""

    def __init__(self, fields):
        super().__init__("values were rejected")
        self.fields = fields


class KeyReused(Problem):
    """Whoever calls us: the key was used for other values."""


class CardGone(Problem):
    """The customer, who gives the card again: the vault has no such token for us."""


class Away(Problem):
    """Nobody; it passes."""

    def __init__(self, after_seconds):
        super().__init__("the vault is away or busy")
        self.after_seconds = after_seconds


class Ours(Problem):
    """Our operators, or the vault's: a missing grant, a wrong identity, a fault. The log has the details."""


class Refusal:
    """A google.rpc.Status of the vault: of a call, or of one item in the answer to the call with the id `request`.

    Programs match on the reason, never on the message. Messages are for people; the vault never repeats a value or a
    token in one.
    """

    def __init__(self, status, request=""):
        self.code, self.message = status.code, status.message
        info = self._detail(status, error_details_pb2.ErrorInfo)
        # What bears another domain was said by something between the vault and us.
        ours = info.domain == "tokenvault"
        self.reason = info.reason if ours else ""
        self.metadata = dict(info.metadata) if ours else {}
        self.request = self._detail(status, error_details_pb2.RequestInfo).request_id or request
        pause = self._detail(status, error_details_pb2.RetryInfo).retry_delay
        self.retry_after_seconds = duration_pb2.Duration.ToTimedelta(pause).total_seconds()

    def is_a(self, *codes):
        return self.code in [code.value[0] for code in codes]

    @staticmethod
    def _detail(status, kind):
        """The detail of a kind; an empty one if there is none."""
        found = kind()
        any(packed.Unpack(found) for packed in status.details)
        return found


class Vault:
    """The vault, as this service sees it."""

    def __init__(self, settings):
        self._settings = settings
        self._taker = _connect(settings, settings.takes_as)
        self._settler = _connect(settings, settings.settles_as)

    def take(self, order, key, card_number, email):
        """Replaces card number and address by tokens, in one call."""
        request = v1.TokenizeRequest(
            region=self._settings.region,
            audience=self._settings.audience,
            purpose=self._settings.take_purpose,
            reference=order,
            # Under one key the same request gives the same tokens, for 24 hours: whoever does not know whether an order
            # was taken, we included, asks again, and no token is left over.
            idempotency_key=key,
            items=[
                v1.TokenizeItem(data_class="card_number", value=card_number),
                v1.TokenizeItem(data_class="email", value=email),
            ],
        )
        answer, evidence = _call("tokenize", order, self._taker.Tokenize, request)
        # Each item has an answer of its own: a refused address does not keep the card from being tokenized. For us an
        # order needs both. When it comes back, corrected, a card gets the token that it has, for its class is
        # deterministic; an address gets a new one, and nothing points to the first.
        rejected = []
        for item, result in zip(request.items, answer.results, strict=True):
            if result.WhichOneof("outcome") == "error":
                refusal = Refusal(result.error, evidence.request)
                if refusal.reason not in ("VALUE_REJECTED", "VALUE_TOO_LARGE"):
                    raise _problem(order, refusal)
                rule = refusal.metadata.get("rule")
                rejected.append({"field": item.data_class, "reason": refusal.reason, "rule": rule})
        if rejected:
            log.info("order refused", extra={"order": order, "vault_request": evidence.request})
            raise Values(rejected)
        return Tokens(*(result.issued.token for result in answer.results)), evidence

    def reveal_card(self, order, tokens):
        """Reveals the card of an order, to settle it. Only that: least is asked for, and the log says what for."""
        request = v1.DetokenizeRequest(
            region=self._settings.region,
            audience=self._settings.audience,
            purpose=self._settings.settle_purpose,
            # The reference is how an auditor gets from an entry of the vault's log to our order, and back.
            reference=order,
            # A key of this one call, for the repeats in _call: the next settlement is another use of the token.
            idempotency_key=secrets.token_hex(16),
            items=[v1.DetokenizeItem(data_class="card_number", token=tokens.card_number)],
        )
        answer, evidence = _call("detokenize", order, self._settler.Detokenize, request)
        (result,) = answer.results
        if result.WhichOneof("outcome") == "error":
            raise _problem(order, Refusal(result.error, evidence.request))
        return result.revealed.value, evidence


def _connect(settings, identity):
    """A connection with a client certificate. The system's authorities are not asked: only the vault's own counts."""
    ca = settings.ca.read_bytes()
    key = (settings.identities / f"{identity}.key").read_bytes()
    certificate = (settings.identities / f"{identity}.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    # Repeats are decided here, where it is known which call may be repeated.
    channel = grpc.secure_channel(settings.endpoint, credentials, [("grpc.enable_retries", 0)])
    # A vault that can't be reached, or that is not ours, shows here and not at the first customer.
    grpc.channel_ready_future(channel).result(DEADLINE_SECONDS)
    return token_service_pb2_grpc.TokenServiceStub(channel)


def _call(name, order, method, request):
    """Makes one logical call; returns the answer and the evidence of it.

    It is repeated while the vault is away or busy, within one deadline. Both calls may be, for both have an idempotency
    key: no token is made twice, and a token whose uses are counted is used once.
    """
    ends = time.monotonic() + DEADLINE_SECONDS
    pause = PAUSE_SECONDS_FIRST
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            # Every attempt is new: what was sent before can't be sent again in our name.
            said = {"tokenvault-nonce": secrets.token_hex(16), "tokenvault-timestamp": str(int(time.time() * 1000))}
            left = max(0.001, ends - time.monotonic())
            answer, call = method.with_call(request, timeout=left, metadata=tuple(said.items()))
        except grpc.RpcError as error:
            # Without a status of the vault's there is no answer: the connection broke, or our time was over.
            status = rpc_status.from_call(error) or status_pb2.Status(code=error.code().value[0])
            refusal = Refusal(status)
            # Spread, so that clients that were refused together do not come back together.
            wait = refusal.retry_after_seconds + pause * random.uniform(0.5, 1)
            passes = refusal.is_a(grpc.StatusCode.UNAVAILABLE)
            if not passes or attempt == ATTEMPTS_MAX or time.monotonic() + wait >= ends:
                raise _problem(order, refusal) from None
            time.sleep(wait)
            pause *= 2
        else:
            known_as = dict(call.initial_metadata())["tokenvault-request-id"]
            receipt = answer.receipt
            return answer, Evidence(name, known_as, receipt.origin, receipt.index, receipt.leaf_hash.hex())
    raise AssertionError("the last attempt returns or raises")


def _problem(order, refusal):
    """What a refusal means for an order; what it was goes into the log."""
    if refusal.reason == "IDEMPOTENCY_KEY_REUSED":
        problem = KeyReused()
    elif refusal.reason == "TOKEN_NOT_FOUND":
        # All that the vault says of a token of another class, audience or tenant, an expired or an unknown one. Which
        # it was, its log alone tells, to an auditor.
        problem = CardGone()
    elif refusal.is_a(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED):
        # After a deadline nobody knows whether it was done. A repeat under the same key is safe either way.
        problem = Away(refusal.retry_after_seconds)
    else:
        # ACCESS_DENIED is one of them: no customer should be told about our grants.
        problem = Ours()
    level = logging.ERROR if isinstance(problem, (Ours, CardGone)) else logging.WARNING
    fields = {"order": order, "reason": refusal.reason, "code": refusal.code, "vault_request": refusal.request}
    log.log(level, "vault refused: %s", refusal.message or "no answer", extra=fields)
    return problem
