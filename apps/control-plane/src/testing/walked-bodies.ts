/**
 * What the walk over every route (http/walk.test.ts) has to be told of single routes: bodies that a schema alone does not tell,
 * and answers that are no 2xx, with the reason. Refuses to know how it walks. A route that is added may need a line here.
 */
import { generateKeyPairSync } from 'node:crypto';
import { exampleOf, type OpenApi } from './operations.ts';

/** In every name of the other project's things, and nowhere else. */
export const CANARY = 'azure7q';

const POLICY = (name: string) =>
  `kind: Policy\nname: ${name}\nrules:\n  - name: no-ddl\n    when: sql.effects.exists(e, e == "ddl")\n    verdict: deny\n`;

/** Whose things a thing of that name may name. */
const sideOf = (name: string): string => (name.startsWith(CANARY) ? CANARY : 'own');

const trustRule = (name: string) => ({
  name,
  issuer: 'https://issuer.example',
  audiences: ['sallyport'],
  claims: { sub: 'walked' },
  principal: `${sideOf(name)}-principals`,
});

/** Bodies that a schema alone does not tell; of a write to a thing of that name. */
const ACCESS_POLICY = (name: string) => ({ name, requesters: {}, resources: {}, effects: ['read'], approve: {} });
export const BODIES: Readonly<Record<string, (name: string, document: OpenApi) => unknown>> = {
  'POST /v1/principals': (name) => ({ name, kind: 'service' }),
  'POST /v1/webhooks': (name) => ({ name, url: 'https://hooks.example/x', events: ['trail.head'] }),
  'POST /v1/credentials': (name) => ({ name, kind: 'stored', username: 'u', secret: 's' }),
  'POST /v1/resources': (name) => ({ name, type: 'postgres', postgres: { host: 'db.internal' } }),
  'PUT /v1/resources/{resource}': (name) => ({
    name,
    description: 'put',
    type: 'postgres',
    postgres: { host: 'db.internal' },
  }),
  'PATCH /v1/resources/{resource}': () => ({ description: 'walked' }),
  'POST /v1/grants': (name) => ({
    name,
    group: `${sideOf(name)}-groups`,
    resource: `${sideOf(name)}-resources`,
    effects: ['read'],
  }),
  'PUT /v1/grants/{grant}': (name) => ({
    name,
    group: `${sideOf(name)}-groups`,
    resource: `${sideOf(name)}-resources`,
    effects: ['ddl'],
  }),
  'PATCH /v1/grants/{grant}': () => ({ effects: ['read', 'write'] }),
  'POST /v1/access-policies': (name) => ACCESS_POLICY(name),
  'PUT /v1/access-policies/{policy}': (name) => ({ ...ACCESS_POLICY(name), durationMax: '2h' }),
  'POST /v1/access-requests/{id}/extend': () => ({ duration: '1h', reason: 'walked' }),
  'POST /v1/policies': (name) => ({ source: POLICY(name) }),
  'POST /v1/policies/check': (name) => ({ source: POLICY(name) }),
  'PUT /v1/policies/{policy}': (name) => ({ source: `${POLICY(name)}    message: No.\n` }),
  'POST /v1/apply': (name) => ({ documents: [{ file: 'w.yaml', text: `kind: Group\nname: ${name}\n` }] }),
  'PATCH /v1/principals/{principal}': () => ({ displayName: 'walked' }),
  'PATCH /v1/groups/{group}': () => ({ description: 'walked' }),
  'PUT /v1/retention': () => ({ sessionsDays: 9_000, eventsDays: null }),
  'PATCH /v1/webhooks/{name}': () => ({ events: ['*'] }),
  'PATCH /v1/credentials/{credential}': () => ({ username: 'walked' }),
  'POST /v1/trust-rules': (name) => trustRule(name),
  'PUT /v1/trust-rules/{rule}': (name) => ({ ...trustRule(name), audiences: ['walked'] }),
  'PATCH /v1/accounts/{principal}': () => ({ breakGlass: true }),
  'POST /v1/principals/{principal}/keys': () => ({
    jwk: generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }),
  }),
  'POST /v1/identity-providers': (name) => ({
    name,
    kind: 'oidc',
    // Asked by `test`: a name that leads here, so that nobody waits for an answer.
    config: { issuer: 'https://localhost:9', clientId: 'c' },
    secrets: { clientSecret: 's' },
  }),
  'PATCH /v1/identity-providers/{name}': () => ({ displayName: 'walked' }),
  'POST /v1/identity-providers/{name}/preview': () => ({ claims: { sub: 's' } }),
  'PUT /v1/reviews/{review}': (name, document) => ({
    ...(exampleOf(document, { $ref: '#/components/schemas/ReviewDocument' }) as object),
    name,
    description: 'put',
  }),
  'PATCH /v1/projects/{project}': () => ({ description: 'walked' }),
};
/** Segments whose parameter names a thing made elsewhere, or no thing of a project. */
export const SAME_AS: Readonly<Record<string, string>> = { members: 'principals' };
export const NO_THING: Readonly<Record<string, string>> = {
  package: 'files of the agent’s package, alike for everybody',
};
/** Answers to a good request of the project's own admin that are no 2xx, with the reason. */
export const OWN_ANSWERS: Readonly<Record<string, readonly number[]>> = {
  'GET /v1/sessions/{id}/recording': [404],
  'GET /v1/sessions/{id}/film': [404],
  'GET /v1/sessions/{id}/commands': [404],
  // The provider is one of OpenID Connect.
  'POST /v1/identity-providers/{name}/saml-keys': [404],
  // Another's: they ask, prolong and withdraw themselves; and what it names is not there.
  'POST /v1/access-requests/{id}/approve': [403],
  'POST /v1/access-requests/{id}/extend': [403],
  'POST /v1/access-requests/{id}/withdraw': [403],
  // Nothing came of it yet.
  'POST /v1/access-requests/{id}/revoke': [409],
  'POST /v1/sessions/{id}/erase': [409],
  'POST /v1/change-proposals/{id}/approve': [409],
  // Somebody else's.
  'POST /v1/change-proposals/{id}/answer': [403],
  // Answered by the call before.
  'POST /v1/change-proposals/{id}/reject': [409],
  'POST /v1/change-proposals/{id}/withdraw': [409],
  'POST /v1/approvals/{id}/deny': [409],
  'POST /v1/approvals/{id}/delegate': [409],
  'POST /v1/approvals/{id}/revoke': [409],
  // No agent that could try it is connected.
  'POST /v1/credentials/{credential}/test': [409],
  'POST /v1/credentials/{credential}/rotate': [409],
  // No round has begun.
  'GET /v1/reviews/{review}/export': [404],
  'POST /v1/reviews/{review}/answers': [404],
  'DELETE /v1/credentials/{credential}': [204],
};
/** Calls that change nothing, though they are no GET. */
export const CHANGES_NOTHING = new Set([
  'POST /v1/identity-providers/{name}/test',
  'POST /v1/identity-providers/{name}/preview',
]);
/** Streams that end when the client does. */
export const STREAMS = new Set(['GET /v1/sessions/{id}/watch']);

/** Parts of a document, checked against its own schema once they are joined to the rest. */
export const CHECKED_LATER = ['PATCH /v1/grants/{grant}', 'PATCH /v1/resources/{resource}'];
