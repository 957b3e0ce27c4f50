/**
 * Which of a provider's groups give which of ours, and why: what sign-in does and what a preview shows are this one function.
 * Pure. Refuses to know protocols, and to make groups: one that does not exist here is said to be missing, and gives nothing.
 */
import { z } from 'zod';
import { GroupName, open } from '../../http/schema.ts';

const RULES_MAX = 1_000;
const CHARS_MAX = 500;

export const GroupMapping = z.strictObject({
  groupsClaim: open(z.string().min(1).max(CHARS_MAX))
    .default('groups')
    .describe(
      'Claim or attribute that holds groups; `a.b` goes into objects. A claim of exactly this name comes first.',
    ),
  separator: open(z.string().min(1).max(10).optional()).describe('Of a claim that is one text: what parts its groups.'),
  prefix: open(z.string().min(1).max(CHARS_MAX).optional()).describe(
    'Only groups that begin so are looked at, and lose it.',
  ),
  rules: open(
    z
      .array(
        z.strictObject({
          match: z.string().min(1).max(CHARS_MAX).describe('The provider’s group; * stands for any text.'),
          group: GroupName,
        }),
      )
      .max(RULES_MAX),
  ).default([]),
  unmapped: open(z.enum(['same_name', 'drop']))
    .default('same_name')
    .describe('What a group gives that no rule names: our group of the same name, or nothing.'),
});
export type GroupMapping = z.infer<typeof GroupMapping>;

export const PLAIN_MAPPING: GroupMapping = GroupMapping.parse({});

/** One of the provider's groups and one thing that became of it. */
export interface GroupStep {
  /** As the provider says it. */
  readonly given: string;
  /** Ours, or null when it gives nothing. */
  readonly group: string | null;
  /** `rule 3 (eng-*)`, `same name`, or why not. */
  readonly why: string;
}
export interface MappedGroups {
  /** Ours that exist here, sorted, each once. */
  readonly groups: readonly string[];
  readonly steps: readonly GroupStep[];
}

/** `*` stands for any text; linear in both lengths however many stars there are. Case matters. */
export function matchesGlob(pattern: string, text: string): boolean {
  const parts = pattern.split('*');
  if (parts.length === 1) return pattern === text;
  const first = parts[0]!;
  const last = parts.at(-1)!;
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  const end = text.length - last.length;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

/** Names that the mapping would give, whether or not there are such groups. */
export const wantedGroups = (mapping: GroupMapping, given: readonly string[]): readonly string[] =>
  mapGroups(mapping, given, { has: () => true }).groups;

/** @param given as the provider says them; @param existing names of our groups */
export function mapGroups(
  mapping: GroupMapping,
  given: readonly string[],
  existing: Pick<ReadonlySet<string>, 'has'>,
): MappedGroups {
  const exact = new Map<string, { readonly at: number; readonly group: string }[]>();
  const globs: { readonly at: number; readonly match: string; readonly group: string }[] = [];
  mapping.rules.forEach(({ match, group }, at) => {
    if (match.includes('*')) globs.push({ at, match, group });
    else exact.set(match, [...(exact.get(match) ?? []), { at, group }]);
  });
  const steps = [...new Set(given)].flatMap((raw): GroupStep[] => {
    const { prefix } = mapping;
    if (prefix !== undefined && !raw.startsWith(prefix))
      return [{ given: raw, group: null, why: `does not begin with the prefix ${prefix}` }];
    const name = raw.slice(prefix?.length ?? 0);
    const hits = [
      ...(exact.get(name) ?? []).map((rule) => ({ ...rule, match: name })),
      ...globs.filter((rule) => matchesGlob(rule.match, name)),
    ].sort((a, b) => a.at - b.at);
    const step = (group: string, why: string): GroupStep =>
      existing.has(group)
        ? { given: raw, group, why }
        : { given: raw, group: null, why: `${why}, but there is no group ${group} here` };
    if (hits.length > 0) return hits.map((rule) => step(rule.group, `rule ${rule.at + 1} (${rule.match})`));
    if (mapping.unmapped === 'drop') return [{ given: raw, group: null, why: 'no rule names it' }];
    return [step(name, 'same name')];
  });
  const groups = new Set(steps.flatMap((step) => (step.group === null ? [] : [step.group])));
  return { groups: [...groups].sort(), steps };
}
