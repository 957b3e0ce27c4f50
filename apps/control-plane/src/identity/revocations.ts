/**
 * Ending what is already open: a revocation row in the bundle makes agents end sessions and refuse tokens issued before.
 * Refuses to know why; callers record the act. Kept while any token or offline budget could outlive it.
 */
import { Injectable } from '@nestjs/common';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import type { Tx } from '../db/database.ts';
import { SystemClock } from '../time.ts';
import { IdentityRepository } from './identity.repository.ts';

/** Longer than any offline budget a resource may set. */
const KEEP_MS = 8 * 86_400_000;
/** By how much replicas' clocks may differ. */
const SKEW_MS = 5_000;

/** Those that end tokens of this second are kept longer than until then. */
export const keptOfThisSecond = (nowMs: number): Date => new Date(nowMs + KEEP_MS - 1_000 - SKEW_MS);

export interface RevocationRow {
  readonly id: string;
  readonly projectId: string;
  readonly kind: 'principal' | 'token' | 'session' | 'approval';
  readonly targetId: string;
  readonly before: Date;
  readonly keepUntil: Date;
}

@Injectable()
export class Revocations {
  constructor(
    private readonly repository: IdentityRepository,
    private readonly bundles: BundleChanges,
    private readonly clock: SystemClock,
  ) {}

  /** @param targetId principal id, token `jti`, session id, or approval id */
  async revoke(tx: Tx, projectId: string, kind: RevocationRow['kind'], targetId: string): Promise<void> {
    await this.repository.insertRevocation(tx, this.rowOf(projectId, kind, targetId));
    await this.bundles.bump(tx, projectId);
  }

  /** For a statement of its own, which has to count the change as well. */
  rowOf(projectId: string, kind: RevocationRow['kind'], targetId: string): RevocationRow {
    const now = this.clock.nowMs();
    // Token times are whole seconds (RFC 7519): one issued in this very second counts as before.
    const before = new Date((Math.floor(now / 1000) + 1) * 1000);
    return { id: this.clock.id(), projectId, kind, targetId, before, keepUntil: new Date(now + KEEP_MS) };
  }
}
