// A real identity provider for tests: client credentials over mTLS (RFC 8705) or with DPoP (RFC 9449), and ways to make
// it misbehave. Started as: node issuer.mjs <folder> <SPIFFE ID of the client>, with server.pem, server.key, clients.pem
// and the client's certificate client.pem in that folder.
// It prints its port. It must never be used for anything but tests: it keeps all in memory and obeys anybody.
import { X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';
import { Provider } from 'oidc-provider';
import { exportJWK, generateKeyPair } from 'jose';

const [folder, spiffeId] = process.argv.slice(2);
const audience = 'https://vault.test.tokenvault';
const file = (name) => fs.readFileSync(`${folder}/${name}`);

const grants = {
  grant_types: ['client_credentials'], redirect_uris: [], response_types: [], id_token_signed_response_alg: 'ES256',
};
// The client's certificate as a key set that names it (RFC 8705 section 2.2.2).
const pinned = new X509Certificate(file('client.pem'));
const jwks = { keys: [{ ...pinned.publicKey.export({ format: 'jwk' }), x5c: [pinned.raw.toString('base64')] }] };

let keys = [];
let answers;
let mode = 'good';
let asked = 0;
// Of the token endpoint: how it behaves, how long its tokens live, how often it was asked.
let giving = 'good';
let life = 300;
let given = 0;

// A fresh key signs; those from before are still shown.
async function rotate(issuer) {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  keys = [{ ...(await exportJWK(privateKey)), alg: 'ES256', kid: `key-${keys.length + 1}`, use: 'sig' }, ...keys];
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'payments', token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_san_uri: spiffeId,
        ...grants,
        tls_client_certificate_bound_access_tokens: true,
      },
      {
        client_id: 'pinned', token_endpoint_auth_method: 'self_signed_tls_client_auth', jwks,
        ...grants,
        tls_client_certificate_bound_access_tokens: true,
      },
      {
        client_id: 'remote', client_secret: 'no-secret-but-for-tests-0123456789',
        token_endpoint_auth_method: 'client_secret_basic',
        ...grants,
        dpop_bound_access_tokens: true,
      },
    ],
    clientAuthMethods: ['tls_client_auth', 'self_signed_tls_client_auth', 'client_secret_basic'],
    jwks: { keys },
    scopes: ['tokenize', 'detokenize'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      mTLS: {
        enabled: true, certificateBoundAccessTokens: true, tlsClientAuth: true, selfSignedTlsClientAuth: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) => property === 'tls_client_auth_san_uri'
          && (ctx.socket.getPeerX509Certificate().subjectAltName ?? '').split(', ').includes(`URI:${expected}`),
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: () => ({
          scope: 'tokenize detokenize', audience, accessTokenFormat: 'jwt', accessTokenTTL: life,
          jwt: { sign: { alg: 'ES256' } },
        }),
        useGrantedResource: () => true,
      },
    },
    extraTokenClaims: () => ({ org: 'Acme Corp', realm_access: { roles: ['vault-clerk', 'other'] } }),
  });
  answers = provider.callback();
}

const misbehave = {
  garbage: (response) => response.end('<html>down for maintenance</html>'),
  huge: (response) => response.end(JSON.stringify({ keys: [], padding: 'x'.repeat(10 * 1024 * 1024) })),
  slow: () => {},
  broken: (response) => { response.statusCode = 500; response.end(); },
  moved: (response) => { response.writeHead(302, { location: '/elsewhere' }); response.end(); },
};

const options = {
  key: file('server.key'), cert: file('server.pem'), ca: file('clients.pem'),
  requestCert: true, rejectUnauthorized: false,
};
const server = https.createServer(options, async (request, response) => {
  const control = request.url.match(/^\/test\/(\w+)$/)?.[1];
  if (control === 'rotate') { await rotate(issuer); response.end(); return; }
  if (control === 'asked') { response.end(`${asked}`); return; }
  if (control === 'given') { response.end(`${given}`); return; }
  const seconds = control?.match(/^life_(\d+)$/)?.[1];
  if (seconds) { life = Number(seconds); response.end(); return; }
  const manner = control?.match(/^giving_(\w+)$/)?.[1];
  if (manner) { giving = manner; response.end(); return; }
  if (control) { mode = control; response.end(); return; }
  if (request.url === '/jwks') {
    asked += 1;
    if (mode in misbehave) { misbehave[mode](response); return; }
  }
  if (request.url === '/token') {
    given += 1;
    if (giving in misbehave) { misbehave[giving](response); return; }
  }
  answers(request, response);
});
let issuer;
server.listen(0, '127.0.0.1', async () => {
  issuer = `https://localhost:${server.address().port}`;
  await rotate(issuer);
  console.log(server.address().port);
});
