/** The table of webhooks. The secret stays sealed here. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../db/database.ts';
import type { Prisma, Webhook } from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

@Injectable()
export class WebhooksRepository {
  constructor(private readonly database: Database) {}

  list(projectId: string, page: PageRequest): Promise<Webhook[]> {
    const { where, ...args } = pageArgs(page);
    return this.database.client.webhook.findMany({ ...args, where: { AND: [{ projectId }, where] } });
  }

  find(projectId: string, nameOrId: string): Promise<Webhook | null> {
    return this.database.client.webhook.findFirst({
      where: { projectId, ...(UUID.test(nameOrId) ? { id: nameOrId } : { name: nameOrId }) },
    });
  }

  create(tx: Tx, data: Prisma.WebhookUncheckedCreateInput): Promise<Webhook> {
    return tx.webhook.create({ data });
  }

  update(tx: Tx, id: string, data: Prisma.WebhookUncheckedUpdateInput): Promise<Webhook> {
    return tx.webhook.update({ where: { id }, data });
  }

  async delete(tx: Tx, id: string): Promise<void> {
    await tx.webhook.delete({ where: { id } });
  }

  /** Of all projects, those whose URL is not sealed. */
  inClear(): Promise<{ id: string; shownUrl: string }[]> {
    return this.database.client.webhook.findMany({
      where: { sealedUrl: null, format: { in: ['generic', 'slack', 'teams'] }, shownUrl: { not: '' } },
      select: { id: true, shownUrl: true },
    });
  }

  /** Unless somebody changed it meanwhile. */
  async seal(
    id: string,
    shownUrl: string,
    data: { shownUrl: string; sealedUrl: Uint8Array<ArrayBuffer> },
  ): Promise<void> {
    await this.database.client.webhook.updateMany({ where: { id, shownUrl, sealedUrl: null }, data });
  }

  /** The newest attempts, for who looks for a reason. */
  lastMessages(webhookId: string, limit: number) {
    return this.database.client.outboxMessage.findMany({ where: { webhookId }, orderBy: { id: 'desc' }, take: limit });
  }
}
