"""Whether a caller would be shown a value, asked by itself and by others; and what operators do."""

import dataclasses

import pytest
from conftest import CARD, PUT

import tokenvault
from tokenvault import (
    AccessLogFilter,
    AccessLogQuery,
    AccessQuestion,
    DeniedToken,
    ExplainedCaller,
    ExplainedToken,
    NewValue,
)

# The auditor may ask about others, and denies access tokens.
GRANTED = """    { actions = ["get_checkpoint"] },
    { actions = ["explain_access"], classes = ["card_number"], audiences = ["payments"], purposes = ["audit"] },
    { actions = ["deny_access_token", "list_denied"] },
]

[accounts."corp:orders"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
grants = [{ actions = ["detokenize"], classes = ["card_number"], purposes = ["settlement"], scopes = ["cards"] }]
"""
ISSUERS = """
[issuers.corp]
issuer = "https://login.example.com"
audiences = ["https://vault.example.com"]
algorithms = ["ES256"]
jwks_file = "corp.json"
"""
KEYS = (
    '{"keys": [{"kty": "EC", "crv": "P-256", "kid": "1", "alg": "ES256", "use": "sig",'
    ' "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY", "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}]}'
)


@pytest.fixture
def asked_vault(vault, copy_of_vault):
    """A vault whose auditor may ask about others, and which believes an issuer."""
    (vault.folder / "issuers.toml").write_text(ISSUERS)
    (vault.folder / "corp.json").write_text(KEYS)
    config = vault.folder / "vault.toml"
    before = config.read_text()
    config.write_text(before + '\n[identity]\nissuers = "issuers.toml"\n')
    try:
        return copy_of_vault("asked", "catalog.toml", '    { actions = ["get_checkpoint"] },\n]\n', GRANTED)
    finally:
        config.write_text(before)


def test_whether_a_caller_would_be_shown_a_value_is_told_with_the_reason(asked_vault, client_of):
    (issued,) = client_of(asked_vault.config("loader")).tokenize(PUT, [NewValue("card_number", CARD)]).get_all()
    auditor = client_of(asked_vault.config("auditor"))
    base = "spiffe://dev.tokenvault.internal/"
    caller = ExplainedCaller(base + "payments", purpose="settlement")
    question = AccessQuestion("eu", "payments", "card_number", issued.token, purpose="audit", caller=caller)
    yes = auditor.explain_access(question)
    assert yes.is_shown and yes.level == "full" and yes.policies == ["grant"] and yes.reason is None
    assert yes.receipt.origin.endswith("/audit/eu/1")

    def why_not(**changes):
        no = auditor.explain_access(dataclasses.replace(question, **changes))
        assert not no.is_shown and no.text and no.remedy
        return no.reason

    assert why_not(caller=dataclasses.replace(caller, purpose=None)) == "PURPOSE_REQUIRED"
    assert why_not(caller=ExplainedCaller(base + "globex-payments", purpose="settlement")) == "PRINCIPAL_UNKNOWN"
    of_token = ExplainedCaller("corp:orders", ExplainedToken(scopes=["cards"]), purpose="settlement")
    assert auditor.explain_access(dataclasses.replace(question, caller=of_token)).is_shown
    assert why_not(caller=dataclasses.replace(of_token, access_token=ExplainedToken(assurance=2))) == "ACCESS_DENIED"
    assert why_not(caller=dataclasses.replace(of_token, access_token=None)) == "ACCESS_TOKEN_REQUIRED"
    # Of a call of one's own it tells what a reveal would.
    payments = client_of(asked_vault.config("payments"))
    own = dataclasses.replace(question, purpose="settlement", caller=None)
    assert payments.explain_access(own).is_shown
    assert payments.explain_access(dataclasses.replace(own, token="4000000000000000")).reason == "TOKEN_NOT_FOUND"
    with pytest.raises(tokenvault.Denied):
        payments.explain_access(dataclasses.replace(question, purpose="settlement"))
    with pytest.raises(tokenvault.ConfigurationError):
        payments.explain_access(dataclasses.replace(own, level="some"))
    asked = AccessLogQuery("eu", purpose="audit", filter=AccessLogFilter(action="explain_access"))
    entries = auditor.query_access_log(asked).entries
    about = {entry.explained_principal for entry in entries}
    assert about == {"", base + "payments", base + "globex-payments", "corp:orders"}


def test_operators_deny_access_tokens_and_list_them(asked_vault, client_of):
    operator = client_of(asked_vault.config("auditor"))
    assert operator.denied_access_tokens() == []
    operator.deny_access_tokens([DeniedToken("corp", f"j-{number:03}", reference="CASE-1") for number in range(150)])
    denied = operator.denied_access_tokens()
    assert [token.jti for token in denied] == [f"j-{number:03}" for number in range(150)]
    assert all(token.issuer == "corp" and token.reference == "CASE-1" and token.until_ms for token in denied)
    with pytest.raises(tokenvault.InvalidRequest):
        operator.deny_access_tokens([DeniedToken("no-issuer", "1")])
    with pytest.raises(tokenvault.Denied):
        client_of(asked_vault.config("payments")).denied_access_tokens()


def test_a_question_shows_no_token():
    question = AccessQuestion("eu", "payments", "card_number", "tok_eu_secret")
    assert "secret" not in repr(question)
