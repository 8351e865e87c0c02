"""Access tokens that the client fetches itself, from a real identity provider (tests/oidc); a vault takes them.

What has to be told to a server to the byte is in test_attempts.py, where one of the tests stands.
"""

import asyncio
import concurrent.futures
import shutil
import ssl
import subprocess
import time
import urllib.request

import pytest
from conftest import EMAIL, PUT, SEE

import tokenvault
from tokenvault import AccessLogFilter, AccessLogQuery, AsyncClient, Client, ClientCredentials, HeldToken, NewValue

AUDIENCE = "https://vault.test.tokenvault"
ACCOUNTS = """    { actions = ["get_checkpoint"] },
]

[accounts."idp:payments"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
grants = [{ actions = ["detokenize"], classes = ["email"], purposes = ["settlement"] }]

[accounts."idp:pinned"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
grants = [{ actions = ["detokenize"], classes = ["email"], purposes = ["settlement"] }]
"""
ISSUERS = """
[issuers.idp]
issuer = "https://localhost:%(port)s"
audiences = ["https://vault.test.tokenvault"]
algorithms = ["ES256"]
jwks_url = "https://localhost:%(port)s/jwks"
jwks_ca = "ca.pem"
binding = ["certificate"]
rules = [
    { gives = "tenant", claim = "org", table = { "Acme Corp" = "acme" } },
    { gives = "scope", claim = "scope" },
]
"""


class Provider:
    """The provider as a process of its own. It knows the payments service by name, and as "pinned" by certificate."""

    def __init__(self, root, vault, folder):
        place = subprocess.run([root / ".ci/oidc.sh"], capture_output=True, text=True, check=True).stdout.strip()
        files = {"server.pem": "server.pem", "server.key": "server.key", "ca.pem": "clients.pem"}
        files["clients/payments.pem"] = "client.pem"
        for there, here in files.items():
            shutil.copy(vault.folder / there, folder / here)
        command = ["node", f"{place}/issuer.mjs", str(folder), "spiffe://dev.tokenvault.internal/payments"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(self.process.stdout.readline())
        self._context = ssl.create_default_context(cafile=folder / "clients.pem")
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._context)
        )

    def be(self, how):
        """Has it behave so from now on; gives what it says to that."""
        with self._opener.open(f"https://localhost:{self.port}/test/{how}") as answer:
            return answer.read().decode()

    def given(self):
        return int(self.be("given"))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def provider(root, vault, tmp_path):
    started = Provider(root, vault, tmp_path)
    yield started
    started.kill()


@pytest.fixture
def trusting(vault, copy_of_vault, provider):
    """A vault that believes the provider, and a token to reveal there."""
    config, issuers = vault.folder / "vault.toml", vault.folder / "issuers.toml"
    before = config.read_text()
    issuers.write_text(ISSUERS % {"port": provider.port})
    config.write_text(before + '\n[identity]\nissuers = "issuers.toml"\n')
    try:
        return copy_of_vault("trusting", "catalog.toml", '    { actions = ["get_checkpoint"] },\n]\n', ACCOUNTS)
    finally:
        config.write_text(before)
        issuers.unlink()


@pytest.fixture
def held(trusting, client_of):
    value = NewValue("email", EMAIL.encode())
    (issued,) = client_of(trusting.config("loader")).tokenize(PUT, [value]).get_all()
    return HeldToken("email", issued.token)


def credentials(vault, provider, client_id, account="payments"):
    clients = vault.folder / "clients"
    return ClientCredentials(
        f"https://localhost:{provider.port}/token",
        client_id,
        ca=vault.folder / "ca.pem",
        certificate=clients / f"{account}.pem",
        key=clients / f"{account}.key",
        scope="tokenize detokenize",
        more={"resource": AUDIENCE},
    )


def principals(vault, client_of):
    """Who saw what, newest first."""
    query = AccessLogQuery("eu", purpose="audit", filter=AccessLogFilter(action="detokenize"))
    return [entry.principal for entry in client_of(vault.config("auditor")).query_access_log(query).entries]


