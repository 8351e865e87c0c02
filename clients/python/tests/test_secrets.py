"""No value, subject or token is shown by what the client prints, raises or logs."""

import dataclasses
import io
import logging
import traceback

import pytest
from conftest import CARD, EMAIL, PUT, SEE

import tokenvault
from tokenvault import AccessLogFilter, AccessLogQuery, CallContext, FileToken, HeldToken, NewValue, StaticToken

SUBJECT = "customer-77310"
BEARER = "eyJhbGciOi.J9eyJzdWIi.secret-Signature"


@pytest.fixture
def logged():
    """All that is logged, by anybody."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


def shown(error):
    """All that is shown of an error, the local variables of the client's and gRPC's frames included."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = [frame for frame in told.stack if not frame.filename.endswith(("test_secrets.py", "conftest.py"))]
    told.stack = traceback.StackSummary.from_list(ours)
    told = "".join(told.format())
    return told + str(error) + repr(error) + repr(error.__dict__) + repr(error.__cause__) + repr(error.__context__)


class Caller:
    """Makes calls from a frame that has no name for what it hands over."""

    def __init__(self, client, *items):
        self._client, self._items = client, items

    def __repr__(self):
        return "Caller()"

    def refused(self, method, context, kind):
        with pytest.raises(kind) as refused:
            result = getattr(self._client, method)(context, list(self._items))
            result.get_all()
        return refused.value


def test_nothing_that_is_printed_holds_a_value(vault, client_of):
    loader, payments = client_of(vault.config("loader")), client_of(vault.config("payments"))
    value = NewValue("email", EMAIL, subject=SUBJECT)
    answer = loader.tokenize(PUT, [dataclasses.replace(value, subject=None)])
    (issued,) = answer.get_all()
    held = HeldToken("email", issued.token)
    revealed = payments.detokenize(SEE, [held])
    config = vault.config("loader", token_source=StaticToken(BEARER))
    query = AccessLogQuery("eu", filter=AccessLogFilter(data_class="email", token=issued.token))
    things = [value, answer, issued, held, revealed, revealed.results[0].get(), config, query, loader]
    told = "".join(f"{thing!r}{thing}{[thing]}" for thing in things)
    key = config.key.decode().splitlines()[1]
    for secret in (EMAIL, SUBJECT, issued.token, BEARER, key):
        assert secret not in told
    assert revealed.results[0].get().text == EMAIL


def test_no_error_holds_a_value(vault, own_vault, client_of, logged):
    loader = client_of(vault.config("loader"))
    bad = CARD[:-1] + "2"
    token = loader.tokenize(PUT, [NewValue("email", EMAIL)]).get_all()[0].token
    gone = client_of(own_vault.config("loader", deadline=0.3)).connect()
    own_vault.kill()
    surrogate = "\ud800" + CARD
    value, nowhere = NewValue("card_number", CARD), CallContext("apac", "payments")
    errors = [
        Caller(loader, NewValue("card_number", bad)).refused("tokenize", PUT, tokenvault.ValueRejected),
        Caller(loader, value).refused("tokenize", nowhere, tokenvault.WrongRegion),
        Caller(loader, HeldToken("email", token)).refused("detokenize", SEE, tokenvault.Denied),
        Caller(loader, HeldToken("email", token)).refused("describe_tokens", nowhere, tokenvault.WrongRegion),
        Caller(loader, NewValue("email", surrogate)).refused("tokenize", PUT, tokenvault.ConfigurationError),
        Caller(loader, NewValue("email", int(CARD))).refused("tokenize", PUT, tokenvault.ConfigurationError),
        Caller(loader, HeldToken("email", surrogate)).refused("detokenize", SEE, tokenvault.ConfigurationError),
        Caller(loader, HeldToken("email", int(CARD))).refused("detokenize", SEE, tokenvault.ConfigurationError),
        Caller(gone, value).refused("tokenize", PUT, tokenvault.TokenvaultError),
    ]
    with pytest.raises(tokenvault.WrongRegion) as refused, loader.tokenize_stream(nowhere, [[value]]) as stream:
        next(stream)
    errors.append(refused.value)
    wrong = [[NewValue("email", 0)]]
    with pytest.raises(tokenvault.ConfigurationError) as refused, loader.tokenize_stream(PUT, wrong) as stream:
        next(stream)
    errors.append(refused.value)
    auditor, asked = client_of(vault.config("auditor")), AccessLogFilter(token=token)
    with pytest.raises(tokenvault.InvalidRequest) as refused:
        next(auditor.tail_access_log(AccessLogQuery("eu", "audit", filter=asked), 0))
    errors.append(refused.value)
    with pytest.raises(tokenvault.ConfigurationError) as refused:
        loader.query_access_log(AccessLogQuery("eu", filter=AccessLogFilter(token=surrogate)))
    for error in [*errors, refused.value]:
        told = shown(error)
        assert type(error).__name__ in told
        for secret in (CARD, bad, token, EMAIL):
            assert secret not in told, type(error)
    told = logged.getvalue()
    assert "again in" in told
    for secret in (CARD, bad, token, EMAIL):
        assert secret not in told


def test_a_value_that_is_no_text_is_given_as_bytes(vault, client_of):
    loader, payments = client_of(vault.config("loader")), client_of(vault.config("payments"))
    (issued,) = loader.tokenize(PUT, [NewValue("email", EMAIL)]).get_all()
    (value,) = payments.detokenize(SEE, [HeldToken("email", issued.token)]).get_all()
    with pytest.raises(ValueError, match="no text") as refused:
        dataclasses.replace(value, value=CARD.encode() + b"\xff").text  # noqa: B018
    assert CARD not in shown(refused.value)


def test_no_access_token_is_shown(vault, tmp_path, client_of, logged):
    for text in (f"{BEARER}\nx-other: 1", f"{BEARER} x", "", "\u00e9" + BEARER):
        with pytest.raises(tokenvault.TokenUnavailable) as refused:
            StaticToken(text)
        assert "secret-Signature" not in str(refused.value) + repr(refused.value)
    (tmp_path / "token").write_text(f"{BEARER} and more\n")
    loader = client_of(vault.config("loader", token_source=FileToken(tmp_path / "token")))
    with pytest.raises(tokenvault.TokenUnavailable) as refused:
        loader.tokenize(PUT, [NewValue("email", EMAIL)])
    assert "secret-Signature" not in shown(refused.value)
    (tmp_path / "token").write_text(BEARER)
    # It reaches the vault, which believes no issuer here, and comes back in no word of the refusal.
    with pytest.raises(tokenvault.Denied) as denied:
        loader.tokenize(PUT, [NewValue("email", EMAIL)])
    assert denied.value.reason == "ACCESS_TOKEN_INVALID"
    assert "secret-Signature" not in shown(denied.value)
    assert "secret-Signature" not in logged.getvalue() + repr(loader) + repr(StaticToken(BEARER))
