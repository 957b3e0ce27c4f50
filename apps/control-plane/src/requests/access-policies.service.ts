/** Access policies: kept, changed, shown. Agents never see one: what they enforce is the grant that comes of a request. */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { type Actor, recordActOf } from '../acts/acts.ts';
import { Database, type Tx } from '../db/database.ts';
import type { AccessPolicy, Prisma } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { type Page, type PageRequest, toPage } from '../http/page.ts';
import { SystemClock } from '../time.ts';
import { type AccessPolicyDocument, approverGroups, showPolicy } from './access-policy.ts';
import { AccessRequestsRepository } from './access-requests.repository.ts';

/** The document of a row: durations in milliseconds. */
export const documentOf = (row: AccessPolicy): AccessPolicyDocument => row.document as unknown as AccessPolicyDocument;

const show = (row: AccessPolicy) => ({
  ...showPolicy(documentOf(row)),
  id: row.id,
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
});
const json = (value: object): Prisma.InputJsonObject => JSON.parse(JSON.stringify(value)) as Prisma.InputJsonObject;

@Injectable()
export class AccessPolicies {
  constructor(
    private readonly database: Database,
    private readonly repository: AccessRequestsRepository,
    private readonly clock: SystemClock,
  ) {}

  async list(caller: Caller, page: PageRequest): Promise<Page<ReturnType<typeof show>>> {
    return toPage(await this.repository.policyPage(caller.projectId, page), page, show);
  }
  async get(caller: Caller, reference: string) {
    return show(await this.find(caller.projectId, reference));
  }
  /** @throws GatewayError `request.not_found` */
  async find(projectId: string, reference: string, tx?: Tx): Promise<AccessPolicy> {
    const row = await this.repository.policy(projectId, reference, tx);
    if (row === null) throw new GatewayError('request.not_found', { policy: reference });
    return row;
  }
  async create(caller: Caller, document: AccessPolicyDocument) {
    return show(await this.database.transaction((tx) => this.insert(tx, caller, document)));
  }
  async replace(caller: Caller, reference: string, document: AccessPolicyDocument) {
    return await this.database.transaction(async (tx) =>
      show(await this.update(tx, caller, await this.find(caller.projectId, reference, tx), document)),
    );
  }
  async remove(caller: Caller, reference: string): Promise<void> {
    await this.database.transaction(async (tx) =>
      this.delete(tx, caller, await this.find(caller.projectId, reference, tx)),
    );
  }

  // Inside a transaction: for apply, which changes several things at once.
  all(projectId: string, tx: Tx): Promise<AccessPolicy[]> {
    return this.repository.policies(projectId, tx);
  }
  async insert(tx: Tx, actor: Actor, document: AccessPolicyDocument): Promise<AccessPolicy> {
    await this.#requireWebhook(tx, actor, document);
    const row = await this.repository.insertPolicy(tx, {
      id: this.clock.id(),
      projectId: actor.projectId,
      name: document.name,
      document: json(document),
    });
    await recordActOf(tx, actor, 'access-policy.created', `access-policy/${row.name}`);
    return row;
  }
  async update(tx: Tx, actor: Actor, found: AccessPolicy, document: AccessPolicyDocument): Promise<AccessPolicy> {
    if (document.name !== found.name)
      throw new InvalidRequest([{ field: 'name', message: 'an access policy keeps its name' }]);
    await this.#requireWebhook(tx, actor, document);
    const row = await this.repository.updatePolicy(tx, found.id, json(document));
    await this.repository.regroup(tx, found.id, approverGroups(document));
    await recordActOf(tx, actor, 'access-policy.updated', `access-policy/${row.name}`);
    return row;
  }
  /** What was asked under it can be approved no more; what was granted stays. */
  async delete(tx: Tx, actor: Actor, found: AccessPolicy): Promise<void> {
    await this.repository.removePolicy(tx, found.id);
    await recordActOf(tx, actor, 'access-policy.deleted', `access-policy/${found.name}`);
  }

  async #requireWebhook(tx: Tx, { projectId }: Actor, { decision }: AccessPolicyDocument): Promise<void> {
    if (decision === undefined || (await this.repository.webhook(projectId, decision.webhook, tx)) !== null) return;
    throw new InvalidRequest([
      { field: 'decision.webhook', message: `there is no webhook ${decision.webhook} of format generic` },
    ]);
  }
}
