/**
 * The `http`, `mcp` and `kubernetes` blocks of a resource as people write them: which service, how its credential is put into
 * requests, and what may be asked besides what rules say. Refuses what agents' own parser would refuse, with the field's name,
 * and upstreams that are the agent's own host or a cloud's metadata unless they are meant. Pure.
 */
import { routesOfOpenApi } from '@sallyport/http';
import {
  authorityText,
  EFFECTS,
  HTTP_DOCUMENTS,
  HTTP_HEADER_NAME,
  HTTP_INJECTIONS,
  HTTP_RESERVED_HEADERS,
  HTTP_TLS_MODES,
  type HttpRoute,
  httpTargetProblem,
  KUBERNETES_IDENTITIES,
  KUBERNETES_OPAQUE,
  MCP_MEDIA,
  readAuthority,
} from '@sallyport/model';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { hostProblem, readUpstreamUrl } from './upstream-url.ts';

const BODY_BYTES_MAX = 1024 * 1024 * 1024 * 1024;
const RECORDED_BYTES_MAX = 64 * 1024 * 1024;
const DOCUMENT_CHARACTERS_MAX = 3_000_000;
const PROBLEMS_SHOWN_MAX = 10;
/** What becomes of a target has to fit into one chunk of a bundle, with room for the rest of the resource. */
const TARGET_BYTES_MAX = 192 * 1024;

const Ca = z
  .string()
  .max(200_000)
  .includes('BEGIN CERTIFICATE')
  .optional()
  .describe('PEM; the system’s when left out.');
const HeaderName = z
  .string()
  .toLowerCase()
  .regex(HTTP_HEADER_NAME, 'the name of a header is expected')
  .refine((name) => !HTTP_RESERVED_HEADERS.has(name), 'this header frames a message or says who asks');
