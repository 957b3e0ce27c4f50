/**
 * The events of the trail, as values. packages/trail fixes their bytes (docs/reference/trail-format.md).
 * Add kinds and fields; never rename or reuse one: the record is read in ten years.
 */
import type { ErrorCode } from '@sallyport/core';
import type { Effect } from './effect.ts';
import type { PrincipalRef } from './principal.ts';
import type { SessionInfo } from './session.ts';
import type { StatementParameter } from './statement.ts';
import type { TransactionWork } from './transaction.ts';
import type { ShadowHit } from './verdict.ts';

export type TrailEvent =
  /** First of every epoch: which chain it goes on from. `recoveredHead` is hex of the head found on disk, '' for the first. */
  | {
      readonly kind: 'epoch.started';
      readonly version: string;
      readonly recoveredEpoch: number;
      readonly recoveredSequence: number;
      readonly recoveredHead: string;
    }
  | { readonly kind: 'epoch.ended'; readonly reason: string }
  | { readonly kind: 'bundle.applied'; readonly epoch: number; readonly revision: number; readonly digest: string }
  | { readonly kind: 'bundle.refused'; readonly epoch: number; readonly revision: number; readonly code: ErrorCode }
  | { readonly kind: 'auth.failed'; readonly clientAddress: string; readonly resource: string; readonly why: string }
  | { readonly kind: 'session.opened'; readonly session: SessionInfo }
  | {
      readonly kind: 'session.closed';
      readonly reason: string;
      readonly statements: number;
      readonly rows: number;
      readonly bytes: number;
    }
  /** The intent, recorded before a byte is forwarded. `number` counts statements of the session from 1. */
  | {
      readonly kind: 'statement.judged';
      readonly number: number;
      readonly verdict: 'allow' | 'deny' | 'hold';
      readonly rule: string;
      readonly code: ErrorCode | '';
      readonly digest: string;
      readonly effects: readonly Effect[];
      readonly text: string;
      readonly parameters: readonly StatementParameter[];
      /** The approval request or approval this verdict goes with; '' otherwise. */
      readonly approvalId: string;
      readonly shadow: readonly ShadowHit[];
      /** What it reaches, as far as its facts say: `read public.orders`, `drop public.orders`, `call`. Absent in older records. */
      readonly reached?: readonly string[];
      /** Judged only to be prepared: its execution is a statement of its own. Absent = false. */
      readonly preparation?: boolean;
      /** It ran, and its transaction's COMMIT waits for a person. Absent = false. */
      readonly untilCommit?: boolean;
      /** It is the COMMIT of such a transaction: what it would commit. */
      readonly work?: TransactionWork;
    }
  /** What came back; may lag behind. Several may ride in one event. `error` is the SQLSTATE or '' */
  | { readonly kind: 'statement.finished'; readonly outcomes: readonly StatementOutcome[] }
  | {
      readonly kind: 'approval.requested';
      readonly approvalId: string;
      readonly digest: string;
      readonly rule: string;
      readonly expiresAt: number;
    }
  | {
      readonly kind: 'approval.answered';
      readonly approvalId: string;
      readonly digest: string;
      readonly granted: boolean;
      readonly by: readonly PrincipalRef[];
      readonly reason: string;
      readonly signed: string;
    }
  /** An MCP server describes a tool in another way than at first. Digests are hex of SHA-256; `first` is '' when it was not kept. */
  | { readonly kind: 'tool.changed'; readonly tool: string; readonly first: string; readonly digest: string }
  /** A piece of the session's recording left memory; its digest binds it to the chain. Times are ms since the session opened. */
  | {
      readonly kind: 'recording.chunk';
      readonly index: number;
      readonly bytes: number;
      readonly digest: string;
      readonly fromMs: number;
      readonly toMs: number;
    }
  /** An act at the control plane: who did what to what. `detail` is JSON without secrets. */
  | {
      readonly kind: 'control.act';
      readonly principal: PrincipalRef | undefined;
      readonly onBehalfOf: PrincipalRef | undefined;
      /** `grant.created`, `approval.approved`, `recording.viewed`, … */
      readonly action: string;
      readonly target: string;
      readonly detail: string;
      readonly requestId: string;
    };

export interface StatementOutcome {
  readonly number: number;
  /** That came back or were changed; a row that was changed and came back counts once. */
  readonly rows: number;
  readonly bytes: number;
  /** SQLSTATE of the server's or our error; '' when it went well. */
  readonly error: string;
  /** Microseconds from forwarding to the end of the answer. */
  readonly durationUs: number;
  /** Cells changed by masks in this statement's answer. */
  readonly masked: number;
}
export type TrailEventKind = TrailEvent['kind'];
