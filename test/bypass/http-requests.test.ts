/** Every row of rows/http-requests.ts, from the bytes of a request through the gateway's reader to the verdict of an agent's engine. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GatewayError, LIMITS } from '@sallyport/core';
import { type RequestHead, RequestReader } from '@sallyport/http';
import { type Bundle, EFFECTS, parseResource, type SessionInfo, type Statement } from '@sallyport/model';
import { loadBundlePolicies, parsePolicyDocument } from '@sallyport/policy';
import { httpDialect } from '@sallyport/protocol-http';
import { describe, expect, test } from 'vitest';
import { HTTP_REQUESTS, type RequestRow } from './rows/http-requests.ts';

const STRICTNESS = { allow: 0, hold: 1, deny: 2, refused: 3 } as const;
const OWN = `kind: Policy
name: own
rules:
  - name: large-payouts
    when: http.path.re("(?i)^/v1/payouts(/|$)") && body.fields.exists(f, f.path == "amount" && f.number > 1000)
    verdict: deny
  - name: purge
    when: http.path == "/v1/purge" && "force" in http.query && "true" in http.query["force"]
    verdict: deny
  - name: secrets
    when: http.path == "/v1/secrets" && !("dry" in http.query)
    verdict: deny
  - name: refunds
    when: http.path == "/v1/refunds" && "iban" in body.fields.map(f, f.path)
    verdict: deny
  - name: wipes
    when: http.operation == "wipe" || http.route == "/v1/wipe"
    verdict: deny
  - name: drafts
    when: http.path == "/v1/notes;draft"
    verdict: deny
  - name: exports
    when: http.path.re("(?i)^/v1/export(/|$)")
    verdict: deny
`;
const RESOURCE = parseResource(
  {
    id: 'r',
    projectId: '',
    name: 'api',
    kind: 'http',
    labels: {},
    http: {
      url: 'https://api.example.com',
      graphql: ['/graphql'],
      routes: [
        { method: 'POST', path: '/v1/wipe', operation: 'wipe' },
        { method: 'POST', path: '/v1/search', operation: 'search', effects: ['read'] },
        { method: 'GET', path: '/v1/logout', operation: 'logout', effects: ['write'] },
        { method: 'POST', path: '/v1/{thing}', operation: 'make' },
      ],
      inject: { as: 'none' },
    },
    credential: { kind: 'none', username: '' },
    recording: 'statements',
    durability: 'standard',
    approval: 'wait',
    exceeded: 'deny',
    holdInTransactionMsMax: 0,
    offline: { sessionsMs: 0, newSessionsMs: 0 },
  },
  '',
);
const SESSION = {
  id: 's',
  projectId: '',
  agentId: 'a',
  resourceId: 'r',
  resourceName: 'api',
  protocol: 'http',
  principal: { id: 'bot', name: 'bot', kind: 'ai_agent' },
  onBehalfOf: undefined,
  tokenId: 't',
  grantIds: ['*'],
  clientAddress: '127.0.0.1:1',
  database: '',
  role: '',
  application: '',
  openedAt: 0,
} as const satisfies SessionInfo;
const READER: SessionInfo = { ...SESSION, id: 't', principal: { id: 'reader', name: 'reader', kind: 'ai_agent' } };
const baseline = readFileSync(join(import.meta.dirname, '../../policies/http-baseline.yaml'), 'utf8');
const BUNDLE: Bundle = {
  epoch: 1,
  revision: 1,
  projectId: '',
  createdAt: 0,
  resources: [RESOURCE],
  policies: [parsePolicyDocument(baseline, 'http-baseline.yaml'), parsePolicyDocument(OWN, 'own.yaml')],
  grants: [
    { id: 'g', projectId: '', principal: 'bot', resource: 'api', effects: EFFECTS, roles: [], kind: 'standing' },
    { id: 'h', projectId: '', principal: 'reader', resource: 'api', effects: ['read'], roles: [], kind: 'standing' },
  ],
  groups: [],
  keys: [],
  revocations: [],
  settings: { trailSealKey: '', trailSealKeyId: '', issuer: '', domain: '', heartbeatMs: 0 },
};
const engine = loadBundlePolicies(BUNDLE);

/** As the driver reads it: the head, and a body up to what is judged. @throws GatewayError for what is no request */
function statementOf(request: string): Statement {
  const [head = '', body] = request.split(/\n\n([\s\S]*)/);
  const [line = '', ...fields] = head.split('\n');
  const bytes = Buffer.from(body ?? '');
  const length = body === undefined ? [] : [`content-length: ${bytes.length}`];
  const text = [`${line} HTTP/1.1`, 'host: api.example.com', ...fields, ...length, '', ''].join('\r\n');
  let read: RequestHead | undefined;
  let failed: GatewayError | undefined;
  const parts: Buffer[] = [];
  const reader = new RequestReader(
    {
      request: (found) => (read = found),
      bodyBytes: (part) => parts.push(Buffer.from(part)),
      bodyEnd: () => undefined,
      malformed: (error) => (failed = error),
      waiting: () => undefined,
    },
    'https',
  );
  reader.receive(Buffer.concat([Buffer.from(text, 'latin1'), bytes]));
  if (failed !== undefined || read === undefined) throw failed ?? new GatewayError('http.malformed');
  const whole = Buffer.concat(parts);
  const isRead = whole.length <= LIMITS.httpBodyJudgedBytesMax;
  const sent =
    body === undefined ? undefined : { read: isRead, bytes: isRead ? whole : Buffer.alloc(0), size: whole.length };
  const session = { resource: RESOURCE } as unknown as Parameters<typeof httpDialect.classify>[2];
  return httpDialect.classify(read, sent, session);
}

