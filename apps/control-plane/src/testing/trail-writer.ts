/**
 * A chain as an agent's spool writes it, for tests: events in, batches for the link out, segments closed by checkpoints.
 * Refuses to know the link; time and keys are given.
 */
import type { KeyObject } from 'node:crypto';
import type { AgentMessage } from '@sallyport/contract';
import type { ApprovalRequest, SessionInfo, TrailEvent } from '@sallyport/model';
import {
  appendRecord,
  ByteBatch,
  type ChainIdentity,
  type ChainPosition,
  ChainWriter,
  chainStart,
  encodeSegmentHeader,
  keySigner,
  RECORD_CHECKPOINT,
  RECORD_KEY,
  SessionKey,
  signCheckpoint,
} from '@sallyport/trail';

export class TestTrail {
  readonly identity: ChainIdentity;
  readonly #writer: ChainWriter;
  readonly #signKey: KeyObject;
  readonly #sealKey: Uint8Array;
  readonly keys = new Map<string, SessionKey>();
  #batch = new ByteBatch();
  #segment: { readonly header: Buffer; readonly from: ChainPosition };
  #first = 1;

  constructor(identity: ChainIdentity, signKey: KeyObject, sealKey: Uint8Array) {
    this.identity = identity;
    this.#signKey = signKey;
    this.#sealKey = sealKey;
    this.#writer = new ChainWriter(identity);
    this.#segment = { header: encodeSegmentHeader(identity, chainStart(identity)), from: chainStart(identity) };
  }

  get position(): ChainPosition {
    return this.#writer.position;
  }

  add(event: TrailEvent, sessionId?: string, timeMs = Date.now()): this {
    this.#writer.append(this.#batch, event, timeMs, sessionId === undefined ? undefined : this.#keyOf(sessionId));
    return this;
  }

  start(recovered: { epoch: number; sequence: number; head: string } = { epoch: 0, sequence: 0, head: '' }): this {
    return this.add({
      kind: 'epoch.started',
      version: 'test',
      recoveredEpoch: recovered.epoch,
      recoveredSequence: recovered.sequence,
      recoveredHead: recovered.head,
    });
  }

  judged(sessionId: string, number: number, text: string, verdict: 'allow' | 'deny' = 'allow'): this {
    return this.add(
      {
        kind: 'statement.judged',
        number,
        verdict,
        rule: verdict === 'allow' ? 'grant' : 'payments/no-ddl',
        code: verdict === 'allow' ? '' : 'policy.denied',
        digest: 'ab'.repeat(32),
        effects: ['read'],
        text,
        parameters: [
          { text: 'ada@example.com', type: 25 },
          { text: undefined, type: 0 },
        ],
        approvalId: '',
        shadow: [],
      },
      sessionId,
    );
  }

  finished(sessionId: string, number: number, rows: number): this {
    return this.add(
      {
        kind: 'statement.finished',
        outcomes: [{ number, rows, bytes: rows * 10, error: '', durationUs: 120, masked: 1 }],
      },
      sessionId,
    );
  }

  /** Ends the segment; the next event starts another. */
  checkpoint(): this {
    const { identity } = this;
    const { sequence, head } = this.#writer.position;
    const claim = {
      identity,
      firstSequence: this.#segment.from.sequence + 1,
      lastSequence: sequence,
      timeMs: Date.now(),
      prev: this.#segment.from.head,
      head,
      recovered: false,
    };
    appendRecord(this.#batch, RECORD_CHECKPOINT, signCheckpoint(claim, keySigner(this.#signKey)));
    return this;
  }

  /** What was added since the last call, as the link carries it. */
  take(cursor: string): NonNullable<AgentMessage['trail']> {
    const message = {
      instance: this.identity.instance,
      epoch: this.identity.epoch,
      firstSequence: String(this.#first),
      lastSequence: String(this.#writer.position.sequence),
      cursor,
      records: Buffer.from(this.#batch.view),
      segmentHeader: this.#segment.header,
    };
    this.#batch = new ByteBatch();
    this.#first = this.#writer.position.sequence + 1;
    return message;
  }

  /** Call after `take` of a batch that ended in a checkpoint. */
  nextSegment(): this {
    this.#segment = { header: encodeSegmentHeader(this.identity, this.#writer.position), from: this.#writer.position };
    return this;
  }

  #keyOf(sessionId: string): SessionKey {
    const known = this.keys.get(sessionId);
    if (known !== undefined) return known;
    const key = new SessionKey(sessionId);
    this.keys.set(sessionId, key);
    appendRecord(this.#batch, RECORD_KEY, key.sealTo(this.#sealKey));
    return key;
  }
}

export const testSession = (
  more: Pick<SessionInfo, 'id' | 'projectId' | 'agentId' | 'principal'> & Partial<SessionInfo>,
): SessionInfo => ({
  resourceId: '0190b3a4-0000-7000-8000-0000000000aa',
  resourceName: 'payments-db',
  protocol: 'postgres',
  onBehalfOf: undefined,
  tokenId: 'tok-1',
  grantIds: ['gr-1'],
  clientAddress: '127.0.0.1:50123',
  database: 'payments',
  role: 'app',
  application: 'psql',
  openedAt: Date.now(),
  ...more,
});

/** A hold of that session; `text` and times are the test's. */
export const testApproval = (
  session: SessionInfo,
  more: Pick<ApprovalRequest, 'text' | 'requestedAt' | 'expiresAt'>,
): ApprovalRequest => ({
  id: `apr-${session.id.replaceAll('-', '').slice(0, 16)}`,
  projectId: session.projectId,
  agentId: session.agentId,
  sessionId: session.id,
  resourceId: session.resourceId,
  principal: session.principal,
  digest: 'd'.repeat(64),
  scope: 'once',
  mode: 'wait',
  parameters: [],
  effects: ['write'],
  rule: 'payments/bulk-delete',
  reason: 'needs a second pair of eyes',
  approval: { groups: ['dba'], count: 1, expiresMs: 60_000 },
  database: session.database,
  clientAddress: session.clientAddress,
  inTransaction: false,
  wroteInTransaction: false,
  statementsBefore: 1,
  writesBefore: 0,
  recentStatements: [more.text],
  ...more,
});
