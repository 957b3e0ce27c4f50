/**
 * Ties a Slack user to the person who is signed in. The code was shown to that Slack user alone, and comes back with a token
 * of the person: each side has proven itself. Refuses machines: only persons answer.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { recordActOf } from '../acts/acts.ts';
import { Database } from '../db/database.ts';
import type { SlackLink } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { hashOf } from '../identity/api-tokens.ts';
import { SystemClock } from '../time.ts';
import { SlackRepository } from './slack.repository.ts';

const show = (link: SlackLink) => ({
  id: link.id,
  team: link.teamId,
  user: link.slackUserId,
  name: link.slackName,
  createdAt: link.createdAt.toISOString(),
});

@Injectable()
export class SlackLinks {
  constructor(
    private readonly database: Database,
    private readonly repository: SlackRepository,
    private readonly clock: SystemClock,
  ) {}

  async list(caller: Caller) {
    return { items: (await this.repository.links(caller.projectId, caller.principal.id)).map(show) };
  }

  /** @throws GatewayError `auth.failed` for a code that is wrong, used or too old, and for a machine */
  async create(caller: Caller, code: string) {
    return await this.database.transaction(async (tx) => {
      const hash = hashOf(`slack-link/${code}`);
      const taken =
        caller.principal.kind === 'person'
          ? await this.repository.takeCode(tx, caller.projectId, hash, this.clock.now())
          : null;
      if (taken === null) throw new GatewayError('auth.failed', { what: 'slack link' });
      const { webhookId, teamId, slackUserId, slackName } = taken;
      const link = await this.repository.setLink(tx, {
        id: this.clock.id(),
        projectId: caller.projectId,
        webhookId,
        teamId,
        slackUserId,
        slackName,
        principalId: caller.principal.id,
      });
      await recordActOf(tx, caller, 'slack.linked', `principal/${caller.principal.name}`, {
        team: teamId,
        user: slackUserId,
      });
      return show(link);
    });
  }

  /** @throws GatewayError `request.not_found` */
  async remove(caller: Caller, id: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const link = await this.repository.removeLink(tx, caller.projectId, caller.principal.id, id);
      if (link === null) throw new GatewayError('request.not_found', { link: id });
      await recordActOf(tx, caller, 'slack.unlinked', `principal/${caller.principal.name}`, {
        team: link.teamId,
        user: link.slackUserId,
      });
    });
  }
}
