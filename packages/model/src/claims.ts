/**
 * Conditions on the claims of a verified token, and the name of the principal they make. Pure.
 * `*` stands for anything but `/` and `:`, `**` for anything: what is written short must not match more than it says.
 */

export type Claims = Readonly<Record<string, unknown>>;
/** Claim path → the pattern, or the list of patterns of which one has to match. */
export type Conditions = Readonly<Record<string, string | readonly string[]>>;

const PLACEHOLDER = /\{([^{}]{1,200})\}/g;

/**
 * A claim by its name, or by a path of names with `/` (`kubernetes.io/serviceaccount/name`). A claim whose own name has a
 * slash in it counts first.
 */
export function claimAt(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  const cut = path.indexOf('/');
  if (cut < 0) return undefined;
  const head = path.slice(0, cut);
  const inner = Object.hasOwn(claims, head) ? claims[head] : undefined;
  if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return undefined;
  return claimAt(inner as Claims, path.slice(cut + 1));
}

const scalar = (value: unknown): string | undefined =>
  typeof value === 'string'
    ? value
    : typeof value === 'number' || typeof value === 'boolean'
      ? String(value)
      : undefined;

/** Linear in the text for each star: no pattern can be made to run long. */
export function matchesPattern(pattern: string, text: string): boolean {
  const tokens = pattern.split(/(\*\*|\*)/).filter((part) => part !== '');
  // at[i]: the tokens so far can end before character i.
  let at: boolean[] = Array.from({ length: text.length + 1 }, (_, i) => i === 0);
  for (const token of tokens) {
    const next: boolean[] = at.map(() => false);
    for (let i = 0; i <= text.length; i++) {
      if (token === '**') next[i] = at[i]! || (i > 0 && next[i - 1]!);
      else if (token === '*') next[i] = at[i]! || (i > 0 && next[i - 1]! && text[i - 1] !== '/' && text[i - 1] !== ':');
      else if (at[i]! && text.startsWith(token, i)) next[i + token.length] = true;
    }
    at = next;
  }
  return at[text.length]!;
}

/** @returns the first condition that does not hold, or undefined when all do */
export function failedCondition(claims: Claims, conditions: Conditions): string | undefined {
  for (const [path, wanted] of Object.entries(conditions)) {
    const value = claimAt(claims, path);
    const given = (Array.isArray(value) ? (value as unknown[]) : [value]).flatMap((one) => scalar(one) ?? []);
    const patterns = typeof wanted === 'string' ? [wanted] : wanted;
    if (!given.some((text) => patterns.some((pattern) => matchesPattern(pattern, text)))) return path;
  }
  return undefined;
}

/** Claims that a template stands on; empty for a plain name. */
export const placeholdersOf = (template: string): readonly string[] =>
  [...template.matchAll(PLACEHOLDER)].map((found) => found[1]!);

export interface Mapped {
  readonly name: string;
  /** The values as they were, so that two subjects that are written alike here stay two; '' for a plain name. */
  readonly subject: string;
}

/** @returns undefined when a claim of the template is not there or is no plain value */
export function mapPrincipal(template: string, claims: Claims): Mapped | undefined {
  const values = placeholdersOf(template).map((path) => scalar(claimAt(claims, path)));
  if (values.some((value) => value === undefined || value === '')) return undefined;
  let at = 0;
  const name = template.replace(PLACEHOLDER, () => values[at++]!.replace(/[^A-Za-z0-9._-]/g, '-').toLowerCase());
  return { name, subject: values.length === 0 ? '' : JSON.stringify(values) };
}
