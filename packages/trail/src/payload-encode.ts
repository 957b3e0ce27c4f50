/**
 * Event → payload bytes, one branch per kind, written by hand because the statement kinds are on the hot path.
 * Refuses to know headers, keys and chains. Field numbers are fixed by docs/reference/trail-format.md.
 */
import type { PrincipalRef, SessionInfo, StatementOutcome, TrailEvent, TransactionWork } from '@sallyport/model';
import { FieldWriter } from './fields.ts';
import { effectCode, principalCode, verdictCode } from './kinds.ts';

/** Writes the payload of `event` at the end of `out`. @throws GatewayError `trail.broken` for a number out of range */
export function writeEventPayload(out: FieldWriter, event: TrailEvent): void {
  switch (event.kind) {
    case 'statement.judged':
      writeJudged(out, event);
      return;
    case 'statement.finished':
      for (const outcome of event.outcomes) writeOutcome(out, outcome);
      return;
    case 'epoch.started':
      out.text(1, event.version);
      out.integer(2, event.recoveredEpoch);
      out.integer(3, event.recoveredSequence);
      out.text(4, event.recoveredHead);
      return;
    case 'epoch.ended':
      out.text(1, event.reason);
      return;
    case 'bundle.applied':
      out.integer(1, event.epoch);
      out.integer(2, event.revision);
      out.text(3, event.digest);
      return;
    case 'bundle.refused':
      out.integer(1, event.epoch);
      out.integer(2, event.revision);
      out.text(3, event.code);
      return;
    case 'auth.failed':
      out.text(1, event.clientAddress);
      out.text(2, event.resource);
      out.text(3, event.why);
      return;
    case 'session.opened': {
      const start = out.open(1);
      writeSession(out, event.session);
      out.close(start);
      return;
    }
    case 'session.closed':
      out.text(1, event.reason);
      out.integer(2, event.statements);
      out.integer(3, event.rows);
      out.integer(4, event.bytes);
      return;
    case 'approval.requested':
      out.text(1, event.approvalId);
      out.text(2, event.digest);
      out.text(3, event.rule);
      out.integer(4, event.expiresAt);
      return;
    case 'approval.answered':
      out.text(1, event.approvalId);
      out.text(2, event.digest);
      out.boolean(3, event.granted);
      for (const by of event.by) writePrincipal(out, 4, by);
      out.text(5, event.reason);
      out.text(6, event.signed);
      return;
    case 'tool.changed':
      out.text(1, event.tool);
      out.text(2, event.first);
      out.text(3, event.digest);
      return;
    case 'recording.chunk':
      out.integer(1, event.index);
      out.integer(2, event.bytes);
      out.text(3, event.digest);
      out.integer(4, event.fromMs);
      out.integer(5, event.toMs);
      return;
    case 'control.act':
      if (event.principal !== undefined) writePrincipal(out, 1, event.principal);
      if (event.onBehalfOf !== undefined) writePrincipal(out, 2, event.onBehalfOf);
      out.text(3, event.action);
      out.text(4, event.target);
      out.text(5, event.detail);
      out.text(6, event.requestId);
      return;
    default:
      event satisfies never;
  }
}

/** The payload as bytes of their own; for tools and tests. */
export function encodeEventPayload(event: TrailEvent): Buffer {
  const out = new FieldWriter();
  writeEventPayload(out, event);
  return Buffer.from(out.view);
}

function writeJudged(out: FieldWriter, event: TrailEvent & { kind: 'statement.judged' }): void {
  out.integer(1, event.number);
  out.integer(2, verdictCode(event.verdict));
  out.text(3, event.rule);
  out.text(4, event.code);
  out.text(5, event.digest);
  out.codes(6, event.effects, effectCode);
  out.text(7, event.text);
  const { parameters, reached } = event;
  // By index: lists that are frozen, or come from elsewhere, are walked by an iterator outside of compiled code.
  for (let i = 0; i < parameters.length; i++) {
    const start = out.open(8);
    out.integer(1, parameters[i]!.type);
    const text = parameters[i]!.text;
    if (text !== undefined) out.presentText(2, text);
    out.close(start);
  }
  out.text(9, event.approvalId);
  for (let i = 0; i < event.shadow.length; i++) {
    const hit = event.shadow[i]!;
    const start = out.open(10);
    out.text(1, hit.rule);
    out.integer(2, verdictCode(hit.verdict));
    out.close(start);
  }
  if (reached !== undefined) for (let i = 0; i < reached.length; i++) out.presentText(11, reached[i]!);
  out.boolean(12, event.preparation ?? false);
  out.boolean(13, event.untilCommit ?? false);
  if (event.work !== undefined) {
    const start = out.open(14);
    writeWork(out, event.work);
    out.close(start);
  }
}

/** Texts and parameters stand under their numbers. */
function writeWork(out: FieldWriter, work: TransactionWork): void {
  for (const statement of work.statements) {
    const start = out.open(1);
    out.integer(1, statement.number);
    out.integer(2, statement.rows);
    out.boolean(3, statement.counted);
    out.boolean(4, statement.rolledBack);
    if (statement.sample !== undefined) {
      const sample = out.open(5);
      for (const column of statement.sample.columns) out.presentText(1, column);
      for (const row of statement.sample.rows) {
        const cells = out.open(2);
        for (const cell of row) {
          const value = out.open(1);
          if (cell !== undefined) out.presentText(1, cell);
          out.close(value);
        }
        out.close(cells);
      }
      out.close(sample);
    }
    out.close(start);
  }
  out.integer(2, work.count);
  out.integer(3, work.rows);
  out.integer(4, work.rowsRolledBack);
  out.integer(5, work.uncounted);
  out.integer(6, work.since);
}

function writeOutcome(out: FieldWriter, outcome: StatementOutcome): void {
  const start = out.open(1);
  out.integer(1, outcome.number);
  out.integer(2, outcome.rows);
  out.integer(3, outcome.bytes);
  out.text(4, outcome.error);
  out.integer(5, outcome.durationUs);
  out.integer(6, outcome.masked);
  out.close(start);
}

function writePrincipal(out: FieldWriter, field: number, principal: PrincipalRef): void {
  const start = out.open(field);
  out.text(1, principal.id);
  out.text(2, principal.name);
  out.integer(3, principalCode(principal.kind));
  out.close(start);
}

function writeSession(out: FieldWriter, session: SessionInfo): void {
  out.text(1, session.id);
  out.text(2, session.projectId);
  out.text(3, session.agentId);
  out.text(4, session.resourceId);
  out.text(5, session.resourceName);
  out.text(6, session.protocol);
  writePrincipal(out, 7, session.principal);
  if (session.onBehalfOf !== undefined) writePrincipal(out, 8, session.onBehalfOf);
  out.text(9, session.tokenId);
  for (const id of session.grantIds) out.presentText(10, id);
  out.text(11, session.clientAddress);
  out.text(12, session.database);
  out.text(13, session.role);
  out.text(14, session.application);
  out.integer(15, session.openedAt);
  const { auth, issuer } = session;
  if (auth !== undefined) {
    const start = out.open(16);
    for (const method of auth.amr) out.presentText(1, method);
    out.text(2, auth.acr);
    out.integer(3, auth.authTimeMs ?? 0);
    out.text(4, auth.provider);
    out.close(start);
  }
  if (issuer !== undefined) {
    const start = out.open(17);
    out.text(1, issuer.rule);
    out.text(2, issuer.issuer);
    out.text(3, issuer.subject);
    out.close(start);
  }
}
