/**
 * Policies: written as YAML, parsed, checked and compiled when saved, kept with every revision. Refuses what agents could
 * not evaluate. Each change is an act and a bundle revision in one transaction. No HTTP, no Prisma.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError, isDnsLabel } from '@sallyport/core';
import type { Policy as CompiledPolicy } from '@sallyport/model';
import { commitsWithoutApprover, PolicyDocumentError, parsePolicyDocument, ticketConflict } from '@sallyport/policy';
import { z } from 'zod';
import { type Actor, recordActOf } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { Database, type Tx } from '../db/database.ts';
import type { Policy as PolicyRow, Prisma } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { type Page, pageOf, pageQuery, toPage } from '../http/page.ts';
import { Instant, Name, open } from '../http/schema.ts';
import { SystemClock } from '../time.ts';
import { PoliciesRepository } from './policies.repository.ts';

export const PolicySource = z
  .strictObject({
    source: open(
      z
        .string()
        .min(1)
        .max(256 * 1024),
    ).describe('YAML, kind Policy.'),
  })
  .meta({ id: 'PolicySource' });
export const PolicyView = z
  .object({
    id: open(z.uuid()),
    name: open(Name),
    source: open(z.string()),
    revision: open(z.number()),
    mode: open(z.string()),
    rules: open(z.number()),
    masks: open(z.number()),
    createdAt: open(Instant),
    updatedAt: open(Instant),
    warnings: open(z.array(z.string()))
      .optional()
      .describe('When it is saved: what is allowed and will not work as meant.'),
  })
  .meta({ id: 'Policy' });
export type PolicyView = z.infer<typeof PolicyView>;
export const PolicyPage = pageOf(PolicyView).meta({ id: 'PolicyPage' });
export const PolicyQuery = pageQuery(['name', 'createdAt', 'updatedAt'], 'name').extend({
  name: z.string().max(63).optional().describe('Part of the name.'),
});
export const RevisionList = z
  .object({
    items: z.array(
      z.object({
        revision: open(z.number()),
        source: open(z.string()),
        by: open(z.uuid().nullable()),
        createdAt: open(Instant),
      }),
    ),
    nextCursor: z.null(),
  })
  .meta({ id: 'PolicyRevisions' });
export const CheckAnswer = z
  .object({ valid: open(z.literal(true)), name: open(z.string()), rules: open(z.number()), masks: open(z.number()) })
  .meta({ id: 'PolicyCheck' });

function show(row: PolicyRow): PolicyView {
  const compiled = row.compiled as unknown as CompiledPolicy;
  return {
    id: row.id,
    name: row.name,
    source: row.source,
    revision: row.revision,
    mode: compiled.mode,
    rules: compiled.rules.length,
    masks: compiled.masks.length,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

/** @throws InvalidRequest `policy.invalid` with file, line and field of everything that is wrong */
export function compilePolicy(
  source: string,
  file: string,
  ids: { readonly id: string; readonly projectId: string },
): CompiledPolicy {
  try {
    const policy = parsePolicyDocument(source, file, ids);
    if (!isDnsLabel(policy.name))
      throw new InvalidRequest([{ field: 'name', message: 'a DNS label is expected', file }], 'policy.invalid');
    return policy;
  } catch (error) {
    if (!(error instanceof PolicyDocumentError)) throw error;
    throw new InvalidRequest(
      error.problems.map((problem) => ({ ...problem })),
      'policy.invalid',
      { cause: error },
    );
  }
}

@Injectable()
export class Policies {
  constructor(
    private readonly database: Database,
    private readonly repository: PoliciesRepository,
    private readonly bundles: BundleChanges,
    private readonly clock: SystemClock,
  ) {}

  async list(caller: Caller, query: z.infer<typeof PolicyQuery>): Promise<Page<PolicyView>> {
    const where = query.name === undefined ? {} : { name: { contains: query.name } };
    return toPage(await this.repository.list(caller.projectId, where, query), query, show);
  }

  async get(caller: Caller, reference: string): Promise<PolicyView> {
    return show(await this.find(caller.projectId, reference));
  }

  /** @throws GatewayError `request.not_found` */
  async find(projectId: string, reference: string, tx?: Tx): Promise<PolicyRow> {
    const row = await this.repository.find(projectId, reference, tx);
    if (row === null) throw new GatewayError('request.not_found', { policy: reference });
    return row;
  }

  async revisions(caller: Caller, reference: string): Promise<z.infer<typeof RevisionList>> {
    const row = await this.find(caller.projectId, reference);
    const rows = await this.repository.revisions(row.id);
    return {
      items: rows.map((one) => ({
        revision: one.revision,
        source: one.source,
        by: one.byId,
        createdAt: one.createdAt.toISOString(),
      })),
      nextCursor: null,
    };
  }

