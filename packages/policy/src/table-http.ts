/**
 * Cases of a table that ask over HTTP: a request, a call to a Kubernetes API server, a message to an MCP server. Facts are as
 * the case states them, with what follows from them filled in; agents read them from the bytes instead.
 */
import {
  listOf,
  objectOf,
  oneOf,
  optional,
  type Parser,
  parseBoolean,
  parseInteger,
  parseString,
  recordOf,
} from '@sallyport/core';
import {
  type BodyFacts,
  type BodyField,
  type Effect,
  fieldsOf,
  type HttpFacts,
  type KubernetesFacts,
  type McpFacts,
  type Protocol,
  parseEffects,
  type ShellFacts,
  type StatementFacts,
} from '@sallyport/model';

const parseAnything: Parser<unknown> = (value) => value;

const parseBodyParts = {
  /** Any JSON. */
  body: optional(parseAnything),
  /** There is a body, and it was not read. */
  unread: optional(parseBoolean),
};

export const parseHttpCases = {
  request: optional(
    objectOf({
      method: parseString,
      path: parseString,
      host: optional(parseString),
      route: optional(parseString),
      operation: optional(parseString),
      query: optional(recordOf(listOf(parseString, 100))),
      headers: optional(recordOf(parseString)),
      content_type: optional(parseString),
      size: optional(parseInteger),
      upgrade: optional(parseString),
      ...parseBodyParts,
      graphql: optional(
        objectOf({ kind: oneOf('query', 'mutation', 'subscription'), fields: listOf(parseString, 100) }),
      ),
      duplicate_keys: optional(parseBoolean),
      text: optional(parseString),
      /** What the resource's route says, where it says more or less than the method. */
      does: optional(parseEffects),
    }),
  ),
  k8s: optional(
    objectOf({
      verb: parseString,
      group: optional(parseString),
      resource: optional(parseString),
      subresource: optional(parseString),
      namespace: optional(parseString),
      name: optional(parseString),
      dry_run: optional(parseBoolean),
      /** Of a URL that is no resource's. */
      path: optional(parseString),
      object: optional(parseAnything),
      unread: optional(parseBoolean),
      replicas: optional(parseInteger),
      images: optional(listOf(parseString, 100)),
      privileged: optional(parseBoolean),
      host_path: optional(parseBoolean),
      host_network: optional(parseBoolean),
      service_account: optional(parseString),
      command: optional(listOf(parseString, 100)),
    }),
  ),
  mcp: optional(
    objectOf({
      method: optional(parseString),
      tool: optional(parseString),
      resource_uri: optional(parseString),
      prompt: optional(parseString),
      arguments: optional(parseAnything),
      changed: optional(parseBoolean),
    }),
  ),
};
const parseAll = objectOf(parseHttpCases);
export type HttpCase = ReturnType<typeof parseAll>;

export interface HttpReading {
  readonly understood: boolean;
  readonly effects: readonly Effect[];
  readonly facts: StatementFacts;
}

export const protocolOfHttp = ({ k8s, mcp }: HttpCase): Protocol =>
  k8s !== undefined ? 'kubernetes' : mcp !== undefined ? 'mcp' : 'http';

/** For people; undefined when it asks nothing of these. */
export function askedOverHttp({ request, k8s, mcp }: HttpCase): readonly string[] {
  return [
    request && `${request.method} ${request.path}`,
    k8s && [k8s.verb, k8s.path ?? [k8s.resource, k8s.name, k8s.subresource].filter(Boolean).join('/')].join(' '),
    mcp && `${mcp.method ?? 'tools/call'} ${mcp.tool ?? mcp.resource_uri ?? mcp.prompt ?? ''}`.trimEnd(),
  ].filter((text) => text !== undefined);
}

