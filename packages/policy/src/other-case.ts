/**
 * Names that a service may take for the one a rule names: many match members of JSON, arguments and parameters without regard to
 * case (Go's encoding/json, ASP.NET), and PHP makes names of variables of a form's and a query's (`.a b` is `_a_b`). A condition that names `amount` and meets `Amount` cannot be computed where its answer hangs
 * on it, so a rule that holds or denies matches. Refuses to look into patterns of `re`: they say `(?i)` where it is meant.
 */
import type { ASTNode } from '@marcbachmann/cel-js';
import { Fact, unreadable } from './fact.ts';

type Compare = (path: string, name: string) => boolean;
const COMPARES: Readonly<Record<string, Compare>> = {
  is: (path, name) => path === name,
  startsWith: (path, name) => path.startsWith(name),
  endsWith: (path, name) => path.endsWith(name),
  contains: (path, name) => path.includes(name),
};
interface Comparison {
  readonly compare: Compare;
  readonly name: string;
  readonly folded: string;
}

/** What a condition names, as its tree is walked. */
export interface NamesRead {
  readonly paths: Comparison[];
  readonly parameters: Comparison[];
  /** Every text in it. */
  readonly texts: string[];
  /** Places where paths or parameters stand that were not looked at where they are compared. */
  openPaths: number;
  openQueries: number;
}
export const noNames = (): NamesRead => ({ paths: [], parameters: [], texts: [], openPaths: 0, openQueries: 0 });

/** As the widest reader compares names: `ſ` and the Kelvin sign are letters of ASCII there (Go, bytes.EqualFold). */
const fold = (text: string): string => text.toUpperCase().toLowerCase().replaceAll('"', '');

/** What PHP registers a form's field or a parameter as (php_register_variable_ex); undefined where that is its own name. */
const asPhp = (name: string): string | undefined =>
  /[ .[\0]/.test(name) ? fold((name.split('\0', 1)[0] ?? '').replace(/^ +/, '').replaceAll(/[ .[]/g, '_')) : undefined;

/** Of a path the name that it is alone, where that is no plain word. */
function strangeName(path: string): string | undefined {
  if (!path.startsWith('"')) return undefined;
  try {
    return String(JSON.parse(path));
  } catch {
    // More than a name.
    return undefined;
  }
}

/** Call for every node of the tree. */
export function noteNames(node: ASTNode, names: NamesRead): void {
  if (isPath(node)) names.openPaths++;
  if (isQuery(node)) names.openQueries++;
  switch (node.op) {
    case 'value':
      if (typeof node.args === 'string') names.texts.push(node.args);
      return;
    case '==':
    case '!=': {
      const [left, right] = node.args;
      if (isPath(left)) notePath(names, 'is', right);
      if (isPath(right)) notePath(names, 'is', left);
      return;
    }
    case 'in': {
      const [item, container] = node.args;
      if (isPath(item)) notePath(names, 'is', container);
      if (isQuery(container)) noteParameter(names, item);
      return;
    }
    case 'rcall': {
      const [name, receiver, args] = node.args;
      if (isPath(receiver) && Object.hasOwn(COMPARES, name)) notePath(names, name, args[0]);
      else if (isPath(receiver) && name === 're') names.openPaths--;
      return;
    }
    case '[]':
      if (isQuery(node.args[0])) noteParameter(names, node.args[1]);
      return;
    case '.':
    case '.?': {
      const [base, field] = node.args;
      if (!isQuery(base)) return;
      names.openQueries--;
      names.parameters.push(comparison('is', String(field)));
    }
  }
}

/** Once the whole tree was walked: what is compared in a roundabout way may be compared with any text of the condition. */
export function closeNames(names: NamesRead): void {
  const all = names.texts.map((text) => comparison('is', text));
  if (names.openPaths > 0) names.paths.push(...all);
  if (names.openQueries > 0) names.parameters.push(...all);
}

/** `f.path` of a loop; `http.path` and the like are no names. */
const isPath = (node: ASTNode | undefined): boolean =>
  node?.op === '.' && node.args[1] === 'path' && node.args[0].op === 'id' && node.args[0].args !== 'http';
const isQuery = (node: ASTNode | undefined): boolean =>
  node?.op === '.' && node.args[1] === 'query' && node.args[0].op === 'id' && node.args[0].args === 'http';

const comparison = (how: string, name: string): Comparison => ({
  compare: COMPARES[how] as Compare,
  name,
  folded: fold(name),
});

function notePath(names: NamesRead, how: string, node: ASTNode | undefined): void {
  if (note(names.paths, how, node)) names.openPaths--;
}
function noteParameter(names: NamesRead, node: ASTNode | undefined): void {
  if (note(names.parameters, 'is', node)) names.openQueries--;
}

/** @returns false for what is no text, nor a list of them */
function note(into: Comparison[], how: string, node: ASTNode | undefined): boolean {
  if (node?.op === 'list') return node.args.every((part) => note(into, how, part));
  if (node?.op !== 'value' || typeof node.args !== 'string') return false;
  into.push(comparison(how, node.args));
  return true;
}

function isOther(text: string, name: string | undefined, names: readonly Comparison[]): boolean {
  const folded = fold(text);
  const php = name === undefined ? undefined : asPhp(name);
  return names.some(
    ({ compare, folded: wanted, name: written }) =>
      (compare(folded, wanted) || (php !== undefined && compare(php, wanted))) && !compare(text, written),
  );
}

/** The facts a condition sees: without those in which a name stands in another case than the condition's. */
export function withoutOtherCase<T extends object>(context: T, names: NamesRead): T {
  let seen = context;
  if (names.paths.length > 0) {
    seen = without(seen, 'body', 'fields', (fields) => hasPath(fields, names.paths));
    seen = without(seen, 'mcp', 'arguments', (fields) => hasPath(fields, names.paths));
  }
  if (names.parameters.length > 0)
    seen = without(seen, 'http', 'query', (query) =>
      Object.keys(query as object).some((name) => isOther(name, name, names.parameters)),
    );
  return seen;
}

const hasPath = (fields: unknown, names: readonly Comparison[]): boolean =>
  (fields as readonly { readonly path: string }[]).some(({ path }) => isOther(path, strangeName(path), names));

function without<T extends object>(
  context: T,
  family: string,
  field: string,
  isDoubtful: (value: unknown) => boolean,
): T {
  const fact = (context as Readonly<Record<string, unknown>>)[family];
  if (!(fact instanceof Fact)) return context;
  // What nobody could read is no longer there to be looked at.
  const known = Object.getOwnPropertyDescriptor(fact, field);
  if (known === undefined || known.get !== undefined || !isDoubtful(known.value)) return context;
  const copy = Object.create(Object.getPrototypeOf(fact) as object) as Fact;
  Object.defineProperties(copy, Object.getOwnPropertyDescriptors(fact));
  return { ...context, [family]: unreadable(copy, [field]) };
}