function verdictOf({ request, reader }: RequestRow): { readonly kind: keyof typeof STRICTNESS; readonly by: string } {
  try {
    const statement = statementOf(request);
    const usage = { statements: 0, writes: 0, rows: 0, bytes: 0 };
    const { kind, rule } = engine.decide({ session: reader === true ? READER : SESSION, statement, usage, nowMs: 1 });
    return { kind, by: rule };
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return { kind: 'refused', by: error.code };
  }
}

describe('an approval is for this request and no other', () => {
  const ASKED = 'POST /v1/items\nauthorization: Basic x\nprefer: return=minimal\n\n{"a":1}';
  const digest = (request: string): string => statementOf(request).digest;

  test.each([
    ['another method', ASKED.replace('POST', 'PUT')],
    ['another path', ASKED.replace('items', 'item')],
    ['a query', ASKED.replace('items', 'items?force')],
    ['another body', ASKED.replace('1}', '2}')],
    ['another header', ASKED.replace('prefer', 'x-tenant: 2\nprefer')],
    ['another preference', ASKED.replace('return=minimal', 'return=minimal, resolution=merge-duplicates')],
    ['a preference behind one to wait', ASKED.replace('return=minimal', 'wait=5, tx=rollback')],
    ['a body that nobody read', ASKED.replace('{"a":1}', 'x'.repeat(LIMITS.httpBodyJudgedBytesMax + 1))],
  ])('%s is another', (_name, request) => {
    expect(digest(request)).not.toBe(digest(ASKED));
  });

  test('a body that nobody read is like no other', () => {
    const large = ASKED.replace('{"a":1}', 'x'.repeat(LIMITS.httpBodyJudgedBytesMax + 1));
    expect(digest(large)).not.toBe(digest(large));
  });

  test.each([
    ['the same', ASKED],
    ['a trace id', ASKED.replace('prefer', 'traceparent: 00-1\nprefer')],
    ['how long it is willing to wait', ASKED.replace('return=minimal', 'return=minimal, respond-async, wait=10')],
  ])('%s is the one', (_name, request) => {
    expect(digest(request)).toBe(digest(ASKED));
  });
});

for (const [title, rows] of Object.entries(HTTP_REQUESTS)) {
  describe(title, () => {
    test.each(
      rows.map((row) => ({
        ...row,
        name: `${row.reader === true ? 'a reader’s ' : ''}${JSON.stringify(row.request).slice(0, 120)}`,
      })),
    )('$name: $expect', (row) => {
      const { kind, by } = verdictOf(row);
      if (row.expect === 'allow') expect(`${kind} by ${by}`).toBe('allow by grant');
      else expect(STRICTNESS[kind], `${kind} by ${by}`).toBeGreaterThanOrEqual(STRICTNESS[row.expect]);
    });
  });
}
