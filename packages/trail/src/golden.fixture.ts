/**
 * Test-only: the fixed values behind packages/trail/golden. Refuses any clock or random source, so that bytes repeat.
 * A golden file never changes; a new kind or field adds lines.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { PrincipalRef, SessionInfo, TrailEvent } from '@sallyport/model';
import { ByteBatch } from './bytes.ts';
import { type ChainIdentity, ChainWriter, chainStart } from './chain.ts';
import { signCheckpoint } from './checkpoint.ts';
import { appendRecord, RECORD_CHECKPOINT, RECORD_KEY } from './record.ts';
import type { RecordingFrame } from './recording-frame.ts';
import { encodeSegmentHeader } from './segment.ts';
import { SessionKey } from './session-key.ts';
import { keySigner } from './signer.ts';

export const GOLDEN_TIME_MS = Date.UTC(2026, 10, 21, 3);
export const GOLDEN_SESSION = '0190b3a4-5c6d-7e8f-9a0b-1c2d3e4f5061';
export const GOLDEN_CHAIN: ChainIdentity = {
  agentId: '0190b3a4-0000-7000-8000-00000000000a',
  instance: 'main',
  epoch: 1_795_230_000,
};
export const GOLDEN_SECRET = Buffer.alloc(32, 7);
/** X25519 private key whose public key the golden key record is sealed to. */
export const GOLDEN_SEAL_PRIVATE = Buffer.alloc(32, 9);

/** Ed25519 from a fixed seed (RFC 8410): its signatures repeat. */
export const goldenSigningKey = (seed = 5): KeyObject =>
  createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, seed)]),
    format: 'der',
    type: 'pkcs8',
  });

const ada: PrincipalRef = { id: '0190b3a4-0000-7000-8000-0000000000a1', name: 'ada@example.com', kind: 'person' };
const bot: PrincipalRef = { id: '0190b3a4-0000-7000-8000-0000000000b1', name: 'payments-bot', kind: 'ai_agent' };

export const GOLDEN_SESSION_INFO: SessionInfo = {
  id: GOLDEN_SESSION,
  projectId: '0190b3a4-0000-7000-8000-000000000001',
  agentId: GOLDEN_CHAIN.agentId,
  resourceId: '0190b3a4-0000-7000-8000-000000000002',
  resourceName: 'payments-prod',
  protocol: 'postgres',
  principal: bot,
  onBehalfOf: ada,
  tokenId: 'tok-1',
  grantIds: ['gr-1', 'gr-2'],
  clientAddress: '127.0.0.1:50123',
  database: 'payments',
  role: 'app',
  application: 'psql',
  openedAt: GOLDEN_TIME_MS,
};

const DIGEST = 'ab'.repeat(32);

/** At least one event of every kind, with every field set somewhere and left out somewhere. */
export const GOLDEN_EVENTS: readonly TrailEvent[] = [
  { kind: 'epoch.started', version: '0.1.0', recoveredEpoch: 0, recoveredSequence: 0, recoveredHead: '' },
  { kind: 'bundle.applied', epoch: 1, revision: 300, digest: DIGEST },
  { kind: 'bundle.refused', epoch: 1, revision: 299, code: 'bundle.stale' },
  { kind: 'auth.failed', clientAddress: '10.0.0.9:1', resource: 'payments-prod', why: 'expired' },
  { kind: 'session.opened', session: GOLDEN_SESSION_INFO },
  {
    kind: 'statement.judged',
    number: 1,
    verdict: 'allow',
    rule: 'grant',
    code: '',
    digest: DIGEST,
    effects: ['read'],
    text: 'select 1',
    parameters: [],
    approvalId: '',
    shadow: [],
  },
  {
    kind: 'statement.judged',
    number: 2,
    verdict: 'hold',
    rule: 'payments-prod/bulk-delete',
    code: 'approval.required',
    digest: DIGEST,
    effects: ['write', 'exec'],
    text: `delete from payments where note <> $1 -- ${'long text '.repeat(20)}Größe 数`,
    parameters: [
      { text: 'x', type: 25 },
      { text: undefined, type: 23 },
      { text: '', type: 0 },
    ],
    approvalId: 'apr-7k2m9x4qdz',
    shadow: [{ rule: 'next/no-delete', verdict: 'deny' }],
  },
  {
    kind: 'statement.finished',
    outcomes: [
      { number: 1, rows: 1, bytes: 12, error: '', durationUs: 431, masked: 0 },
      { number: 2, rows: 4_000_000_000, bytes: 2 ** 40, error: '42501', durationUs: 1, masked: 7 },
    ],
  },
  {
    kind: 'approval.requested',
    approvalId: 'apr-7k2m9x4qdz',
    digest: DIGEST,
    rule: 'payments-prod/bulk-delete',
    expiresAt: GOLDEN_TIME_MS + 600_000,
  },
  {
    kind: 'approval.answered',
    approvalId: 'apr-7k2m9x4qdz',
    digest: DIGEST,
    granted: true,
    by: [ada],
    reason: 'seen',
    signed: 'eyJhbGciOiJFUzI1NiJ9',
  },
  { kind: 'recording.chunk', index: 3, bytes: 70_000, digest: DIGEST, fromMs: 12, toMs: 90_210 },
  { kind: 'session.closed', reason: 'client', statements: 2, rows: 1, bytes: 12 },
  {
    kind: 'control.act',
    principal: ada,
    onBehalfOf: undefined,
    action: 'grant.created',
    target: 'gr-1',
    detail: '{"resource":"payments-prod"}',
    requestId: 'req-1',
  },
  {
    kind: 'control.act',
    principal: undefined,
    onBehalfOf: undefined,
    action: 'tree.signed',
    target: '',
    detail: '',
    requestId: '',
  },
  { kind: 'epoch.ended', reason: 'stopped' },
];

