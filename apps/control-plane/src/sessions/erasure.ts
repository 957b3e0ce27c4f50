/**
 * Makes a closed session unreadable for good: its key goes, and every text that was kept of it beside the trail. What is left
 * says who used what, when and how much, and the chain still verifies. Refuses to decide which sessions: a person or retention/ does.
 */
import { Injectable } from '@nestjs/common';
import { type Actor, recordAct } from '../acts/acts.ts';
import type { Tx } from '../db/database.ts';
import type { Session } from '../generated/prisma/client.ts';
import { SystemClock } from '../time.ts';
import { SessionKeys } from '../trail/session-keys.ts';
import { SessionsRepository } from './sessions.repository.ts';

@Injectable()
export class Erasure {
  constructor(
    private readonly repository: SessionsRepository,
    private readonly keys: SessionKeys,
    private readonly clock: SystemClock,
  ) {}

  /** Called once per session; what lies in the recording store is removed after the commit. @param reason stands in the trail */
  async erase(tx: Tx, actor: Actor, session: Session, reason: string): Promise<void> {
    const keys = await this.keys.destroy(tx, session);
    await this.repository.erase(tx, session.id, this.clock.now());
    await recordAct(tx, {
      ...actor,
      action: 'session.erased',
      target: `session/${session.id}`,
      detail: { reason, keys, principal: session.principalName, resource: session.resourceName },
      sessionId: session.id,
    });
  }
}
