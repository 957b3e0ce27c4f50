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

@Injectable()
export class Revocations {
  constructor(
    private readonly repository: IdentityRepository,
    private readonly bundles: BundleChanges,
    private readonly clock: SystemClock,
  ) {}

  /** @param targetId principal id, token `jti`, session id, or approval id */
  async revoke(
    tx: Tx,
    projectId: string,
    kind: 'principal' | 'token' | 'session' | 'approval',
    targetId: string,
  ): Promise<void> {
    const now = this.clock.nowMs();
    // Token times are whole seconds (RFC 7519): one issued in this very second counts as before.
    const before = new Date((Math.floor(now / 1000) + 1) * 1000);
    await this.repository.insertRevocation(tx, {
      id: this.clock.id(),
      projectId,
      kind,
      targetId,
      before,
      keepUntil: new Date(now + KEEP_MS),
    });
    await this.bundles.bump(tx, projectId);
  }
}
