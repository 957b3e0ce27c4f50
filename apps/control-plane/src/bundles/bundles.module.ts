/** Bundles: counting changes. Global, since every feature that agents depend on bumps the revision. */
import { Global, Injectable, Module } from '@nestjs/common';
import type { Tx } from '../db/database.ts';
import { BundleChanges } from './bundle-changes.ts';

@Injectable()
class CountedBundleChanges extends BundleChanges {
  override async bump(tx: Tx, projectId: string): Promise<void> {
    await tx.bundleState.upsert({
      where: { projectId },
      create: { projectId, revision: 1 },
      update: { revision: { increment: 1 } },
    });
  }
}

@Global()
@Module({ providers: [{ provide: BundleChanges, useClass: CountedBundleChanges }], exports: [BundleChanges] })
export class BundlesModule {}
