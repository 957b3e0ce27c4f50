/**
 * What a statement reaches, in a few words for the record: relations with what is done to them, and commands that name none.
 * Access reviews are made from it. Refuses to be complete: it is cut at a limit, the text beside it is the whole truth.
 */
import { LIMITS } from '@sallyport/core';
import type { HttpFacts, KubernetesFacts, SqlFacts, SqlStatementFacts, StatementFacts } from '@sallyport/model';

const NOTHING: readonly string[] = Object.freeze([]);
/** Facts of a shape are one object for all its statements. */
const KNOWN = new WeakMap<SqlFacts, readonly string[]>();

/**
 * `read public.orders`, `write orders`, `call`; `GET /v1/customers/{}`, `mutation createOrder`; `delete pods shop`; `call
 * run_query`; at most `LIMITS.reachedPerStatementMax`.
 */
export function reachedBy(facts: StatementFacts): readonly string[] {
  const { sql } = facts;
  if (sql === undefined) return reachedOverHttp(facts);
  const known = KNOWN.get(sql);
  if (known !== undefined) return known;
  const found = new Set<string>();
  for (const statement of sql.statements) {
    if (found.size >= LIMITS.reachedPerStatementMax) break;
    note(statement, found);
  }
  const reached = Object.freeze([...found]);
  KNOWN.set(sql, reached);
  return reached;
}

function reachedOverHttp({ http, body, k8s, mcp }: StatementFacts): readonly string[] {
  if (http !== undefined && body === undefined && k8s === undefined && mcp === undefined) return reachedAlone(http);
  const found: string[] = [];
  if (http !== undefined) found.push(`${http.method} ${http.route === '' ? shapeOf(http.path) : http.route}`);
  if (body?.read === true) for (const field of body.graphqlFields) found.push(`${body.graphqlKind} ${field}`);
  if (k8s !== undefined)
    found.push(
      k8s.nonResource ? `${k8s.verb} ${k8s.path}` : [k8s.verb, resourceOf(k8s), k8s.namespace].join(' ').trimEnd(),
    );
  if (mcp !== undefined)
    found.push(mcp.tool === '' ? `${mcp.method} ${mcp.resourceUri || mcp.prompt}`.trimEnd() : `call ${mcp.tool}`);
  return found.length === 0 ? NOTHING : found.slice(0, LIMITS.reachedPerStatementMax).map(shortened);
}

const resourceOf = ({ resource, group, subresource }: KubernetesFacts): string =>
  `${resource}${group === '' ? '' : `.${group}`}${subresource === '' ? '' : `/${subresource}`}`;

/** A client asks for the same again and again, and others with it. */
let last = { method: '', path: '', route: '', reached: NOTHING };

function reachedAlone({ method, path, route }: HttpFacts): readonly string[] {
  if (path !== last.path || method !== last.method || route !== last.route)
    last = { method, path, route, reached: [shortened(`${method} ${route === '' ? shapeOf(path) : route}`)] };
  return last.reached;
}

/** Numbers, UUIDs and long random words in a path name things, not kinds of things: there would be as many words as things. */
const shapeOf = (path: string): string =>
  path.replace(/\/(?:\d+|[0-9a-f]{8}-[0-9a-f-]{27}|(?=[^/]*\d)[A-Za-z0-9_-]{16,})(?=\/|$)/gi, '/{}');

function note({ kind, effects, relations }: SqlStatementFacts, found: Set<string>): void {
  for (const { access, schema, name } of relations) {
    if (found.size >= LIMITS.reachedPerStatementMax) return;
    found.add(shortened(`${access} ${schema === '' ? '' : `${schema}.`}${name}`));
  }
  // A command that names no relation and only reads (SELECT 1, SHOW, BEGIN) reaches nothing.
  if (relations.length === 0 && effects.some((effect) => effect !== 'read')) found.add(shortened(kind));
}

const shortened = (text: string): string => text.slice(0, LIMITS.reachedCharactersMax);
