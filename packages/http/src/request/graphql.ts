/**
 * What a GraphQL request does (GraphQL over HTTP, the specification's section 2): the kind of its operation and the fields at its
 * root, fragments resolved and aliases seen through. Refuses what has no text to read, or may run another (persisted queries), and what does not
 * say which of several operations runs. Limits: httpGraphqlTokensMax.
 */
import { hash } from 'node:crypto';
import { LIMITS } from '@sallyport/core';
import {
  type DocumentNode,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type OperationDefinitionNode,
  parse,
  type SelectionSetNode,
  visit,
} from 'graphql';

export interface GraphqlReading {
  /** Of several requests in one body the most that one of them does. */
  readonly kind: 'query' | 'mutation' | 'subscription';
  /** Of the first that has one; '' = none has. */
  readonly name: string;
  readonly fields: readonly string[];
  /** Some answer's member will not be called as its field: a path cannot say where the value stands. */
  readonly renames: boolean;
}

const BATCH_MAX = 100;
const RANK = { query: 0, subscription: 1, mutation: 2 } as const;

/** @param parsed the body's JSON @returns undefined when it is not certain what would run */
export function readGraphql(parsed: unknown): GraphqlReading | undefined {
  const requests = Array.isArray(parsed) ? (parsed as readonly unknown[]) : [parsed];
  if (requests.length === 0 || requests.length > BATCH_MAX) return undefined;
  let whole: GraphqlReading | undefined;
  for (const request of requests) {
    if (typeof request !== 'object' || request === null || Array.isArray(request)) return undefined;
    const one = readOne(request);
    if (one === undefined) return undefined;
    whole = whole === undefined ? one : joined(whole, one);
  }
  return whole;
}

const joined = (a: GraphqlReading, b: GraphqlReading): GraphqlReading => ({
  kind: RANK[a.kind] >= RANK[b.kind] ? a.kind : b.kind,
  name: a.name === '' ? b.name : a.name,
  fields: [...new Set([...a.fields, ...b.fields])],
  renames: a.renames || b.renames,
});

/** Names by which servers are told of a document that they have: whether it or `query` runs they settle in their own ways. */
const DOCUMENTS: ReadonlySet<string> = new Set(['docid', 'documentid', 'id', 'queryid']);
export const namesDocument = (name: string): boolean => DOCUMENTS.has(name.toLowerCase().replaceAll('_', ''));

function readOne(request: object): GraphqlReading | undefined {
  const [query, operationName] = [Reflect.get(request, 'query') as unknown, Reflect.get(request, 'operationName')];
  // Without its text it is a persisted query: what runs is known to the server alone.
  if (typeof query !== 'string' || Object.entries(request).some((member) => saysAnother(member, query)))
    return undefined;
  if (operationName !== undefined && operationName !== null && typeof operationName !== 'string') return undefined;
  const document = documentOf(query);
  if (document === undefined) return undefined;
  const operations = document.definitions.filter((one) => one.kind === Kind.OPERATION_DEFINITION);
  const named = typeof operationName === 'string' && operationName !== '' ? operationName : undefined;
  const chosen = named === undefined ? operations : operations.filter((one) => one.name?.value === named);
  const operation = chosen[0];
  // Two of one name, or several and none named: servers differ.
  if (operation === undefined || chosen.length > 1) return undefined;
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const one of document.definitions) {
    if (one.kind === Kind.OPERATION_DEFINITION) continue;
    if (one.kind !== Kind.FRAGMENT_DEFINITION || fragments.has(one.name.value)) return undefined;
    fragments.set(one.name.value, one);
  }
  const fields = rootFields(operation, fragments);
  if (fields === undefined) return undefined;
  return { kind: operation.operation, name: operation.name?.value ?? '', fields, renames: hasAliases(document) };
}

/** A digest of this very text is how Apollo's clients have it kept (automatic persisted queries). */
function saysAnother([name, value]: readonly [string, unknown], query: string): boolean {
  if (value === null) return false;
  if (namesDocument(name)) return true;
  if (name.toLowerCase() !== 'extensions') return false;
  const kept = Object.entries(value ?? {}).find(([key]) => key.toLowerCase() === 'persistedquery')?.[1] as unknown;
  if (kept === undefined || kept === null) return false;
  return Object.entries(kept).some(
    ([key, told]) => key !== 'version' && !(key === 'sha256Hash' && told === hash('sha256', query)),
  );
}

function documentOf(query: string): DocumentNode | undefined {
  try {
    return parse(query, { noLocation: true, maxTokens: LIMITS.httpGraphqlTokensMax });
  } catch (error) {
    if (error instanceof GraphQLError || error instanceof RangeError) return undefined;
    throw error;
  }
}

function rootFields(
  operation: OperationDefinitionNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
): readonly string[] | undefined {
  const fields = new Set<string>();
  const seen = new Set<string>();
  const collect = (selections: SelectionSetNode): boolean =>
    selections.selections.every((one) => {
      if (one.kind === Kind.FIELD) {
        fields.add(one.name.value);
        return true;
      }
      if (one.kind === Kind.INLINE_FRAGMENT) return collect(one.selectionSet);
      const { value } = one.name;
      if (seen.has(value)) return true;
      seen.add(value);
      const fragment = fragments.get(value);
      return fragment !== undefined && collect(fragment.selectionSet);
    });
  return collect(operation.selectionSet) ? [...fields] : undefined;
}

function hasAliases(document: DocumentNode): boolean {
  let found = false;
  visit(document, {
    Field: (field) => {
      if (field.alias !== undefined && field.alias.value !== field.name.value) found = true;
    },
  });
  return found;
}
