/**
 * What a request means to a Kubernetes API server, from its method, path and query alone: the server's own reading
 * (k8s.io/apiserver, pkg/endpoints/request/requestinfo.go), written anew. Refuses whatever could be read in two ways: a doubled
 * slash, an escape, a dot segment, a semicolon, a parameter that counts and stands twice.
 */
import { GatewayError } from '@sallyport/core';

export interface RequestInfo {
  readonly verb: string;
  readonly nonResource: boolean;
  /** '' = the core group. */
  readonly group: string;
  readonly version: string;
  readonly namespace: string;
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
  /** What follows the subresource: only a proxied path has one. */
  readonly rest: string;
  readonly labelSelector: string;
  readonly fieldSelector: string;
  /** Said in the query; a body may say so too. */
  readonly dryRun: boolean;
  readonly query: ReadonlyMap<string, readonly string[]>;
}

/** Said to a program behind the API server. */
export const isProxied = ({ subresource }: RequestInfo): boolean => subresource === 'proxy';

const VERBS: Readonly<Record<string, string>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};
/** Subresources of a namespace itself; anything else behind its name is a resource in it. */
const OF_NAMESPACE: ReadonlySet<string> = new Set(['status', 'finalize']);
/** Parameters that decide what a request is. */
const DECISIVE = ['watch', 'labelSelector', 'fieldSelector', 'resourceVersion', 'container', 'fieldManager', 'force'];
/** What Kubernetes lets stand in a path: names may hold any printable character but these. */
const SEGMENT = /^[\x21-\x7e]+$/;
const STRANGE = /[%\\?#<>"^`{}|]/;

const refused = (reason: string): GatewayError => new GatewayError('kubernetes.path', { reason });

/**
 * @param path decoded, without its query
 * @param query raw
 * @throws GatewayError `kubernetes.path`
 */
export function readRequest(method: string, path: string, query: string): RequestInfo {
  const parameters = readQuery(query);
  const segments = segmentsOf(path);
  const common = {
    labelSelector: one(parameters, 'labelSelector'),
    fieldSelector: one(parameters, 'fieldSelector'),
    dryRun: isDryRun(parameters.get('dryRun')),
    query: parameters,
  };
  const found = resourceOf(segments);
  requireNoParameters(segments, found);
  if (found === undefined)
    return {
      ...common,
      verb: method.toLowerCase(),
      nonResource: true,
      group: '',
      version: '',
      namespace: '',
      resource: '',
      subresource: '',
      name: '',
      rest: '',
    };
  if (path.endsWith('/') && found.subresource !== 'proxy') throw refused('a slash at the end');
  return { ...common, nonResource: false, ...found, ...verbAndName(method, found, parameters, common.fieldSelector) };
}

function segmentsOf(path: string): readonly string[] {
  if (!path.startsWith('/')) throw refused('no slash at the start');
  const segments = path.slice(1).split('/');
  if (segments.at(-1) === '') segments.pop();
  for (const segment of segments) {
    if (segment === '' || segment === '.' || segment === '..') throw refused('an empty or dot segment');
    if (!SEGMENT.test(segment) || STRANGE.test(segment)) throw refused('an odd character');
  }
  return segments;
}

/** The server knows none: they are for a proxy before it, which would read another path. Behind it they are the program's. */
function requireNoParameters(segments: readonly string[], found: Place | undefined): void {
  const proxied = found === undefined || found.rest === '' ? 0 : found.rest.split('/').length;
  const own = proxied === 0 ? segments : segments.slice(0, -proxied);
  if (own.some((segment) => segment.includes(';'))) throw refused('a semicolon');
}

type Place = Pick<RequestInfo, 'group' | 'version' | 'namespace' | 'resource' | 'subresource' | 'name' | 'rest'> & {
  /** `watch` or `proxy`, of the deprecated prefixed forms. */
  readonly special: string;
};

/** undefined = a URL of no resource. */
function resourceOf(segments: readonly string[]): Place | undefined {
  const [root, ...behind] = segments;
  if (root !== 'api' && root !== 'apis') return undefined;
  const group = root === 'apis' ? (behind.shift() ?? '') : '';
  const version = behind.shift();
  if (version === undefined || behind.length === 0) return undefined;
  const special = behind[0] === 'watch' || behind[0] === 'proxy' ? behind.shift()! : '';
  // `/api/v1/watch` alone is refused by the server too.
  if (behind.length === 0) throw refused('no resource behind it');
  let parts = behind;
  let namespace = '';
  if (parts[0] === 'namespaces' && parts.length > 1) {
    namespace = parts[1]!;
    if (parts.length > 2 && !OF_NAMESPACE.has(parts[2]!)) parts = parts.slice(2);
  }
  const [resource = '', name = '', subresource = '', ...rest] = parts;
  if (special === 'proxy') throw refused('the proxy prefix of old servers');
  if (rest.length > 0 && subresource !== 'proxy') throw refused('more than a subresource');
  return { group, version, namespace, resource, name, subresource, rest: rest.join('/'), special };
}

function verbAndName(
  method: string,
  { name, special, subresource }: Place,
  query: RequestInfo['query'],
  fieldSelector: string,
): Pick<RequestInfo, 'verb' | 'name'> {
  if (special === 'watch') {
    if (method !== 'GET' && method !== 'HEAD') throw refused('a watch that is no GET');
    return { verb: 'watch', name };
  }
  const verb = VERBS[method] ?? '';
  if (verb === '') throw refused('a method that the API has not');
  if (name !== '') return { verb, name };
  if (subresource !== '') throw refused('a subresource of nothing');
  // A list, or the deletion, of one object by its name is about that object.
  const named = /^metadata\.name==?([^,=!]+)$/.exec(fieldSelector)?.[1] ?? '';
  if (verb === 'get') return { verb: isTrue(query.get('watch')) ? 'watch' : 'list', name: named };
  return verb === 'delete' ? { verb: 'deletecollection', name: named } : { verb, name: '' };
}

/** As the server converts texts to booleans: it is there and says neither false nor 0. */
function isTrue(values: readonly string[] | undefined): boolean {
  const value = values?.[0];
  return value !== undefined && value.toLowerCase() !== 'false' && value !== '0';
}

export const isDryRun = (values: readonly string[] | undefined): boolean =>
  values !== undefined && values.length > 0 && values.every((value) => value === 'All');

const one = (query: RequestInfo['query'], name: string): string => query.get(name)?.[0] ?? '';

/** @throws GatewayError `kubernetes.path` for an escape that is none, a semicolon, or a decisive parameter that stands twice */
function readQuery(query: string): ReadonlyMap<string, readonly string[]> {
  const parameters = new Map<string, string[]>();
  if (query === '') return parameters;
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    // Go drops a pair with a semicolon and goes on: another reading than ours.
    if (pair.includes(';')) throw refused('a semicolon in the query');
    const cut = pair.indexOf('=');
    const name = decoded(cut < 0 ? pair : pair.slice(0, cut));
    const value = cut < 0 ? '' : decoded(pair.slice(cut + 1));
    const known = parameters.get(name);
    if (known === undefined) parameters.set(name, [value]);
    else known.push(value);
  }
  for (const name of DECISIVE) if ((parameters.get(name)?.length ?? 0) > 1) throw refused(`${name} stands twice`);
  return parameters;
}

/**
 * All of a log, by the API server's way or a node's own: what is cut in its middle no detector knows for what it is.
 * @param target as it is sent on
 */
export function withoutByteLimit(target: string, { resource, subresource, query }: RequestInfo): string {
  const isLog = subresource === 'log' || (subresource === 'proxy' && resource === 'nodes');
  if (!isLog || !query.has(BYTE_LIMIT)) return target;
  const mark = target.indexOf('?');
  const kept = target
    .slice(mark + 1)
    .split('&')
    .filter((pair) => decoded(pair.split('=', 1)[0] ?? '') !== BYTE_LIMIT);
  return [target.slice(0, mark), ...(kept.length === 0 ? [] : [kept.join('&')])].join('?');
}
const BYTE_LIMIT = 'limitBytes';

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch (error) {
    throw new GatewayError('kubernetes.path', { reason: 'an escape that is none' }, { cause: error });
  }
}

/** URLs of no resource that say what the server is, not what is in it. */
const ABOUT_SERVER =
  /^\/(?:$|api$|api\/|apis$|apis\/|version$|version\/|healthz|livez|readyz|openapi\/|\.well-known\/|metrics$)/;
export const isAboutServer = (path: string): boolean => ABOUT_SERVER.test(path);