const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** @param readCommand for the command of an exec; without it nothing is known of that */
export function readHttpCase(
  { request, k8s, mcp }: HttpCase,
  readCommand?: (text: string) => { readonly facts: ShellFacts; readonly effects: readonly Effect[] },
): HttpReading {
  if (request !== undefined) {
    const body = bodyOf(request);
    const facts = { http: httpOf(request), ...(body === undefined ? {} : { body }) };
    return { understood: true, effects: request.does ?? [SAFE.has(request.method) ? 'read' : 'write'], facts };
  }
  if (mcp !== undefined) {
    const facts: McpFacts = {
      method: mcp.method ?? 'tools/call',
      tool: mcp.tool ?? '',
      resourceUri: mcp.resource_uri ?? '',
      prompt: mcp.prompt ?? '',
      arguments: readFields(mcp.arguments) ?? [],
      changed: mcp.changed ?? false,
    };
    return { understood: true, effects: [facts.method === 'tools/call' ? 'exec' : 'read'], facts: { mcp: facts } };
  }
  const facts = kubernetesOf(k8s!);
  if (facts.subresource !== 'exec') return { understood: true, effects: effectsOfCall(facts), facts: { k8s: facts } };
  const read = readCommand?.(facts.execCommand.map(quoted).join(' '));
  if (read?.facts.understood !== true) return { understood: false, effects: [], facts: {} };
  return {
    understood: true,
    effects: [...new Set<Effect>(['exec', ...read.effects])],
    facts: { k8s: facts, shell: read.facts },
  };
}

const readFields = (value: unknown): readonly BodyField[] | undefined =>
  value === undefined ? undefined : fieldsOf(value);

function httpOf(request: NonNullable<HttpCase['request']>): HttpFacts {
  const hasBody = request.body !== undefined || request.unread === true || request.text !== undefined;
  return {
    method: request.method,
    scheme: 'https',
    host: request.host ?? 'api.example.com',
    path: request.path,
    route: request.route ?? '',
    operation: request.operation ?? '',
    query: request.query ?? {},
    headers: request.headers ?? {},
    contentType: request.content_type ?? (request.body === undefined ? '' : 'application/json'),
    size: request.size ?? (hasBody ? -1 : 0),
    upgrade: request.upgrade ?? '',
  };
}

function bodyOf(request: NonNullable<HttpCase['request']>): BodyFacts | undefined {
  const { body, unread = false, graphql, duplicate_keys: duplicateKeys = false, text } = request;
  if (unread) return { read: false };
  if (body === undefined && graphql === undefined && text === undefined && !duplicateKeys) return undefined;
  const fields = body === undefined ? [] : fieldsOf(body);
  if (fields === undefined) return { read: false };
  return {
    read: true,
    fields,
    graphqlKind: graphql?.kind ?? '',
    graphqlName: '',
    graphqlFields: graphql?.fields ?? [],
    duplicateKeys,
    text: text ?? '',
  };
}

function kubernetesOf(call: NonNullable<HttpCase['k8s']>): KubernetesFacts {
  const fields = readFields(call.object);
  const { group = '', resource = '', subresource = '' } = call;
  return {
    verb: call.verb,
    group,
    version: 'v1',
    resource,
    subresource,
    namespace: call.namespace ?? '',
    name: call.name ?? '',
    labelSelector: '',
    fieldSelector: '',
    dryRun: call.dry_run ?? false,
    nonResource: call.path !== undefined,
    path: call.path ?? '',
    patchType: call.verb === 'patch' ? 'merge' : '',
    object: call.unread === true ? 'unread' : fields === undefined ? 'none' : 'read',
    fields: fields ?? [],
    replicas: call.replicas ?? -1,
    images: call.images ?? [],
    privileged: call.privileged ?? false,
    hostPath: call.host_path ?? false,
    hostNetwork: call.host_network ?? false,
    serviceAccount: call.service_account ?? '',
    secret: group === '' && resource === 'secrets',
    rbac: group === 'rbac.authorization.k8s.io' || (resource === 'serviceaccounts' && subresource === 'token'),
    execCommand: call.command ?? [],
  };
}

const ADMIN_GROUPS: ReadonlySet<string> = new Set([
  'rbac.authorization.k8s.io',
  'admissionregistration.k8s.io',
  'apiextensions.k8s.io',
  'apiregistration.k8s.io',
  'certificates.k8s.io',
  'authentication.k8s.io',
  'flowcontrol.apiserver.k8s.io',
]);

/** As packages/protocol-kubernetes has it; docs/reference/http-rules.md, Effects. */
function effectsOfCall({ verb, group, resource, subresource }: KubernetesFacts): readonly Effect[] {
  const reads = ['get', 'list', 'watch', 'head'].includes(verb);
  if (subresource === 'portforward') return ['forward'];
  if (subresource === 'attach' || subresource === 'proxy') return ['exec'];
  if (subresource === 'token') return ['admin'];
  if (reads) return ['read'];
  if (subresource === 'ephemeralcontainers') return ['exec'];
  if (/^(self)?subject(access|rules)?reviews$|^localsubjectaccessreviews$/.test(resource)) return ['read'];
  return [ADMIN_GROUPS.has(group) ? 'admin' : 'write'];
}

const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
