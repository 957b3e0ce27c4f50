/** Bundles: counting changes, compiling, signing. Global, since every feature that agents depend on bumps the revision. */
import { Global, Injectable, Module } from '@nestjs/common';
import { BUS_CHANNEL, noticeOf } from '../bus/pg.bus.ts';
import { MaskKeys } from '../credentials/mask-keys.ts';
import type { Tx } from '../db/database.ts';
import { ProjectDirectory } from '../db/project.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { KeysModule } from '../keys/keys.module.ts';
import { BundleChanges } from './bundle-changes.ts';
import { BundlesController } from './bundles.controller.ts';
import { BundlesRepository } from './bundles.repository.ts';
import { Bundles } from './bundles.service.ts';

@Injectable()
class CountedBundleChanges extends BundleChanges {
  constructor(
    private readonly repository: BundlesRepository,
    private readonly projects: ProjectDirectory,
  ) {
    super();
  }

  override async bump(tx: Tx, projectId: string): Promise<void> {
    await tx.$executeRaw`with changed as (select 1) ${this.bumping(projectId, Prisma.sql`changed`)}`;
  }

  override bumping(projectId: string, after: Prisma.Sql, later = false): Prisma.Sql {
    const notice = noticeOf('bundle', { projectId, ...(later ? { later } : {}) });
    return Prisma.sql`, bumped as (${this.repository.bumping(projectId, after)})
      select pg_notify(${BUS_CHANNEL}::text, ${notice}::text) from bumped`;
  }

  override async bumpAll(tx: Tx): Promise<void> {
    // In one order, so that two such changes cannot wait for each other.
    for (const { id } of await this.projects.all(tx)) await this.bump(tx, id);
  }
}

/** Apart from the module that compiles, since keys/ bumps and compiling needs keys/. */
@Global()
@Module({
  providers: [BundlesRepository, { provide: BundleChanges, useClass: CountedBundleChanges }],
  exports: [BundleChanges, BundlesRepository],
})
export class BundleChangesModule {}

@Module({ imports: [KeysModule], controllers: [BundlesController], providers: [Bundles, MaskKeys], exports: [Bundles] })
export class BundlesModule {}
