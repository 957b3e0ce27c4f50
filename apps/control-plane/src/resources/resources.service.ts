/**
 * What can be reached: kept, shown, and through which agents. Callers without `resource:read` see only what their grants
 * reach. Each change is an act and a bundle revision in one transaction. No HTTP, no Prisma.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { EFFECTS, type Effect, PROTOCOLS, proxyHosts } from '@sallyport/model';
import { z } from 'zod';
import { type Actor, recordActOf } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { CredentialsRepository } from '../credentials/credentials.repository.ts';
import { Database, type Tx } from '../db/database.ts';
import type { Agent, Grant, Prisma } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { type Page, pageOf, pageQuery, toPage } from '../http/page.ts';
import { Instant, Name, open, openFields, sensitive } from '../http/schema.ts';
import { Exchange, isGrantOn } from '../identity/exchange.service.ts';
import { SystemClock } from '../time.ts';
import { credentialMisfit } from './credential-fit.ts';
import { documentOf, ResourceDocument, specOf } from './resource-document.ts';
import { type ResourceRow, ResourcesRepository } from './resources.repository.ts';

const Endpoint = z.object({ protocol: z.string(), address: z.string(), plaintext: z.boolean(), agent: z.string() });
export const ResourceView = z
  .object({
    id: open(z.uuid()),
    name: open(Name),
    type: open(z.string()),
    description: open(z.string()),
    labels: open(z.record(z.string(), z.string())),
    endpoints: open(z.array(Endpoint)),
    databases: open(z.array(z.string())),
    logins: open(z.array(z.string())).optional().describe('Accounts on an SSH host; the first is meant by default.'),
    proxyHosts: open(z.array(z.string()))
      .optional()
      .describe('By which agents’ forward proxies know it: host, or host and port.'),
    effects: open(z.array(z.enum(EFFECTS)))
      .optional()
      .describe('What the caller may do there, where asked for.'),
    roles: open(z.array(z.string())).optional(),
    recording: open(z.string()),
    durability: open(z.string()),
    approval: open(z.string()),
    exceeded: open(z.string()),
    holdInTransactionMsMax: open(z.union([z.string(), z.number()])),
    wrapAutocommit: open(z.boolean()),
    idleMsMax: open(z.union([z.string(), z.number()]).nullable()),
    sessionMsMax: open(z.union([z.string(), z.number()]).nullable()),
    offline: open(
      z.object({ sessions: z.union([z.string(), z.number()]), newSessions: z.union([z.string(), z.number()]) }),
    ),
    credential: open(z.string().nullable()).optional(),
    postgres: sensitive(z.record(z.string(), z.unknown())).optional().describe('Only with resource:read.'),
    ssh: sensitive(z.record(z.string(), z.unknown())).optional().describe('Only with resource:read.'),
    http: sensitive(z.record(z.string(), z.unknown())).optional().describe('Only with resource:read.'),
    kubernetes: sensitive(z.record(z.string(), z.unknown())).optional().describe('Only with resource:read.'),
    mcp: sensitive(z.record(z.string(), z.unknown())).optional().describe('Only with resource:read.'),
    agents: open(z.array(z.string())),
    createdAt: open(Instant),
    updatedAt: open(Instant),
  })
  .meta({ id: 'Resource' });
export type ResourceView = z.infer<typeof ResourceView>;
export const ResourcePage = pageOf(ResourceView).meta({ id: 'ResourcePage' });
const LabelTerm = z.string().regex(/^[^=]+=/, 'key=value is expected');
export const ResourceQuery = pageQuery(['name', 'createdAt', 'updatedAt'], 'name').extend({
  name: z.string().max(63).optional().describe('Part of the name.'),
  label: z
    .union([LabelTerm, z.array(LabelTerm)])
    .optional()
    .describe('`key=value`; several must all hold.'),
  type: z.enum(PROTOCOLS).optional(),
  reachable: z
    .enum(['true', 'false'])
    .optional()
    .describe('Only what the caller’s grants reach, with effects and roles.'),
});

interface Reach {
  readonly effects: readonly Effect[];
  readonly roles: readonly string[];
}

@Injectable()
export class Resources {
  constructor(
    private readonly database: Database,
    private readonly repository: ResourcesRepository,
    private readonly credentials: CredentialsRepository,
    private readonly exchange: Exchange,
    private readonly bundles: BundleChanges,
    private readonly clock: SystemClock,
  ) {}

  async list(caller: Caller, query: z.infer<typeof ResourceQuery>): Promise<Page<ResourceView>> {
    const labels = [query.label ?? []].flat().map((text): Prisma.ResourceWhereInput => {
      const [key, ...value] = text.split('=');
      return { labels: { path: [key!], equals: value.join('=') } };
    });
    const where: Prisma.ResourceWhereInput = {
      AND: labels,
      ...(query.name === undefined ? {} : { name: { contains: query.name } }),
      ...(query.type === undefined ? {} : { kind: query.type }),
    };
    const agents = await this.repository.agents(caller.projectId);
    const seesAll = caller.permissions.has('resource:read');
    if (query.reachable !== 'true' && seesAll) {
      return toPage(await this.repository.list(caller.projectId, where, query), query, (row) =>
        show(row, agents, true),
      );
    }
    // Which rows are reached is not a condition SQL can say (labels of grants): pages are filled until one is full.
    const grants = await this.exchange.grantsOf(caller.projectId, caller.principal.id, this.clock.nowMs());
    const items: ResourceView[] = [];
    let cursor = query.cursor;
    for (;;) {
      const page = toPage(
        await this.repository.list(caller.projectId, where, { ...query, cursor }),
        query,
        (row) => row,
      );
      for (const row of page.items) {
        const reach = reachOf(row, grants);
        if (reach !== undefined)
          items.push({ ...show(row, agents, seesAll), ...reach, effects: [...reach.effects], roles: [...reach.roles] });
      }
      cursor = page.nextCursor ?? undefined;
      if (cursor === undefined || items.length >= query.limit) return { items, nextCursor: cursor ?? null };
    }
  }

  async get(caller: Caller, reference: string): Promise<ResourceView> {
    const row = await this.find(caller.projectId, reference);
    const reach = await this.#reach(caller, row);
    const seesAll = caller.permissions.has('resource:read');
    if (!seesAll && reach === undefined) throw new GatewayError('request.not_found', { resource: reference });
    const shown = show(row, await this.repository.agents(caller.projectId), seesAll);
    return { ...shown, effects: [...(reach?.effects ?? [])], roles: [...(reach?.roles ?? [])] };
  }

  /** @throws GatewayError `request.not_found` */
  async find(projectId: string, reference: string, tx?: Tx): Promise<ResourceRow> {
    const row = await this.repository.find(projectId, reference, tx);
    if (row === null) throw new GatewayError('request.not_found', { resource: reference });
    return row;
  }

  async create(caller: Caller, document: ResourceDocument): Promise<ResourceView> {
    const row = await this.database.transaction((tx) => this.insert(tx, caller, document));
    return await this.get(caller, row.id);
  }

  async replace(
    caller: Caller,
    reference: string,
    change: (current: object) => ResourceDocument,
  ): Promise<ResourceView> {
    const row = await this.database.transaction(async (tx) => {
      const found = await this.find(caller.projectId, reference, tx);
      const document = change(documentOf(found));
      if (document.name !== found.name)
        throw new InvalidRequest([{ field: 'name', message: 'a resource keeps its name' }]);
      return await this.update(tx, caller, found, document);
    });
    return await this.get(caller, row.id);
  }

  async remove(caller: Caller, reference: string): Promise<void> {
    await this.database.transaction(async (tx) =>
      this.delete(tx, caller, await this.find(caller.projectId, reference, tx)),
    );
  }

  // Inside a transaction: for apply, which changes several things at once.
  async insert(tx: Tx, actor: Actor, document: ResourceDocument): Promise<ResourceRow> {
    const data = await this.#data(tx, actor, document);
    const row = await this.repository.insert(tx, {
      ...data,
      id: this.clock.id(),
      projectId: actor.projectId,
      name: document.name,
    });
    await recordActOf(tx, actor, 'resource.created', `resource/${row.name}`, openFields(ResourceDocument, document));
    await this.bundles.bump(tx, actor.projectId);
    return row;
  }
  async update(tx: Tx, actor: Actor, found: ResourceRow, document: ResourceDocument): Promise<ResourceRow> {
    const row = await this.repository.update(tx, found.id, await this.#data(tx, actor, document));
    await recordActOf(tx, actor, 'resource.updated', `resource/${row.name}`, openFields(ResourceDocument, document));
    await this.bundles.bump(tx, actor.projectId);
    return row;
  }
  async delete(tx: Tx, actor: Actor, found: ResourceRow): Promise<void> {
    await this.repository.remove(tx, found.id);
    await recordActOf(tx, actor, 'resource.deleted', `resource/${found.name}`);
    await this.bundles.bump(tx, actor.projectId);
  }

  async #data(tx: Tx, actor: Actor, document: ResourceDocument) {
    const { credential: name } = document;
    const credential = name == null ? null : await this.credentials.find(actor.projectId, name, tx);
    const misfit =
      name != null && credential === null ? 'there is no such credential' : credentialMisfit(document, credential);
    if (misfit !== undefined) throw new InvalidRequest([{ field: 'credential', message: misfit }]);
    return {
      kind: document.type,
      description: document.description,
      labels: document.labels,
      spec: JSON.parse(JSON.stringify(specOf(document))) as Prisma.InputJsonObject,
      agents: document.agents,
      credentialId: credential?.id ?? null,
    };
  }

  async #reach(caller: Caller, row: ResourceRow): Promise<Reach | undefined> {
    return reachOf(row, await this.exchange.grantsOf(caller.projectId, caller.principal.id, this.clock.nowMs()));
  }
}

