/**
 * Payload bytes → event. Fields of a later version are skipped; a field of the wrong wire type breaks the payload.
 * Refuses to know headers, keys and chains. Field numbers are fixed by docs/reference/trail-format.md.
 */
import { type ErrorCode, isErrorCode } from '@sallyport/core';
import {
  type Effect,
  PROTOCOLS,
  type PrincipalRef,
  type RowSample,
  type SessionAuth,
  type SessionInfo,
  type SessionIssuer,
  type ShadowHit,
  type StatementOutcome,
  type StatementParameter,
  type TrailEvent,
  type TrailEventKind,
  type TransactionWork,
  type WorkStatement,
} from '@sallyport/model';
import { broken } from './bytes.ts';
import { Fields } from './fields.ts';
import { effectWord, principalWord, type VerdictWord, verdictWord } from './kinds.ts';

/** @throws GatewayError `trail.broken` (`payload`, `word`, `number`) when the bytes are not a payload of that kind */
export function decodeEventPayload(kind: TrailEventKind, payload: Buffer): TrailEvent {
  const f = new Fields(payload);
  switch (kind) {
    case 'epoch.started':
      return {
        kind,
        version: f.text(1),
        recoveredEpoch: f.integer(2),
        recoveredSequence: f.integer(3),
        recoveredHead: f.text(4),
      };
    case 'epoch.ended':
      return { kind, reason: f.text(1) };
    case 'bundle.applied':
      return { kind, epoch: f.integer(1), revision: f.integer(2), digest: f.text(3) };
    case 'bundle.refused':
      return { kind, epoch: f.integer(1), revision: f.integer(2), code: codeOf(f.text(3)) || 'internal' };
    case 'auth.failed':
      return { kind, clientAddress: f.text(1), resource: f.text(2), why: f.text(3) };
    case 'session.opened':
      return { kind, session: readSession(f.nested(1)) };
    case 'session.closed':
      return { kind, reason: f.text(1), statements: f.integer(2), rows: f.integer(3), bytes: f.integer(4) };
    case 'statement.judged':
      return {
        kind,
        number: f.integer(1),
        verdict: verdictWord(f.integer(2)),
        rule: f.text(3),
        code: codeOf(f.text(4)),
        digest: f.text(5),
        effects: [...f.bytes(6)].map((code): Effect => effectWord(code)),
        text: f.text(7),
        parameters: f.all(8).map(readParameter),
        approvalId: f.text(9),
        shadow: f.all(10).map(readShadow),
        ...readReached(f),
        ...readCommit(f),
      };
    case 'statement.finished':
      return { kind, outcomes: f.all(1).map(readOutcome) };
    case 'approval.requested':
      return { kind, approvalId: f.text(1), digest: f.text(2), rule: f.text(3), expiresAt: f.integer(4) };
    case 'approval.answered':
      return {
        kind,
        approvalId: f.text(1),
        digest: f.text(2),
        granted: f.integer(3) !== 0,
        by: f.all(4).map(readPrincipal),
        reason: f.text(5),
        signed: f.text(6),
      };
    case 'tool.changed':
      return { kind, tool: f.text(1), first: f.text(2), digest: f.text(3) };
    case 'recording.chunk':
      return {
        kind,
        index: f.integer(1),
        bytes: f.integer(2),
        digest: f.text(3),
        fromMs: f.integer(4),
        toMs: f.integer(5),
      };
    case 'control.act':
      return {
        kind,
        principal: f.optional(1, readPrincipal),
        onBehalfOf: f.optional(2, readPrincipal),
        action: f.text(3),
        target: f.text(4),
        detail: f.text(5),
        requestId: f.text(6),
      };
    default:
      return kind satisfies never;
  }
}

/** '' for a code of a later version: the rule and the verdict still stand. */
const codeOf = (text: string): ErrorCode | '' => (isErrorCode(text) ? text : '');

function readPrincipal(bytes: Buffer): PrincipalRef {
  const f = new Fields(bytes);
  return { id: f.text(1), name: f.text(2), kind: principalWord(f.integer(3)) };
}