/** Came after the first golden payloads. */
export const GOLDEN_TOOL: TrailEvent = {
  kind: 'tool.changed',
  tool: 'find_people',
  first: DIGEST,
  digest: DIGEST.split('').reverse().join(''),
};

export const GOLDEN_FRAMES: readonly RecordingFrame[] = [
  { kind: 'statement', atMs: 12, number: 1, text: 'select name, ssn from customers' },
  { kind: 'columns', atMs: 14, number: 1, names: ['name', 'ssn'] },
  { kind: 'rows', atMs: 14, number: 1, count: 1, bytes: Buffer.from('4400000013000200000003416461ffffffff', 'hex') },
  { kind: 'cut', atMs: 300, number: 1, rows: 1000, bytes: 64_000, digest: DIGEST },
  { kind: 'complete', atMs: 301, number: 1, text: 'SELECT 1001' },
  { kind: 'notice', atMs: 302, number: 2, text: 'waits for approval' },
  { kind: 'error', atMs: 90_000, number: 2, text: '42501 refused' },
  { kind: 'client', atMs: 90_100, bytes: Buffer.from('ls\r') },
  { kind: 'server', atMs: 90_210, bytes: Buffer.of(0, 255) },
];

/** Sessions that say how the person behind them signed in, or whose token opened them. */
export const GOLDEN_PROVEN: readonly TrailEvent[] = [
  {
    kind: 'session.opened',
    session: {
      ...GOLDEN_SESSION_INFO,
      auth: { amr: ['pwd', 'otp'], acr: 'urn:level:2', authTimeMs: GOLDEN_TIME_MS - 60_000, provider: 'corp' },
    },
  },
  {
    kind: 'session.opened',
    session: { ...GOLDEN_SESSION_INFO, auth: { amr: [], acr: '', authTimeMs: undefined, provider: 'google' } },
  },
  {
    kind: 'session.opened',
    session: {
      ...GOLDEN_SESSION_INFO,
      onBehalfOf: undefined,
      issuer: {
        rule: 'pods',
        issuer: 'https://kubernetes.default.svc',
        subject: 'system:serviceaccount:payments:worker',
      },
    },
  },
];

/** What access reviews read of a statement; fields that were added after the events above. */
export const GOLDEN_REACHED: TrailEvent & { readonly kind: 'statement.judged' } = {
  kind: 'statement.judged',
  number: 3,
  verdict: 'allow',
  rule: 'grant',
  code: '',
  digest: DIGEST,
  effects: ['read', 'write'],
  text: 'insert into archive select * from payments',
  parameters: [],
  approvalId: '',
  shadow: [],
  reached: ['write public.archive', 'read payments'],
  preparation: true,
};

/** A COMMIT that was held: the fields of it were added after the ones above. */
export const GOLDEN_COMMIT: TrailEvent & { readonly kind: 'statement.judged' } = {
  kind: 'statement.judged',
  number: 9,
  verdict: 'hold',
  rule: 'payments-prod/writes',
  code: '',
  digest: DIGEST,
  effects: [],
  text: 'COMMIT',
  parameters: [],
  approvalId: 'apr-7k2m9x4qdz',
  shadow: [],
  work: {
    statements: [
      {
        number: 7,
        rows: 2,
        counted: true,
        rolledBack: false,
        sample: {
          columns: ['id', 'note'],
          rows: [
            ['1', 'Größe'],
            ['2', undefined],
            ['', ''],
          ],
        },
      },
      { number: 8, rows: 300, counted: false, rolledBack: true },
    ],
    count: 3,
    rows: 302,
    rowsRolledBack: 300,
    uncounted: 1,
    since: GOLDEN_TIME_MS,
  },
};
/** A write under such a rule. */
export const GOLDEN_UNTIL_COMMIT: TrailEvent & { readonly kind: 'statement.judged' } = {
  kind: 'statement.judged',
  number: 7,
  verdict: 'allow',
  rule: 'payments-prod/writes',
  code: '',
  digest: DIGEST,
  effects: ['write'],
  text: 'update payments set note = null returning id, note',
  parameters: [],
  approvalId: '',
  shadow: [],
  untilCommit: true,
};