  check(caller: Caller, source: string): z.infer<typeof CheckAnswer> {
    const policy = compilePolicy(source, 'policy.yaml', { id: 'check', projectId: caller.projectId });
    return { valid: true, name: policy.name, rules: policy.rules.length, masks: policy.masks.length };
  }

  async create(caller: Caller, source: string): Promise<PolicyView> {
    return await this.database.transaction(async (tx) => {
      const row = await this.insert(tx, caller, source, 'policy.yaml');
      return { ...show(row), warnings: [...(await this.warningsOf(tx, row))] };
    });
  }

  async replace(caller: Caller, reference: string, source: string): Promise<PolicyView> {
    return await this.database.transaction(async (tx) => {
      const found = await this.find(caller.projectId, reference, tx);
      const row = await this.update(tx, caller, found, source, 'policy.yaml');
      return { ...show(row), warnings: [...(await this.warningsOf(tx, row))] };
    });
  }

  async remove(caller: Caller, reference: string): Promise<void> {
    await this.database.transaction(async (tx) =>
      this.delete(tx, caller, await this.find(caller.projectId, reference, tx)),
    );
  }

  // Inside a transaction: for apply, which changes several things at once.
  async insert(tx: Tx, actor: Actor, source: string, file: string): Promise<PolicyRow> {
    const id = this.clock.id();
    const compiled = compilePolicy(source, file, { id, projectId: actor.projectId });
    await this.#requireAnswerable(tx, compiled, file);
    const row = await this.repository.insert(
      tx,
      { id, projectId: actor.projectId, name: compiled.name, source, compiled: json(compiled) },
      actor.principal?.id ?? null,
    );
    await this.#changed(tx, actor, 'policy.created', row);
    return row;
  }
  async update(tx: Tx, actor: Actor, found: PolicyRow, source: string, file: string): Promise<PolicyRow> {
    const compiled = compilePolicy(source, file, { id: found.id, projectId: actor.projectId });
    if (compiled.name !== found.name)
      throw new InvalidRequest([{ field: 'name', message: 'a policy keeps its name', file }], 'policy.invalid');
    await this.#requireAnswerable(tx, compiled, file);
    const row = await this.repository.update(
      tx,
      found.id,
      { source, compiled: json(compiled) },
      actor.principal?.id ?? null,
    );
    await this.#changed(tx, actor, 'policy.updated', row);
    return row;
  }
  async delete(tx: Tx, actor: Actor, found: PolicyRow): Promise<void> {
    await this.repository.remove(tx, found.id);
    await this.#changed(tx, actor, 'policy.deleted', found);
  }

  /** What is allowed and will not work as meant: holds of one COMMIT that no group may answer together. */
  async warningsOf(tx: Tx, row: PolicyRow): Promise<readonly string[]> {
    const compiled = row.compiled as unknown as CompiledPolicy;
    if (compiled.rules.every((rule) => rule.approval?.commit === undefined)) return [];
    const others = (await this.repository.all(row.projectId, tx)).map(
      (one) => one.compiled as unknown as CompiledPolicy,
    );
    const resources = await this.repository.resources(row.projectId, tx);
    return commitsWithoutApprover(compiled, others, resources).map(
      ({ one, other, resource }) =>
        `${one} and ${other} hold COMMITs (of ${resource}, for one) and have no group of approvers in common: a transaction that both are about is refused`,
    );
  }

  /** A COMMIT cannot be asked for again later. @throws InvalidRequest `policy.invalid` */
  async #requireAnswerable(tx: Tx, compiled: CompiledPolicy, file: string): Promise<void> {
    if (compiled.rules.every((rule) => rule.approval?.commit === undefined)) return;
    const resource = ticketConflict(compiled, await this.repository.resources(compiled.projectId, tx));
    if (resource === undefined) return;
    const message = `the resource ${resource} has \`approval: ticket\`, and \`at: commit\` needs \`approval: wait\``;
    throw new InvalidRequest([{ field: 'resources', message, file }], 'policy.invalid');
  }

  async #changed(tx: Tx, actor: Actor, action: string, row: PolicyRow): Promise<void> {
    await recordActOf(tx, actor, action, `policy/${row.name}`, { revision: row.revision });
    await this.bundles.bump(tx, actor.projectId);
  }
}

const json = (value: object): Prisma.InputJsonObject => JSON.parse(JSON.stringify(value)) as Prisma.InputJsonObject;
