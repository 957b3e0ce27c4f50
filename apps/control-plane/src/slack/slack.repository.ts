/** Tables of links between Slack users and principals. The only Prisma in this folder. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../db/database.ts';
import type { Principal, SlackLink, SlackLinkCode, Webhook } from '../generated/prisma/client.ts';

interface SlackUser {
  readonly webhookId: string;
  readonly teamId: string;
  readonly slackUserId: string;
}

@Injectable()
export class SlackRepository {
  constructor(private readonly database: Database) {}

  /** A Slack app that is in use. */
  app(id: string): Promise<Webhook | null> {
    return this.database.client.webhook.findFirst({ where: { id, format: 'slack_app', disabledAt: null } });
  }
  /** Whether this app has posted that question. */
  async hasPosted(webhookId: string, subject: string): Promise<boolean> {
    return (await this.database.client.slackMessage.count({ where: { webhookId, subject } })) > 0;
  }
  link(user: SlackUser): Promise<SlackLink | null> {
    return this.database.client.slackLink.findFirst({ where: { ...user } });
  }
  principal(projectId: string, id: string): Promise<Principal | null> {
    return this.database.client.principal.findFirst({ where: { projectId, id, disabledAt: null } });
  }

  /** One code a Slack user: an earlier one is void. */
  async replaceCode(tx: Tx, data: SlackLinkCode & { readonly hash: Uint8Array<ArrayBuffer> }): Promise<void> {
    const { webhookId, teamId, slackUserId } = data;
    await tx.slackLinkCode.deleteMany({ where: { webhookId, teamId, slackUserId } });
    await tx.slackLinkCode.create({ data });
  }
  /** Used once: who comes second gets nothing. */
  async takeCode(tx: Tx, projectId: string, hash: Uint8Array<ArrayBuffer>, now: Date): Promise<SlackLinkCode | null> {
    const code = await tx.slackLinkCode.findFirst({ where: { projectId, hash, expiresAt: { gt: now } } });
    if (code === null) return null;
    return (await tx.slackLinkCode.deleteMany({ where: { hash } })).count === 1 ? code : null;
  }
  async setLink(tx: Tx, data: Omit<SlackLink, 'createdAt'>): Promise<SlackLink> {
    const { webhookId, teamId, slackUserId } = data;
    await tx.slackLink.deleteMany({ where: { webhookId, teamId, slackUserId } });
    return await tx.slackLink.create({ data });
  }
  links(projectId: string, principalId: string): Promise<SlackLink[]> {
    return this.database.client.slackLink.findMany({
      where: { projectId, principalId },
      orderBy: { createdAt: 'asc' },
    });
  }
  async removeLink(tx: Tx, projectId: string, principalId: string, id: string): Promise<SlackLink | null> {
    const link = await tx.slackLink.findFirst({ where: { projectId, principalId, id } });
    if (link !== null) await tx.slackLink.delete({ where: { id: link.id } });
    return link;
  }
}