@pytest.mark.parametrize("client_id", ["payments", "pinned"])
def test_tokens_are_given_to_who_shows_the_certificate_and_to_nobody_else(
    trusting, provider, held, client_of, client_id
):
    source = credentials(trusting, provider, client_id)
    payments = client_of(trusting.config("payments", token_source=source))
    (value,) = payments.detokenize(SEE, [held]).get_all()
    assert value.text == EMAIL
    assert principals(trusting, client_of) == [f"idp:{client_id}"]
    for wrong in (("nobody", "payments"), (client_id, "auditor")):
        with pytest.raises(tokenvault.TokenUnavailable) as refused:
            credentials(trusting, provider, *wrong).token(5)
        assert str(refused.value) == "the authorization server refuses a token: invalid_client"
        assert not refused.value.is_passing
    # A token is worth nothing beside another certificate.
    stolen = client_of(trusting.config("auditor", token_source=source))
    with pytest.raises(tokenvault.Denied):
        stolen.detokenize(SEE, [held])


def test_many_calls_need_one_token_which_is_renewed_beside_them(trusting, provider, held):
    provider.be("life_5")
    source = credentials(trusting, provider, "payments")
    with Client(trusting.config("payments", token_source=source)) as payments:

        def reveal(_=None):
            return payments.detokenize(SEE, [held]).get_all()[0].text

        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            assert list(threads.map(reveal, range(8))) == [EMAIL] * 8
        assert provider.given() == 1
        ends = time.monotonic() + 7
        while time.monotonic() < ends:
            assert reveal() == EMAIL
            time.sleep(0.1)
    assert provider.given() in (2, 3), "renewed after three to four fifths of five seconds"


def test_tasks_share_one_token_too(trusting, provider, held):
    provider.be("life_3")

    async def calls():
        source = credentials(trusting, provider, "pinned")
        async with AsyncClient(trusting.config("payments", token_source=source)) as payments:

            async def reveal():
                return (await payments.detokenize(SEE, [held])).get_all()[0].text

            assert await asyncio.gather(*(reveal() for _ in range(8))) == [EMAIL] * 8
            assert provider.given() == 1
            await asyncio.sleep(2.5)
            assert await reveal() == EMAIL
            await asyncio.sleep(0.5)
            assert await reveal() == EMAIL
            assert provider.given() == 2

    asyncio.run(calls())


def test_on_the_providers_bad_days_the_token_at_hand_serves_to_its_end(trusting, provider, held, client_of):
    for how in ("garbage", "huge", "moved", "broken"):
        provider.be(f"giving_{how}")
        with pytest.raises(tokenvault.TokenUnavailable):
            credentials(trusting, provider, "payments").token(5)
    provider.be("giving_good")
    provider.be("life_6")
    source = credentials(trusting, provider, "payments")
    payments = client_of(trusting.config("payments", attempts_max=1, token_source=source))
    begun = time.monotonic()
    assert payments.detokenize(SEE, [held]).get_all()[0].text == EMAIL
    provider.be("giving_broken")
    asked = provider.given()
    while time.monotonic() < begun + 5.5:
        assert payments.detokenize(SEE, [held]).get_all()[0].text == EMAIL
        time.sleep(0.1)
    assert provider.given() > asked
    time.sleep(1.0)
    with pytest.raises(tokenvault.TokenUnavailable, match="HTTP status 500"):
        payments.detokenize(SEE, [held])
    seen = len(principals(trusting, client_of))
    provider.be("giving_good")
    # Who lacks a token has it asked for soon, and not by every call.
    asked = provider.given()
    ends = time.monotonic() + 3
    while True:
        try:
            assert payments.detokenize(SEE, [held]).get_all()[0].text == EMAIL
            break
        except tokenvault.TokenUnavailable:
            assert time.monotonic() < ends
            time.sleep(0.05)
    assert provider.given() - asked <= 2
    assert len(principals(trusting, client_of)) == seen + 1, "without a token nothing was sent"
