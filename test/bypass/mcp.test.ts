/** Every row of rows/mcp.ts through the dialect and the engine an agent runs. */
import { GatewayError, LIMITS } from '@sallyport/core';
import { type Header, type RequestHead, readTarget } from '@sallyport/http';
import { type Bundle, NO_MASKS, type Resource, type SessionInfo } from '@sallyport/model';
import { loadBundlePolicies, parsePolicyDocument } from '@sallyport/policy';
import { createMcpDialect, toolMemory } from '@sallyport/protocol-http';
import { testResource } from '@sallyport/testkit';
import { describe, expect, test } from 'vitest';
import { MCP, type McpRow } from './rows/mcp.ts';

type Dialect = ReturnType<typeof createMcpDialect>;
type DialectSession = Parameters<Dialect['classify']>[2];
const STRICTNESS = { allow: 0, hold: 1, deny: 2, refused: 3 } as const;
const POLICY = `kind: Policy
name: tools
rules:
  - { name: no-drop, when: mcp.tool == "drop_all", verdict: deny }
  - { name: no-secrets, when: mcp.resource_uri.startsWith("file:///secret/") || mcp.resource_uri.startsWith("https://vault.example/"), verdict: deny }
  - { name: no-prompt, when: mcp.prompt == "root", verdict: deny }
  - { name: no-owner, when: 'mcp.method == "completion/complete" && mcp.arguments.exists(a, a.path == "owner")', verdict: deny }
  - name: pay-waits
    when: mcp.tool == "pay" && mcp.arguments.exists(a, a.path == "amount" && a.number > 100)
    verdict: hold
    approval: { groups: [dba], count: 1, expires: 5m }
`;
const { postgres: _, ...base } = testResource({});
const RESOURCE: Resource = {
  ...base,
  name: 'tools',
  kind: 'mcp',
  mcp: {
    url: 'https://tools.example.com/mcp',
    tools: [{ name: 'find_*', effects: ['read'] }],
    inject: { as: 'none' },
  } as Resource['mcp'] & object,
};
const infoOf = (id: string): SessionInfo => ({
  id: `s-${id}`,
  projectId: 'default',
  agentId: 'a-1',
  resourceId: RESOURCE.id,
  resourceName: 'tools',
  protocol: 'mcp',
  principal: { id, name: id, kind: 'ai_agent' },
  onBehalfOf: undefined,
  tokenId: 't-1',
  grantIds: ['*'],
  clientAddress: '127.0.0.1:5',
  database: '',
  role: '',
  application: '',
  openedAt: 0,
});
const bundle: Bundle = {
  epoch: 1,
  revision: 1,
  projectId: 'default',
  createdAt: 0,
  resources: [RESOURCE],
  policies: [parsePolicyDocument(POLICY, 'tools.yaml', { id: 'p', projectId: 'default' })],
  grants: [
    {
      id: 'g',
      projectId: 'default',
      principal: 'bot',
      resource: 'tools',
      effects: ['read', 'exec'],
      roles: [],
      kind: 'standing',
    },
  ],
  groups: [],
  keys: [],
  revocations: [],
  settings: { domain: '', signIn: { link: false } } as unknown as Bundle['settings'],
};
const engine = loadBundlePolicies(bundle);
const sessionOf = (id: string): DialectSession =>
  ({
    road: { masks: () => NO_MASKS, info: infoOf(id), maskKey: undefined, statementNumber: () => 1 },
    resource: RESOURCE,
    state: new Map(),
    nowMs: () => 0,
  }) as unknown as DialectSession;

function verdictOf({ body, headers = [] }: McpRow): { readonly kind: keyof typeof STRICTNESS; readonly by: string } {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const named = new Set(headers.map(([name]) => name));
  const request: RequestHead = {
    ...readTarget('/'),
    method: 'POST',
    scheme: 'https',
    authority: 'agent',
    headers: [...(named.has('content-type') ? [] : [['content-type', 'application/json'] as Header]), ...headers],
    version: '1.1',
    framing: { kind: 'length', bytes: bytes.length },
    expectContinue: false,
    upgrade: '',
  };
  const memory = toolMemory();
  for (const tool of ['drop_all', 'pay', 'find_people']) memory.remember(RESOURCE.id, tool, 'as it was');
  const dialect = createMcpDialect(memory);
  for (const id of ['bot', 'ana']) {
    const given: readonly Header[] = [['mcp-session-id', `of-${id}`]];
    const statement = { facts: { http: {} } } as unknown as Parameters<Dialect['answer']>[4];
    dialect.answer(
      request,
      { status: 200, headers: given, framing: { kind: 'none' } },
      sessionOf(id),
      NO_MASKS,
      statement,
    );
  }
  try {
    const read = bytes.length <= LIMITS.httpBodyJudgedBytesMax;
    const sent = { read, bytes: read ? bytes : Buffer.alloc(0), size: bytes.length };
    const statement = dialect.classify(request, sent, sessionOf('bot'));
    const usage = { statements: 0, writes: 0, rows: 0, bytes: 0 };
    const { kind, rule } = engine.decide({ session: infoOf('bot'), statement, usage, nowMs: 0 });
    return { kind, by: rule };
  } catch (error) {
    if (error instanceof GatewayError) return { kind: 'refused', by: error.code };
    throw error;
  }
}

for (const [title, rows] of Object.entries(MCP)) {
  describe(title, () => {
    test.each(rows.map((row) => [`${row.name}: ${row.expect}`, row] as const))('%s', (_name, row) => {
      const { kind, by } = verdictOf(row);
      if (row.expect === 'allow') expect(`${kind} by ${by}`).toBe('allow by grant');
      else expect(STRICTNESS[kind], `${kind} by ${by}`).toBeGreaterThanOrEqual(STRICTNESS[row.expect]);
    });
  });
}

describe('somebody else’s events', () => {
  const dialect = createMcpDialect();
  const request = (headers: readonly Header[]): RequestHead => ({
    ...readTarget('/'),
    method: 'GET',
    scheme: 'https',
    authority: 'agent',
    headers,
    version: '1.1',
    framing: { kind: 'none' },
    expectContinue: false,
    upgrade: '',
  });
  /** The id of the server's event 7 as that principal gets it. */
  const idFor = (who: string): string => {
    const response = {
      status: 200,
      headers: [['content-type', 'text/event-stream'] as Header],
      framing: { kind: 'stream' } as const,
    };
    const statement = { facts: { http: {} } } as unknown as Parameters<Dialect['answer']>[4];
    const { masker } = dialect.answer(request([]), response, sessionOf(who), NO_MASKS, statement);
    const shown = Buffer.from(masker!.push(Buffer.from('id: 7\ndata: {"jsonrpc":"2.0","method":"x"}\n\n'))).toString();
    return /^id: (.+)$/m.exec(shown)?.[1] ?? '';
  };
  const resumed = (id: string): string => {
    const asked = request([['last-event-id', id]]);
    try {
      dialect.classify(asked, undefined, sessionOf('bot'));
    } catch (error) {
      return error instanceof GatewayError ? error.code : String(error);
    }
    const { headers } = dialect.forward(asked, undefined, sessionOf('bot'), NO_MASKS);
    return headers.find(([name]) => name === 'last-event-id')?.[1] ?? '';
  };

  test('cannot be asked for again by an event’s id', () => {
    const own = idFor('bot');
    expect(resumed(own)).toBe('7');
    for (const id of ['7', '', '7.', idFor('ana'), own.replace('7', '8'), own.slice(0, -1), `${own}.`, `x.${own}`])
      expect(resumed(id), id).toBe('mcp.session_unknown');
  });
});
