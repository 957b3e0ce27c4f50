/**
 * Names that a service may take for the one a rule names: many match members of JSON, arguments and parameters without regard to
 * case (Go's encoding/json, ASP.NET). A condition that names `amount` and meets `Amount` cannot be computed where its answer hangs
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
}
export const noNames = (): NamesRead => ({ paths: [], parameters: [] });

/** As the widest reader compares names: `ſ` and the Kelvin sign are letters of ASCII there (Go, bytes.EqualFold). */
const fold = (text: string): string => text.toUpperCase().toLowerCase().replaceAll('"', '');

/** Call for every node of the tree. */
export function noteNames(node: ASTNode, names: NamesRead): void {
  switch (node.op) {
    case '==':
    case '!=': {
      const [left, right] = node.args;
      if (isPath(left)) note(names.paths, 'is', right);
      if (isPath(right)) note(names.paths, 'is', left);
      return;
    }
    case 'in': {
      const [item, container] = node.args;
      if (isPath(item)) note(names.paths, 'is', container);
      if (isQuery(container)) note(names.parameters, 'is', item);
      return;
    }
    case 'rcall': {
      const [name, receiver, args] = node.args;
      if (isPath(receiver) && Object.hasOwn(COMPARES, name)) note(names.paths, name, args[0]);
      return;
    }
    case '[]':
      if (isQuery(node.args[0])) note(names.parameters, 'is', node.args[1]);
      return;
    case '.':
    case '.?': {
      const [base, field] = node.args;
      if (isQuery(base)) names.parameters.push(comparison('is', String(field)));
    }
  }
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

function note(into: Comparison[], how: string, node: ASTNode | undefined): void {
  if (node?.op === 'value' && typeof node.args === 'string') into.push(comparison(how, node.args));
  else if (node?.op === 'list') for (const part of node.args) note(into, how, part);
}

const isOther = (text: string, names: readonly Comparison[]): boolean => {
  const folded = fold(text);
  return names.some((one) => one.compare(folded, one.folded) && !one.compare(text, one.name));
};

/** The facts a condition sees: without those in which a name stands in another case than the condition's. */
export function withoutOtherCase<T extends object>(context: T, names: NamesRead): T {
  let seen = context;
  if (names.paths.length > 0) {
    seen = without(seen, 'body', 'fields', (fields) => hasPath(fields, names.paths));
    seen = without(seen, 'mcp', 'arguments', (fields) => hasPath(fields, names.paths));
  }
  if (names.parameters.length > 0)
    seen = without(seen, 'http', 'query', (query) =>
      Object.keys(query as object).some((name) => isOther(name, names.parameters)),
    );
  return seen;
}

const hasPath = (fields: unknown, names: readonly Comparison[]): boolean =>
  (fields as readonly { readonly path: string }[]).some(({ path }) => isOther(path, names));

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
