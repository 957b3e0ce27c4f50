/** Which things documents made or took over. The only Prisma in this folder. */
import { Injectable } from '@nestjs/common';
import type { Tx } from '../db/database.ts';
import type { DocumentKind } from './documents.ts';

export interface AppliedThing {
  readonly id: string;
  readonly name: string;
}

@Injectable()
export class ApplyRepository {
  /** Notes that documents name these now; a row of an earlier thing of the same name is replaced. */
  async note(tx: Tx, projectId: string, kind: DocumentKind, things: readonly AppliedThing[]): Promise<void> {
    const known = new Map((await this.#rows(tx, projectId, kind)).map((row) => [row.name, row.thingId]));
    const fresh = things.filter((thing) => known.get(thing.name) !== thing.id);
    await this.forget(tx, projectId, kind, fresh);
    await tx.appliedDocument.createMany({
      data: fresh.map(({ id, name }) => ({ projectId, kind, name, thingId: id })),
    });
  }

  async forget(tx: Tx, projectId: string, kind: DocumentKind, things: readonly AppliedThing[]): Promise<void> {
    await tx.appliedDocument.deleteMany({
      where: { projectId, kind, name: { in: things.map((thing) => thing.name) } },
    });
  }

  /** Ids of things that documents named when they were applied last. */
  async ids(tx: Tx, projectId: string, kind: DocumentKind): Promise<ReadonlySet<string>> {
    return new Set((await this.#rows(tx, projectId, kind)).map((row) => row.thingId));
  }

  #rows(tx: Tx, projectId: string, kind: DocumentKind): Promise<{ name: string; thingId: string }[]> {
    return tx.appliedDocument.findMany({ where: { projectId, kind }, select: { name: true, thingId: true } });
  }
}
