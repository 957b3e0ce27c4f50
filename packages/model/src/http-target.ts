/**
 * How an HTTP service, an MCP server or a Kubernetes API server is reached, and what may be asked of it besides what rules say.
 * Refuses to hold a secret, and to resolve a name. Fields that are left out mean what this version ships.
 */
import {
  listOf,
  objectOf,
  oneOf,
  optional,
  type Parsed,
  parseBoolean,
  parseInteger,
  parseString,
  recordOf,
} from '@sallyport/core';
import { parseEffects } from './effect.ts';
import { HTTP_INJECT_FIELDS, parseHttpInject } from './http-inject.ts';
import { parseJsonPath } from './json-path.ts';

/** `require`: encrypted, whoever answers. */
export const HTTP_TLS_MODES = ['verify-full', 'require'] as const;
/** Whom the API server takes a session for. */
export const KUBERNETES_IDENTITIES = ['impersonate', 'stored', 'service_account'] as const;
/** What cannot be read and is let in by name. `spdy`: exec and port-forward of clients that speak no WebSocket. */
export const KUBERNETES_OPAQUE = ['spdy', 'protobuf'] as const;

/** Archives and documents in an HTTP service's answers, where something is masked. */
export const HTTP_DOCUMENTS = ['refuse', 'pass'] as const;
/** Pictures, sound and bytes that are no text in what an MCP server says, where something is masked. */
export const MCP_MEDIA = ['withhold', 'pass'] as const;

/** What all three have. */
const UPSTREAM = {
  /** `https://api.example.com:8443/base`; `http:` speaks in clear. */
  url: parseString,
  /** Of an https URL; absent = `verify-full`. */
  tls: optional(oneOf(...HTTP_TLS_MODES)),
  /** PEM of the CAs to trust; the system's when absent. */
  ca: optional(parseString),
  /** The name to verify when it is not the URL's host. */
  serverName: optional(parseString),
  /** The upstream may be at a loopback address; any other address that is nobody's server is named literally in `url`. */
  private: optional(parseBoolean),
  /** Hosts by which the forward proxy knows it; absent = the URL's. */
  hosts: optional(listOf(parseString, 100)),
  /** A header that may carry the access token, besides `Authorization` and `Proxy-Authorization`; lower case. */
  tokenHeader: optional(parseString),
  inject: parseHttpInject,
  /** Bytes of each body that are recorded; absent = LIMITS' own. 0 = none. */
  recordBodies: optional(parseInteger),
  /** Path and query of a GET that says whether the credential is accepted. */
  probe: optional(parseString),
} as const;

export const parseHttpRoute = objectOf({
  /** Upper case; absent = every method. */
  method: optional(parseString),
  /** Template: `/v1/customers/{id}`. */
  path: parseString,
  /** What rules read as `http.operation`. */
  operation: parseString,
  /** Absent = what the method does. */
  effects: optional(parseEffects),
});
export type HttpRoute = Parsed<typeof parseHttpRoute>;

/** A text that comes in pieces, one in each message of a stream. */
export const parseHttpTextStream = objectOf({
  /** Of the piece in a message: members and elements by name and `[]`. */
  path: parseString,
  /** Members on the way there that tell texts of one stream apart; absent = those of the usual services. */
  by: optional(listOf(parseString, 10)),
  /** Names, or `type`s, of messages that end its texts; absent = those of the usual services. */
  ends: optional(listOf(parseString, 50)),
});
export type HttpTextStream = Parsed<typeof parseHttpTextStream>;

export const parseHttpTarget = objectOf({
  ...UPSTREAM,
  /** Paths at which GraphQL is spoken. */
  graphql: optional(listOf(parseString, 20)),
  routes: optional(listOf(parseHttpRoute, 5_000)),
  /** A longer request body is refused. */
  maxBodyBytes: optional(parseInteger),
  /** Absent = every method. */
  methods: optional(listOf(parseString, 50)),
  /** WebSockets may be opened; absent = yes. */
  websocket: optional(parseBoolean),
  /** Texts that detectors read across messages; absent = each message by itself. */
  streams: optional(listOf(parseHttpTextStream, 20)),
  /** Absent = `refuse`, where something is masked: nothing can be found in them. */
  documents: optional(oneOf(...HTTP_DOCUMENTS)),
});
export type HttpTarget = Parsed<typeof parseHttpTarget>;