function readParameter(bytes: Buffer): StatementParameter {
  const f = new Fields(bytes);
  return { type: f.integer(1), text: f.optional(2, (text) => text.toString('utf8')) };
}

function readShadow(bytes: Buffer): ShadowHit {
  const f = new Fields(bytes);
  const verdict: VerdictWord = verdictWord(f.integer(2));
  return { rule: f.text(1), verdict };
}

/** Absent where nothing was said, so that a record of an earlier version reads as it did. */
function readReached(f: Fields): Pick<TrailEvent & { kind: 'statement.judged' }, 'reached' | 'preparation'> {
  const all = f.all(11);
  return {
    ...(all.length === 0 ? {} : { reached: all.map((what) => what.toString('utf8')) }),
    ...(f.integer(12) === 0 ? {} : { preparation: true }),
  };
}

function readCommit(f: Fields): Pick<TrailEvent & { kind: 'statement.judged' }, 'untilCommit' | 'work'> {
  const work = f.optional(14, readWork);
  return { ...(f.integer(13) === 0 ? {} : { untilCommit: true }), ...(work === undefined ? {} : { work }) };
}

function readWork(bytes: Buffer): TransactionWork {
  const f = new Fields(bytes);
  return {
    statements: f.all(1).map(readWorkStatement),
    count: f.integer(2),
    rows: f.integer(3),
    rowsRolledBack: f.integer(4),
    uncounted: f.integer(5),
    since: f.integer(6),
  };
}

function readWorkStatement(bytes: Buffer): WorkStatement {
  const f = new Fields(bytes);
  const sample = f.optional(5, readSample);
  return {
    number: f.integer(1),
    rows: f.integer(2),
    counted: f.integer(3) !== 0,
    rolledBack: f.integer(4) !== 0,
    ...(sample === undefined ? {} : { sample }),
  };
}

function readSample(bytes: Buffer): RowSample {
  const f = new Fields(bytes);
  const cell = (value: Buffer): string | undefined => new Fields(value).optional(1, (text) => text.toString('utf8'));
  return {
    columns: f.all(1).map((column) => column.toString('utf8')),
    rows: f.all(2).map((row) => new Fields(row).all(1).map(cell)),
  };
}

function readOutcome(bytes: Buffer): StatementOutcome {
  const f = new Fields(bytes);
  return {
    number: f.integer(1),
    rows: f.integer(2),
    bytes: f.integer(3),
    error: f.text(4),
    durationUs: f.integer(5),
    masked: f.integer(6),
  };
}

function readSession(f: Fields): SessionInfo {
  return {
    id: f.text(1),
    projectId: f.text(2),
    agentId: f.text(3),
    resourceId: f.text(4),
    resourceName: f.text(5),
    protocol: protocolOf(f.text(6)),
    principal: readPrincipal(f.bytes(7)),
    onBehalfOf: f.optional(8, readPrincipal),
    tokenId: f.text(9),
    grantIds: f.all(10).map((id) => id.toString('utf8')),
    clientAddress: f.text(11),
    database: f.text(12),
    role: f.text(13),
    application: f.text(14),
    openedAt: f.integer(15),
    ...optionalPart('auth', f.optional(16, readAuth)),
    ...optionalPart('issuer', f.optional(17, readIssuer)),
  };
}

const optionalPart = <K extends string, T>(name: K, value: T | undefined): { readonly [P in K]?: T } =>
  value === undefined ? {} : ({ [name]: value } as { readonly [P in K]: T });

function readAuth(bytes: Buffer): SessionAuth {
  const f = new Fields(bytes);
  return {
    amr: f.all(1).map((method) => method.toString('utf8')),
    acr: f.text(2),
    authTimeMs: f.integer(3) || undefined,
    provider: f.text(4),
  };
}

function readIssuer(bytes: Buffer): SessionIssuer {
  const f = new Fields(bytes);
  return { rule: f.text(1), issuer: f.text(2), subject: f.text(3) };
}

function protocolOf(text: string): SessionInfo['protocol'] {
  // A reader of this version has no other protocol; the text itself stays in the record.
  const known = PROTOCOLS.find((protocol) => protocol === text);
  if (known === undefined) throw broken('word');
  return known;
}
