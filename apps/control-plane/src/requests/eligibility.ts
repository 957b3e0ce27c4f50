/**
 * Whether a policy lets somebody ask for something. Pure; judged when a request is made and again when it is answered, since
 * groups, policies and resources change in between. Refuses to know who approves (quorum.ts).
 */
import { type Effect, labelsMatch, type PrincipalKind } from '@sallyport/model';
import { RE2JS } from 're2js';
import type { AccessPolicyDocument } from './access-policy.ts';

export interface Requester {
  readonly id: string;
  readonly name: string;
  readonly kind: PrincipalKind;
  readonly groups: ReadonlySet<string>;
}

/** What is asked for. Exactly one of `resource` and `labels` is there. */
export interface Wish {
  readonly resource: { readonly name: string; readonly labels: Readonly<Record<string, string>> } | undefined;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly effects: readonly Effect[];
  readonly roles: readonly string[];
  readonly durationMs: number;
  /** How long from now it would begin. */
  readonly startsInMs: number;
  readonly ticket: string | undefined;
}

export function mayAsk(policy: AccessPolicyDocument, who: Requester): boolean {
  const { groups, principals, kinds } = policy.requesters;
  if (kinds !== undefined && !kinds.includes(who.kind)) return false;
  if (principals !== undefined && !principals.some((one) => one === who.name || one === who.id)) return false;
  return groups === undefined || groups.some((group) => who.groups.has(group));
}

/** Labels reach every resource that carries them, later ones too: the policy must cover all of those. */
export function covers(policy: AccessPolicyDocument, wish: Pick<Wish, 'resource' | 'labels'>): boolean {
  const { names, labels } = policy.resources;
  if (wish.resource !== undefined) {
    if (names !== undefined && !names.includes(wish.resource.name)) return false;
    return labels === undefined || labelsMatch(labels, wish.resource.labels);
  }
  if (wish.labels === undefined || Object.keys(wish.labels).length === 0 || names !== undefined) return false;
  return labels === undefined || Object.entries(labels).every(([key, value]) => wish.labels![key] === value);
}

export interface WishProblem {
  readonly field: string;
  readonly message: string;
}

/** What is asked for beyond what the policy gives; empty when it fits. */
export function problemsOf(policy: AccessPolicyDocument, wish: Omit<Wish, 'resource' | 'labels'>): WishProblem[] {
  const problems: WishProblem[] = [];
  const wrong = (field: string, message: string): void => void problems.push({ field, message });
  if (!wish.effects.every((effect) => policy.effects.includes(effect)))
    wrong('effects', `${policy.name} gives ${policy.effects.join(', ')}`);
  if (!wish.roles.every((role) => policy.roles.includes(role)))
    wrong('roles', `${policy.name} gives ${policy.roles.length === 0 ? 'no roles' : policy.roles.join(', ')}`);
  if (wish.durationMs > policy.durationMax) wrong('duration', `${policy.name} gives less`);
  if (wish.startsInMs > policy.startWithin) wrong('startAt', `${policy.name} allows no start so far ahead`);
  if (policy.ticket.required && wish.ticket === undefined) wrong('ticket', `${policy.name} needs a ticket`);
  const { pattern } = policy.ticket;
  if (wish.ticket !== undefined && pattern !== undefined && !RE2JS.matches(pattern, wish.ticket))
    wrong('ticket', `${policy.name} knows tickets by ${pattern}`);
  return problems;
}