export const parseMcpTarget = objectOf({
  ...UPSTREAM,
  /** Tools by name, `*` at the ends; the first that fits counts. Any other tool is `exec`. */
  tools: optional(listOf(objectOf({ name: parseString, effects: parseEffects }), 1_000)),
  /** Absent = `withhold`: nothing can be found in them. */
  media: optional(oneOf(...MCP_MEDIA)),
  /** Texts that detectors read across a stream's messages; absent = each message by itself. */
  streams: optional(listOf(parseHttpTextStream, 20)),
  /** Descriptions that somebody has looked at and takes for the tool's own: hex digests, as `tool.changed` tells them. */
  accepted: optional(listOf(objectOf({ tool: parseString, digest: parseString }), 1_000)),
});
export type McpTarget = Parsed<typeof parseMcpTarget>;

export const parseKubernetesTarget = objectOf({
  ...UPSTREAM,
  identity: objectOf({
    mode: oneOf(...KUBERNETES_IDENTITIES),
    /** `impersonate`; absent = the principal's name. */
    user: optional(parseString),
    groups: optional(listOf(parseString, 100)),
    extra: optional(recordOf(parseString)),
    /** `service_account`. */
    namespace: optional(parseString),
    serviceAccount: optional(parseString),
  }),
  opaque: optional(listOf(oneOf(...KUBERNETES_OPAQUE), KUBERNETES_OPAQUE.length)),
  /** A stream of exec or attach that cannot be recorded is refused. */
  execRecorded: parseBoolean,
});
export type KubernetesTarget = Parsed<typeof parseKubernetesTarget>;

/** RFC 9110 section 5.6.2, lower case. */
export const HTTP_HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/;
/** Headers that say how a message is framed, sent on, or who asks: never a place for a credential of somebody's choice. */
export const HTTP_RESERVED_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'cookie',
  'date',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
]);

/** What is wrong with a target in itself; undefined when nothing is. */
export function httpTargetProblem(
  target: HttpTarget | McpTarget | KubernetesTarget | undefined,
): { readonly field: string; readonly message: string } | undefined {
  if (target === undefined) return { field: '', message: 'a resource of this kind needs its target' };
  const url = URL.parse(target.url);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:') || url.hostname === '')
    return { field: 'url', message: 'an http or https URL is expected' };
  if (url.username !== '' || url.password !== '')
    return { field: 'url', message: 'no user name or password stands in it: make a credential' };
  if (url.search !== '' || url.hash !== '') return { field: 'url', message: 'ends with its path' };
  if (url.protocol === 'http:' && (target.tls !== undefined || target.ca !== undefined))
    return { field: 'tls', message: 'goes with an https URL' };
  const { inject } = target;
  const { needs, takes } = HTTP_INJECT_FIELDS[inject.as];
  const missing = needs.find((field) => inject[field] === undefined);
  if (missing !== undefined) return { field: `inject.${missing}`, message: `is needed for ${inject.as}` };
  const strange = (Object.keys(inject) as (keyof typeof inject)[]).find(
    (field) => field !== 'as' && inject[field] !== undefined && !needs.includes(field) && !takes.includes(field),
  );
  if (strange !== undefined) return { field: `inject.${strange}`, message: `is not for ${inject.as}` };
  if (inject.as === 'mtls' && url.protocol === 'http:')
    return { field: 'inject.as', message: 'mtls goes with an https URL' };
  if (inject.as === 'google' && (inject.scope === undefined) === (inject.audience === undefined))
    return { field: 'inject', message: 'google takes a scope, or an audience' };
  for (const [field, name] of [
    ['tokenHeader', target.tokenHeader],
    ['inject.name', inject.as === 'header' ? inject.name : undefined],
  ] as const)
    if (name !== undefined && (!HTTP_HEADER_NAME.test(name) || HTTP_RESERVED_HEADERS.has(name)))
      return { field, message: 'the name of a header is expected, in lower case, and not one that frames a message' };
  if ('streams' in target)
    for (const [at, { path }] of (target.streams ?? []).entries())
      if (parseJsonPath(path)?.every(({ kind }) => kind === 'key' || kind === 'element') !== true)
        return {
          field: `streams.${at}.path`,
          message: 'a path of names and [] is expected, as choices[].delta.content',
        };
  if ('identity' in target && target.identity.mode === 'service_account')
    for (const field of ['namespace', 'serviceAccount'] as const)
      if (target.identity[field] === undefined)
        return { field: `identity.${field}`, message: 'is needed for service_account' };
  return undefined;
}
