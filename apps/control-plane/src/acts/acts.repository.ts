/** The table of acts, to be read; they are written by acts.ts alone. */
import { Injectable } from '@nestjs/common';
import { Database } from '../db/database.ts';
import type { ControlAct } from '../generated/prisma/client.ts';
import type { ActsQuery } from './acts.dto.ts';

@Injectable()
export class ActsRepository {
  constructor(private readonly database: Database) {}

  /** Newest first, one more than the limit. */
  list(projectId: string, query: ActsQuery): Promise<ControlAct[]> {
    const { action, target, principal, since, until, cursor, limit } = query;
    return this.database.client.controlAct.findMany({
      where: {
        projectId,
        ...(action === undefined ? {} : { action }),
        ...(target === undefined ? {} : { target }),
        ...(principal === undefined ? {} : { OR: [{ principalName: principal }, { onBehalfOfName: principal }] }),
        time: {
          ...(since === undefined ? {} : { gte: new Date(since) }),
          ...(until === undefined ? {} : { lt: new Date(until) }),
        },
        ...(cursor === undefined ? {} : { id: { lt: BigInt(cursor) } }),
      },
      orderBy: { id: 'desc' },
      take: limit + 1,
    });
  }
}