const Token = z.string().regex(/^[0-9A-Za-z_.~[\]-]{1,128}$/, 'letters, digits and _ . ~ - [ ] are expected');
const Scope = z
  .string()
  .regex(/^[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*$/)
  .max(2_000);
const Effects = z.array(z.enum(EFFECTS)).min(1).max(EFFECTS.length);
const Path = z
  .string()
  .max(2_000)
  .regex(/^\/[\x21-\x7E]*$/, 'a path begins with /, and holds neither blanks nor controls')
  .refine((path) => !path.includes('#'), 'a fragment is never sent');
const Host = z
  .string()
  .max(260)
  .transform((text, context) => {
    const authority = readAuthority(text);
    if (authority !== undefined) return authorityText(authority);
    context.addIssue({ code: 'custom', message: '`host` or `host:port` is expected, without scheme or wildcard' });
    return z.NEVER;
  });

const Inject = z
  .strictObject({
    as: z.enum(HTTP_INJECTIONS),
    name: z.string().max(128).optional().describe('Of the header, query parameter or cookie.'),
    prefix: z
      .string()
      .max(64)
      .regex(/^[\x20-\x7E]*$/)
      .optional()
      .describe('header: what stands before the secret, its blank included.'),
    tokenUrl: z.string().max(2_000).optional().describe('oauth: where tokens are asked for.'),
    scope: Scope.optional(),
    audience: z.string().max(500).optional(),
    clientAuth: z.enum(['basic', 'body']).optional().describe('oauth: how the client proves itself; basic by default.'),
    region: z
      .string()
      .regex(/^[a-z0-9-]{1,40}$/)
      .optional(),
    service: z
      .string()
      .regex(/^[a-z0-9-]{1,40}$/)
      .optional(),
    tenant: z
      .string()
      .regex(/^[A-Za-z0-9.-]{1,120}$/)
      .optional(),
  })
  .superRefine((inject, context) => {
    const { as, name } = inject;
    const issue = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    const reading =
      as === 'header'
        ? HeaderName.safeParse(name)
        : as === 'query' || as === 'cookie'
          ? Token.safeParse(name)
          : undefined;
    if (name !== undefined && reading?.success === false) issue('name', reading.error.issues[0]!.message);
  })
  .transform((inject) =>
    inject.as === 'header' && inject.name !== undefined ? { ...inject, name: inject.name.toLowerCase() } : inject,
  );

const UPSTREAM = {
  url: z.string().max(2_000).describe('`https://api.example.com/base`; http speaks in clear.'),
  tls: z.enum(HTTP_TLS_MODES).optional().describe('Of an https URL; verify-full by default.'),
  ca: Ca,
  serverName: z.string().max(253).optional(),
  private: z.boolean().optional().describe('The service is on the agent’s own host, or at a link-local address.'),
  hosts: z
    .array(Host)
    .max(100)
    .optional()
    .describe('`host` or `host:port` by which the forward proxy knows it; the URL’s when left out.'),
  tokenHeader: HeaderName.optional().describe('May carry the access token, besides Authorization.'),
  inject: Inject,
  recordBodies: z.number().int().min(0).max(RECORDED_BYTES_MAX).optional().describe('Bytes kept of each body.'),
  probe: Path.optional().describe('A GET that says whether the credential is accepted, as `/v1/me`.'),
};

type Target = z.infer<z.ZodObject<typeof UPSTREAM>>;

/** What the fields are wrong with together; the URL and token address are made what agents get. */
function checked<T extends Target>(target: T, context: z.RefinementCtx): T {
  const issue = (path: readonly string[], message: string): void =>
    context.addIssue({ code: 'custom', path: [...path], message });
  const isPrivate = target.private === true;
  const url = readUpstreamUrl(target.url, isPrivate);
  if (url.problem !== undefined) {
    issue(['url'], url.problem);
    return target;
  }
  let { inject } = target;
  if (inject.tokenUrl !== undefined) {
    const tokens = readUpstreamUrl(inject.tokenUrl, isPrivate);
    if (tokens.problem !== undefined) issue(['inject', 'tokenUrl'], tokens.problem);
    else if (tokens.url.startsWith('http:') && !isPrivate)
      issue(['inject', 'tokenUrl'], 'a secret is sent there: https is expected');
    else inject = { ...inject, tokenUrl: tokens.url };
  }
  target.hosts?.forEach((host, at) => {
    const problem = hostProblem(readAuthority(host)?.host ?? '', isPrivate);
    if (problem !== undefined) issue(['hosts', String(at)], problem);
  });
  const clear = url.url.startsWith('http:') && !isPrivate && inject.as !== 'none' && inject.as !== 'sigv4';
  if (clear) issue(['url'], 'a credential would travel in clear: use https, or say private: true where that is meant');
  const made = { ...target, url: url.url, inject };
  const problem = httpTargetProblem(made as Parameters<typeof httpTargetProblem>[0]);
  if (problem !== undefined) issue(problem.field.split('.'), problem.message);
  if (Buffer.byteLength(JSON.stringify(made)) > TARGET_BYTES_MAX)
    issue(
      ['routes'],
      `what agents get of it is over ${TARGET_BYTES_MAX / 1024} KiB: give fewer routes or shorter names`,
    );
  return made;
}

const Method = z.string().regex(/^[A-Z]{1,20}$/, 'a method is written in capitals');
const RoutePath = Path.refine(
  (path) => !path.includes('?') && /^([^{}]|\{[^{}/]+\})*$/.test(path),
  'a path template is expected, as /v1/customers/{id}',
);

/**
 * Routes of the document behind those that are written out, which count first. A document that cannot be read whole is
 * refused: an operation that rules do not know is one they let pass.
 */
function withOpenApi<
  T extends { readonly url: string; readonly openapi?: unknown; readonly routes?: readonly HttpRoute[] },
>({ openapi, ...target }: T, context: z.RefinementCtx): Omit<T, 'openapi'> {
  if (openapi === undefined) return target;
  const issue = (message: string): void => context.addIssue({ code: 'custom', path: ['openapi'], message });
  let document: unknown = openapi;
  if (typeof openapi === 'string')
    try {
      document = parseYaml(openapi, { maxAliasCount: 0, logLevel: 'silent' });
    } catch {
      // The reader's own words quote the document.
      issue('is neither JSON nor YAML, or uses aliases');
      return target;
    }
  const { routes, problems } = routesOfOpenApi(document, target.url);
  for (const problem of problems.slice(0, PROBLEMS_SHOWN_MAX)) issue(problem);
  if (problems.length === 0 && routes.length === 0) issue('has no operations');
  const long = routes.find(({ path, operation }) => path.length > 2_000 || operation.length > 200);
  if (long !== undefined) issue(`a path or operation id is too long: ${long.operation.slice(0, 80)}`);
  const own = target.routes ?? [];
  const isOwn = ({ method, path }: HttpRoute): boolean =>
    own.some((route) => route.path === path && (route.method === undefined || route.method === method));
  return { ...target, routes: [...own, ...routes.filter((route) => !isOwn(route))] };
}

/** Texts that come in pieces. @param by, ends what is told apart by and ended by where nothing is said */
const Streams = (by: string, ends: string) =>
  z
    .array(
      z.strictObject({
        path: z.string().min(1).max(512).describe('Of the piece in a message, as `choices[].delta.content`.'),
        by: z
          .array(z.string().min(1).max(100))
          .max(10)
          .optional()
          .describe(`Members on the way that tell texts apart; ${by}`),
        ends: z
          .array(z.string().min(1).max(100))
          .min(1)
          .max(50)
          .optional()
          .describe(`Events, or types of messages, that end a text; ${ends}`),
      }),
    )
    .max(20)
    .optional();

export const HttpTarget = z
  .strictObject({
    ...UPSTREAM,
    openapi: z
      .union([z.string().max(DOCUMENT_CHARACTERS_MAX), z.record(z.string(), z.unknown())])
      .optional()
      .describe('An OpenAPI 3 or Swagger 2 document (JSON, or YAML as text): what it says becomes `routes`.'),
    graphql: z.array(Path).max(20).optional().describe('Paths at which GraphQL is spoken.'),
    routes: z
      .array(
        z.strictObject({
          method: Method.optional(),
          path: RoutePath,
          operation: z.string().min(1).max(200),
          effects: Effects.optional(),
        }),
      )
      .max(5_000)
      .optional()
      .describe('Operations by method and path template: what rules read as http.operation, and what they do.'),
    maxBodyBytes: z.number().int().min(0).max(BODY_BYTES_MAX).optional().describe('A longer request is refused.'),
    methods: z.array(Method).min(1).max(50).optional().describe('Every one when left out.'),
    websocket: z.boolean().optional().describe('WebSockets may be opened; true by default.'),
    streams: Streams(
      'index, output_index, content_index, item_id by default.',
      'those of the usual services by default.',
    ).describe('Texts that come in pieces, one in each event, line or message: detectors read them as one.'),
    documents: z
      .enum(HTTP_DOCUMENTS)
      .optional()
      .describe('Archives, PDF and office documents in answers, where something is masked: refused by default.'),
  })
  .transform(withOpenApi)
  .transform(checked);

export const McpTarget = z
  .strictObject({
    ...UPSTREAM,
    tools: z
      .array(
        z.strictObject({
          name: z
            .string()
            .regex(/^\*?[^*\s]*\*?$/)
            .min(1)
            .max(200),
          effects: Effects,
        }),
      )
      .max(1_000)
      .optional()
      .describe('What tools do, by name with `*` at its ends; the first that fits. Any other tool is exec.'),
    media: z
      .enum(MCP_MEDIA)
      .optional()
      .describe('Pictures, sound and bytes that are no text, where something is masked: left out by default.'),
    streams: Streams('progressToken and logger by default.', 'the answer of the call by default.').describe(
      'Texts that come in pieces, one in each notification (`params.message`): detectors read them as one.',
    ),
    accepted: z
      .array(
        z.strictObject({
          tool: z.string().min(1).max(200),
          digest: z.string().regex(/^[0-9a-f]{64}$/, 'the digest of a description is expected, as the trail has it'),
        }),
      )
      .max(1_000)
      .optional()
      .describe(
        'Changed descriptions that were looked at and are taken for the tool’s own, by the digest the trail has.',
      ),
  })
  .transform(checked);

const KubernetesName = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'a name of Kubernetes is expected');
/** RFC 9110 field values without controls; what an impersonation header may carry. */
const HeaderText = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[\x21-\x7E]([\x20-\x7E]*[\x21-\x7E])?$/);

