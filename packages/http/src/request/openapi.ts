/**
 * Routes out of an OpenAPI 3 or Swagger 2 document: a template, a method and an operation id each. Refuses to follow references
 * to other documents, and everything of the document that is no route.
 */
import { EFFECTS, type Effect, type HttpRoute } from '@sallyport/model';

export interface OpenApiRoutes {
  readonly routes: readonly HttpRoute[];
  /** What of the document could not be read, for who gave it. */
  readonly problems: readonly string[];
}

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'] as const;
const ROUTES_MAX = 5_000;

type Members = Readonly<Record<string, unknown>>;
const isMembers = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * @param document as JSON or YAML gave it
 * @param resourceUrl the resource's URL: its own path is not part of routes. Absent = paths stand as the document has them
 */
export function routesOfOpenApi(document: unknown, resourceUrl?: string): OpenApiRoutes {
  const paths = isMembers(document) ? document['paths'] : undefined;
  if (!isMembers(document) || !isMembers(paths))
    return { routes: [], problems: ['The document has no `paths`: it is no OpenAPI document.'] };
  const prefix = prefixOf(document, resourceUrl);
  const routes: HttpRoute[] = [];
  const problems: string[] = [];
  for (const [path, item] of Object.entries(paths)) {
    if (!path.startsWith('/')) continue;
    if (!isMembers(item)) problems.push(`${path} is no path item.`);
    else if ('$ref' in item) problems.push(`${path} refers to another document.`);
    else
      for (const method of METHODS) {
        const operation = item[method];
        if (isMembers(operation)) routes.push(routeOf(prefix + path, method, operation, problems));
      }
  }
  if (routes.length > ROUTES_MAX)
    problems.push(`Only the first ${ROUTES_MAX} of ${routes.length} operations are taken.`);
  return { routes: routes.slice(0, ROUTES_MAX), problems };
}

function routeOf(path: string, method: string, operation: Members, problems: string[]): HttpRoute {
  const id = operation['operationId'];
  const verb = method.toUpperCase();
  const effects = effectsOf(operation['x-sallyport-effects'], `${verb} ${path}`, problems);
  return {
    method: verb,
    path,
    operation: typeof id === 'string' && id !== '' ? id : `${verb} ${path}`,
    ...(effects === undefined ? {} : { effects }),
  };
}

/** `x-sallyport-effects: [read]` on an operation: a POST that only searches. */
function effectsOf(value: unknown, where: string, problems: string[]): Effect[] | undefined {
  if (value === undefined) return undefined;
  const given: readonly unknown[] = Array.isArray(value) ? (value as readonly unknown[]) : [value];
  const effects = EFFECTS.filter((effect) => given.includes(effect));
  if (effects.length === given.length && effects.length > 0) return effects;
  problems.push(`${where}: x-sallyport-effects is a list of ${EFFECTS.join(', ')}.`);
  return undefined;
}

/** The path of the document's first server, without the part that the resource's URL has already. */
function prefixOf(document: Members, resourceUrl: string | undefined): string {
  if (resourceUrl === undefined) return '';
  const servers = document['servers'];
  const first: unknown = Array.isArray(servers) ? (servers as readonly unknown[])[0] : undefined;
  const url = isMembers(first) ? first['url'] : document['basePath'];
  const [server, own] = [pathOf(url), pathOf(resourceUrl)];
  return server === own || own === ''
    ? server === own
      ? ''
      : server
    : server.startsWith(`${own}/`)
      ? server.slice(own.length)
      : '';
}

function pathOf(url: unknown): string {
  if (typeof url !== 'string') return '';
  const path = url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, '').split(/[?#]/, 1)[0] ?? '';
  return path.replace(/\/+$/, '');
}