/** What grants give on a resource; undefined when none is about it. */
function reachOf(row: ResourceRow, grants: readonly Grant[]): Reach | undefined {
  const target = { name: row.name, labels: row.labels as Record<string, string> };
  const about = grants.filter((grant) => isGrantOn(grant, target));
  if (about.length === 0) return undefined;
  const effects = EFFECTS.filter((effect) => about.some((grant) => grant.effects.includes(effect)));
  return { effects, roles: [...new Set(about.flatMap((grant) => grant.roles))].sort() };
}

/** One listener serves everything that is spoken over HTTP. */
const listenerOf = (kind: string): string => (kind === 'kubernetes' || kind === 'mcp' ? 'http' : kind);

function show(row: ResourceRow, agents: readonly Agent[], seesAll: boolean): ResourceView {
  const { postgres, ssh, http, kubernetes, mcp, credential, ...document } = documentOf(row);
  const targets = { postgres, ssh, http, kubernetes, mcp };
  const guards = agents.filter((agent) => row.agents.length === 0 || row.agents.includes(agent.name));
  return {
    ...document,
    id: row.id,
    endpoints: guards.flatMap((agent) =>
      (agent.endpoints as unknown as { protocol: string; address: string; plaintext?: boolean }[])
        .filter((endpoint) => endpoint.protocol === listenerOf(row.kind))
        .map((endpoint) => ({
          protocol: endpoint.protocol,
          address: endpoint.address,
          plaintext: endpoint.plaintext ?? false,
          agent: agent.name,
        })),
    ),
    databases: postgres?.databases ?? [],
    ...(ssh === undefined ? {} : { logins: ssh.logins }),
    ...(http === undefined && mcp === undefined ? {} : { proxyHosts: [...proxyHosts({ name: row.name, http, mcp })] }),
    ...(seesAll
      ? {
          ...Object.fromEntries(
            Object.entries(targets).flatMap(([kind, target]) => (target === undefined ? [] : [[kind, { ...target }]])),
          ),
          credential,
        }
      : {}),
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}