export const KubernetesTarget = z
  .strictObject({
    ...UPSTREAM,
    inject: Inject.default({ as: 'bearer' }),
    identity: z
      .strictObject({
        mode: z.enum(KUBERNETES_IDENTITIES),
        user: HeaderText.optional().describe('impersonate: the principal’s name when left out.'),
        groups: z.array(HeaderText).max(100).optional(),
        extra: z.record(z.string().regex(/^[a-z0-9._/-]{1,128}$/), HeaderText).optional(),
        namespace: KubernetesName.optional(),
        serviceAccount: KubernetesName.optional(),
      })
      .default({ mode: 'impersonate' })
      .describe('Whom the API server takes a session for.'),
    opaque: z
      .array(z.enum(KUBERNETES_OPAQUE))
      .max(KUBERNETES_OPAQUE.length)
      .optional()
      .describe('What cannot be read and is let in by name.'),
    execRecorded: z.boolean().default(true).describe('A stream of exec that cannot be recorded is refused.'),
  })
  .superRefine(({ identity, inject }, context) => {
    const { mode, user, groups = [], extra, namespace, serviceAccount } = identity;
    const issue = (path: readonly string[], message: string): void =>
      context.addIssue({ code: 'custom', path: [...path], message });
    if (mode !== 'impersonate' && (user !== undefined || groups.length > 0 || extra !== undefined))
      issue(['identity', 'mode'], 'user, groups and extra go with impersonate');
    if (mode !== 'service_account' && (namespace !== undefined || serviceAccount !== undefined))
      issue(['identity', 'mode'], 'namespace and serviceAccount go with service_account');
    if (groups.includes('system:masters'))
      issue(
        ['identity', 'groups'],
        'system:masters is above every rule of the cluster: bind the roles that are needed',
      );
    if (!['none', 'bearer', 'basic', 'mtls', 'google', 'azure'].includes(inject.as))
      issue(['inject', 'as'], 'an API server takes bearer, basic, mtls, google or azure');
  })
  .transform(checked);
