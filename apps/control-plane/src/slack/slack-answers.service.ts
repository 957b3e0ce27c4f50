/**
 * Answers given in Slack: each counts as the answer of the principal that the Slack user is tied to, with that principal's
 * permissions as they are now, by the same rules as any other answer. Refuses what Slack did not sign, what is no question
 * of that app, and users that nobody has tied; those are shown how, to them alone.
 */
import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { CODES, GatewayError } from '@sallyport/core';
import type { PrincipalKind } from '@sallyport/model';
import { Approvals } from '../approvals/approvals.service.ts';
import { Database } from '../db/database.ts';
import { ProjectDirectory } from '../db/project.ts';
import type { Webhook } from '../generated/prisma/client.ts';
import { type Caller, requirePermission } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { permissionsOf } from '../http/permissions.ts';
import { RateLimiter } from '../http/rate-limit.ts';
import { hashOf } from '../identity/api-tokens.ts';
import { Envelope } from '../keys/envelope.ts';
import { isSignedBySlack } from '../notify/credentials/slack-secrets.ts';
import { Outbox } from '../notify/outbox.ts';
import { AccessRequests } from '../requests/access-requests.service.ts';
import { SystemClock } from '../time.ts';
import { type Interaction, readInteraction } from './interaction.ts';
import { SlackRepository } from './slack.repository.ts';

const CODE_MS = 10 * 60_000;

export interface SlackCall {
  readonly timestamp: string;
  readonly signature: string;
  readonly raw: Buffer;
  readonly address: string;
  readonly requestId: string;
}

@Injectable()
export class SlackAnswers {
  constructor(
    private readonly database: Database,
    private readonly repository: SlackRepository,
    private readonly projects: ProjectDirectory,
    private readonly approvals: Approvals,
    private readonly requests: AccessRequests,
    private readonly outbox: Outbox,
    private readonly envelope: Envelope,
    private readonly limits: RateLimiter,
    private readonly clock: SystemClock,
  ) {}

  /** @throws GatewayError `auth.failed` whatever is wrong with the call */
  async take(call: SlackCall): Promise<void> {
    const said = readInteraction(call.raw.toString('utf8'));
    // Which app it is for stands in the button; its own secret then says whether that is true.
    const app = said === undefined ? null : await this.repository.app(said.webhookId);
    if (said === undefined || app === null || !isSignedBySlack(this.envelope, app, call, this.clock.nowMs() / 1000)) {
      await this.limits.take('bad-secret', call.address);
      throw new GatewayError('auth.failed', { what: 'slack' });
    }
    const note = await this.#answer(app, said, call.requestId);
    await this.database.transaction(async (tx) => {
      const body = { channel: said.channelId, user: said.user.id, text: note };
      await this.outbox.addTo(tx, app.projectId, [app.id], 'slack.note', body);
    });
    this.outbox.wake();
  }

  /** @returns what the person is told */
  async #answer(app: Webhook, said: Interaction, requestId: string): Promise<string> {
    const link = await this.repository.link({ webhookId: app.id, teamId: said.teamId, slackUserId: said.user.id });
    const caller = link === null ? undefined : await this.#caller(app.projectId, link.principalId, requestId);
    if (caller === undefined) return await this.#offerLink(app, said);
    try {
      if (!(await this.repository.hasPosted(app.id, `${said.subject.kind}/${said.subject.id}`)))
        throw new GatewayError('request.not_found');
      const { state } = await this.#give(caller, said);
      return state === 'pending'
        ? 'Your answer is counted; it needs more persons.'
        : `Your answer is counted: ${state}.`;
    } catch (error) {
      if (error instanceof InvalidRequest) return 'A refusal needs a reason: write it into the field, then press Deny.';
      if (error instanceof GatewayError) return CODES[error.code].text;
      throw error;
    }
  }

  async #give(caller: Caller, { subject, granted, reason }: Interaction): Promise<{ readonly state: string }> {
    if (subject.kind === 'approval') {
      requirePermission(caller, 'approval:answer');
      return await this.approvals.answer(caller, subject.id, { granted, reason, scope: 'once' });
    }
    requirePermission(caller, 'access-request:answer');
    return await this.requests.answer(caller, subject.id, granted, { reason });
  }

  /** The principal as it is now; it has not signed in, so no rule that wants a fresh sign-in is met. */
  async #caller(projectId: string, principalId: string, requestId: string): Promise<Caller | undefined> {
    const row = await this.repository.principal(projectId, principalId);
    if (row === null || !(await this.projects.isEnabled(projectId))) return undefined;
    return {
      projectId,
      projectName: await this.projects.nameOf(projectId),
      principal: { id: row.id, name: row.name, kind: row.kind as PrincipalKind },
      // What belongs to the installation is nothing to do from a chat.
      permissions: permissionsOf(row.roles.filter((role) => role !== 'owner')),
      tokenId: 'slack',
      requestId,
    };
  }

  async #offerLink(app: Webhook, said: Interaction): Promise<string> {
    const code = randomBytes(15).toString('base64url');
    await this.database.transaction(async (tx) => {
      await this.repository.replaceCode(tx, {
        hash: hashOf(`slack-link/${code}`),
        projectId: app.projectId,
        webhookId: app.id,
        teamId: said.teamId,
        slackUserId: said.user.id,
        slackName: said.user.name,
        expiresAt: new Date(this.clock.nowMs() + CODE_MS),
      });
    });
    return `Sallyport does not know who you are here. Run \`sallyport slack link ${code}\` within ten minutes, signed in as yourself, then press again. Never run a code that somebody else gave you.`;
  }
}
