/** A grant as people write it, in REST and in YAML alike. Pure; the row keeps the principal's id. */
import { EFFECTS } from '@sallyport/model';
import { z } from 'zod';
import { GroupName, Instant, Labels, Name, open } from '../http/schema.ts';
import type { GrantRow } from './grants.repository.ts';

export const GRANT_KINDS = ['standing', 'jit', 'break_glass'] as const;

export const GrantFields = z.strictObject({
  name: open(Name),
  principal: open(z.string().min(1).max(64).nullish()).describe('Name or id; or give a group.'),
  group: open(GroupName.nullish()),
  resource: open(Name.nullish()).describe('Name; or give labels.'),
  labels: open(Labels.nullish()).describe('Every resource that carries all of them.'),
  effects: open(z.array(z.enum(EFFECTS)).min(1).max(EFFECTS.length)),
  roles: open(z.array(z.string().min(1).max(63)).max(100))
    .default([])
    .describe('Roles on the server that may be asked for as <role>+<resource>.'),
  kind: open(z.enum(GRANT_KINDS)).default('standing'),
  notBefore: open(Instant.nullish()),
  notAfter: open(Instant.nullish()),
});
export const GrantDocument = GrantFields.superRefine((grant, context) => {
  const wrong = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
  if (((grant.principal ?? null) === null) === ((grant.group ?? null) === null))
    wrong('principal', 'give a principal or a group');
  if (((grant.resource ?? null) === null) === ((grant.labels ?? null) === null))
    wrong('resource', 'give a resource or labels');
  if (grant.labels !== null && grant.labels !== undefined && Object.keys(grant.labels).length === 0)
    wrong('labels', 'no labels match nothing');
  if (grant.notBefore && grant.notAfter && Date.parse(grant.notBefore) >= Date.parse(grant.notAfter))
    wrong('notAfter', 'it ends before it begins');
  if (grant.kind !== 'standing' && !grant.notAfter) wrong('notAfter', `a ${grant.kind} grant needs an end`);
}).meta({ id: 'GrantDocument' });
export type GrantDocument = z.infer<typeof GrantDocument>;

/** The document a row stands for: what a diff compares and REST shows. */
export const documentOf = (row: GrantRow) => ({
  name: row.name,
  principal: row.principalId === null ? null : (row.principalName ?? row.principalId),
  group: row.groupName,
  resource: row.resource,
  labels: row.labels as Record<string, string> | null,
  effects: row.effects as GrantDocument['effects'],
  roles: row.roles,
  kind: row.kind as GrantDocument['kind'],
  notBefore: row.notBefore?.toISOString() ?? null,
  notAfter: row.notAfter?.toISOString() ?? null,
});
