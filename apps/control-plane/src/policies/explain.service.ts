/**
 * Why a statement would be judged as it would: the agents' own engine over the project's state, with nothing sent anywhere.
 * Refuses to know the server's catalog: facts are of the text alone. Explaining for others needs `policy:read`.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { type Bundle, EFFECTS, type PrincipalKind, type Resource, type Statement } from '@sallyport/model';
import { loadBundlePolicies } from '@sallyport/policy';
import { z } from 'zod';
import { BundlesRepository } from '../bundles/bundles.repository.ts';
import { type Caller, requirePermission } from '../http/caller.ts';
import { GroupName, open, sensitive } from '../http/schema.ts';
import { Exchange } from '../identity/exchange.service.ts';
import { Principals } from '../identity/principals.service.ts';
import { Resources } from '../resources/resources.service.ts';
import { SystemClock } from '../time.ts';
import { readStatement, shownCommands } from './explain-reading.ts';

const STATEMENT_CHARS_MAX = 100_000;

export const ExplainRequest = z
  .strictObject({
    resource: open(z.string().max(63)),
    statement: sensitive(z.string().max(STATEMENT_CHARS_MAX)).describe(
      'SQL; a command line; a request (`POST /v1/x`, headers and body below); `delete namespaces/shop`; `tools/call name {…}`.',
    ),
    principal: open(z.string().max(64).optional()).describe('Name or id; oneself when left out.'),
    groups: open(z.array(GroupName).max(100).optional()).describe('As if it belonged to these, too.'),
    database: open(z.string().max(63).optional()),
    role: open(z.string().max(63).optional()),
  })
  .meta({ id: 'ExplainRequest' });
export const ExplainAnswer = z
  .object({
    verdict: open(z.looseObject({ kind: z.enum(['allow', 'hold', 'deny']), rule: z.string() })),
    understood: open(z.boolean()),
    unknown: open(z.string().nullable()).describe('Why the text has no facts.'),
    shell: open(
      z
        .object({
          commands: sensitive(z.array(z.string())).describe(
            'Every program that would run, with what runs it in front.',
          ),
          pathsWritten: sensitive(z.array(z.string())),
          pathsRead: sensitive(z.array(z.string())),
          opaque: open(z.array(z.string())).describe('Why something cannot be told before it runs.'),
        })
        .nullable(),
    ).describe('How a command line over SSH is read; null for anything else.'),
    statementEffects: open(z.array(z.enum(EFFECTS))),
    effects: open(z.array(z.enum(EFFECTS))).describe('What the principal may do there.'),
    grants: open(z.array(z.object({ id: z.uuid(), kind: z.string(), effects: z.array(z.string()) }))),
    rules: open(
      z.array(
        z.object({ rule: z.string(), verdict: z.string(), mode: z.string(), outcome: z.string(), when: z.string() }),
      ),
    ),
  })
  .meta({ id: 'Explanation' });

@Injectable()
export class Explain {
  constructor(
    private readonly principals: Principals,
    private readonly resources: Resources,
    private readonly exchange: Exchange,
    private readonly bundles: BundlesRepository,
    private readonly clock: SystemClock,
  ) {}

  async explain(caller: Caller, input: z.infer<typeof ExplainRequest>): Promise<z.infer<typeof ExplainAnswer>> {
    const principal = await this.principals
      .find(caller.projectId, input.principal ?? caller.principal.id)
      .catch((error: unknown) => {
        requirePermission(caller, 'policy:read');
        throw error;
      });
    if (principal.id !== caller.principal.id || input.groups !== undefined) requirePermission(caller, 'policy:read');
    const resource = await this.resources.find(caller.projectId, input.resource);
    const now = this.clock.nowMs();
    if (!caller.permissions.has('policy:read')) {
      const target = { name: resource.name, labels: resource.labels as Record<string, string> };
      const grants = await this.exchange.grantsOn(caller.projectId, caller.principal.id, target, now);
      if (grants.length === 0) throw new GatewayError('request.not_found', { resource: input.resource });
    }
    const protocol = resource.kind as Resource['kind'];
    const {
      unknown,
      effects: statementEffects,
      facts,
    } = await readStatement(input.statement, { kind: protocol, ...(resource.spec as object) }, input.role ?? '');
    const statement: Statement = {
      protocol,
      digest: '',
      text: input.statement,
      parameters: [],
      effects: statementEffects,
      understood: unknown === undefined,
      facts,
      inTransaction: false,
      wroteInTransaction: false,
    };
    const snapshot = await this.bundles.snapshot(caller.projectId);
    const more = new Set(input.groups ?? []);
    const known = snapshot.groups.map((group) =>
      more.has(group.name) ? { ...group, members: [...group.members, principal.id] } : group,
    );
    const unlisted = [...more].filter((name) => !snapshot.groups.some((group) => group.name === name));
    const bundle: Bundle = {
      ...snapshot,
      resources: snapshot.resources.map((entry) => entry.resource),
      groups: [...known, ...unlisted.map((name) => ({ name, projectId: caller.projectId, members: [principal.id] }))],
      keys: [],
      settings: { trailSealKey: '', trailSealKeyId: '', issuer: '', domain: '', heartbeatMs: 0 },
    };
    const explanation = loadBundlePolicies(bundle).explain({
      session: {
        id: 'explain',
        projectId: caller.projectId,
        agentId: '',
        resourceId: resource.id,
        resourceName: resource.name,
        protocol,
        principal: { id: principal.id, name: principal.name, kind: principal.kind as PrincipalKind },
        onBehalfOf: undefined,
        tokenId: '',
        grantIds: ['*'],
        clientAddress: '',
        database: input.database ?? '',
        role: input.role ?? '',
        application: '',
        openedAt: now,
      },
      statement,
      usage: { statements: 0, writes: 0, rows: 0, bytes: 0 },
      nowMs: now,
    });
    return {
      verdict: { ...explanation.verdict },
      understood: unknown === undefined,
      unknown: unknown ?? null,
      shell: shownCommands(facts.shell),
      statementEffects: [...statementEffects],
      effects: [...explanation.effects],
      grants: explanation.grants.map((grant) => ({ id: grant.id, kind: grant.kind, effects: [...grant.effects] })),
      rules: explanation.rules.map((rule) => ({ ...rule })),
    };
  }
}
