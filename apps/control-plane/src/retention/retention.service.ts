/** The setting of a project: who may change it is the route's matter, what it does is the keeper's. No HTTP, no Prisma. */
import { Injectable } from '@nestjs/common';
import { recordActOf } from '../acts/acts.ts';
import { Database } from '../db/database.ts';
import type { Caller } from '../http/caller.ts';
import type { RetentionSetting } from './retention.dto.ts';
import { RetentionRepository } from './retention.repository.ts';

@Injectable()
export class Retention {
  constructor(
    private readonly database: Database,
    private readonly repository: RetentionRepository,
  ) {}

  get(caller: Caller): Promise<RetentionSetting> {
    return this.repository.setting(caller.projectId);
  }

  async set(caller: Caller, setting: RetentionSetting): Promise<RetentionSetting> {
    const { sessionsDays, eventsDays } = setting;
    return await this.database.transaction(async (tx) => {
      await this.repository.set(tx, caller.projectId, setting);
      await recordActOf(tx, caller, 'retention.updated', `project/${caller.projectName}`, { sessionsDays, eventsDays });
      return { sessionsDays, eventsDays };
    });
  }
}