/** What a COPY leaves behind, both ways; frames that were added after the ones above. */
export const GOLDEN_COPY_FRAMES: readonly RecordingFrame[] = [
  { kind: 'statement', atMs: 20, number: 1, text: 'copy customers from stdin' },
  { kind: 'input', atMs: 22, number: 1, lines: 2, bytes: Buffer.from('1\tAda\n2\ta***@e***.com\n') },
  { kind: 'input_cut', atMs: 23, number: 1, lines: 4000, bytes: 90_000, digest: DIGEST },
  { kind: 'complete', atMs: 23, number: 1, text: 'COPY 4002' },
  { kind: 'statement', atMs: 30, number: 2, text: 'copy customers to stdout' },
  { kind: 'rows', atMs: 31, number: 2, count: 1, bytes: Buffer.from('640000000a31094164610a', 'hex') },
  { kind: 'complete', atMs: 31, number: 2, text: 'COPY 1' },
];

/** What a terminal, a command and a file transfer leave behind; frames that were added after the ones above. */
export const GOLDEN_STREAM_FRAMES: readonly RecordingFrame[] = [
  { kind: 'statement', atMs: 40, number: 1, text: '' },
  { kind: 'resize', atMs: 40, number: 1, columns: 120, rows: 40 },
  { kind: 'terminal_output', atMs: 41, number: 1, stream: 'pty', bytes: Buffer.from('\u001b[1m$ \u001b[0m') },
  { kind: 'terminal_input', atMs: 400, number: 1, bytes: Buffer.from('ls\r') },
  { kind: 'resize', atMs: 500, number: 1, columns: 80, rows: 300 },
  { kind: 'exit', atMs: 600, number: 1, signal: 'HUP' },
  { kind: 'statement', atMs: 700, number: 2, text: 'make' },
  { kind: 'terminal_output', atMs: 701, number: 2, stream: 'stdout', bytes: Buffer.of(0, 255, 10) },
  { kind: 'terminal_output', atMs: 702, number: 2, stream: 'stderr', bytes: Buffer.from('a***@e***.com: no\n') },
  { kind: 'stream_cut', atMs: 800, number: 2, stream: 'stdout', bytes: 2 ** 40, digest: DIGEST },
  { kind: 'stream_cut', atMs: 800, number: 2, stream: 'input', bytes: 5, digest: DIGEST },
  { kind: 'exit', atMs: 801, number: 2, code: 0 },
  { kind: 'exit', atMs: 802, number: 3, code: 255 },
  { kind: 'exit', atMs: 803, number: 4 },
  {
    kind: 'file',
    atMs: 900,
    number: 5,
    op: 'write',
    path: '/srv/Größe.txt',
    target: '',
    size: 0,
    digest: DIGEST,
    via: 'sftp',
  },
  { kind: 'file', atMs: 901, number: 6, op: 'rename', path: '/srv/a', target: '/srv/b', digest: '', via: 'scp' },
];

/** A closed segment with all golden events. `keyRecord` is an argument because sealing is random. */
export function goldenSegment(keyRecord: Buffer): Buffer {
  const key = new SessionKey(GOLDEN_SESSION, GOLDEN_SECRET);
  const start = chainStart(GOLDEN_CHAIN);
  const writer = new ChainWriter(GOLDEN_CHAIN);
  const batch = new ByteBatch();
  batch.append(encodeSegmentHeader(GOLDEN_CHAIN, start));
  appendRecord(batch, RECORD_KEY, keyRecord);
  for (const [i, event] of GOLDEN_EVENTS.entries()) {
    const ofSession = /^(session|statement|approval|recording)/.test(event.kind);
    writer.append(batch, event, GOLDEN_TIME_MS + i, ofSession ? key : undefined);
  }
  const claim = {
    identity: GOLDEN_CHAIN,
    firstSequence: 1,
    lastSequence: writer.position.sequence,
    timeMs: GOLDEN_TIME_MS + 60_000,
    prev: start.head,
    head: writer.position.head,
    recovered: false,
  };
  appendRecord(batch, RECORD_CHECKPOINT, signCheckpoint(claim, keySigner(goldenSigningKey())));
  return Buffer.from(batch.view);
}

/** One request and its answer, which was cut, with another request between. */
export const GOLDEN_HTTP_FRAMES: readonly RecordingFrame[] = [
  {
    kind: 'http_head',
    atMs: 60,
    number: 5,
    side: 'request',
    text: 'POST /v1/payouts HTTP/1.1\r\ncontent-type: application/json\r\n\r\n',
  },
  { kind: 'http_body', atMs: 60, number: 5, side: 'request', bytes: Buffer.from('{"to":"a***@e***.com"}') },
  { kind: 'http_end', atMs: 61, number: 5, side: 'request', bytes: 22, cut: 0, digest: DIGEST },
  { kind: 'http_head', atMs: 62, number: 6, side: 'request', text: 'GET / HTTP/2\r\n\r\n' },
  { kind: 'http_head', atMs: 300, number: 5, side: 'response', text: 'HTTP/1.1 200\r\ncontent-encoding: gzip\r\n\r\n' },
  { kind: 'http_body', atMs: 301, number: 5, side: 'response', bytes: Buffer.of(0x1f, 0x8b, 0, 255) },
  { kind: 'http_end', atMs: 70_000, number: 5, side: 'response', bytes: 5_000_000_000, cut: 4_999_999_996, digest: '' },
];
