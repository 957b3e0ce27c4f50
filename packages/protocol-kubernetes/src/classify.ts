/**
 * A request to an API server as a statement: verb and resource, the object that is sent, the command of an exec. Refuses to know
 * rules. What it cannot read is refused by name (another path form, CBOR, a client that names whom it wants to be), or said
 * to be unread, and then rules about objects match.
 */
import { hash } from 'node:crypto';
import { GatewayError } from '@sallyport/core';
import { headerOf, type RequestHead } from '@sallyport/http';
import { type RequestBody, requestDigest } from '@sallyport/http-session';
import {
  type BodyField,
  EFFECTS,
  type Effect,
  fieldsOf,
  type KubernetesFacts,
  type ShellFacts,
  type Statement,
} from '@sallyport/model';
import { effectsOfShell, parseCommandLine } from '@sallyport/shell';
import { effectsOf, isRbac, isSecret, writesSecrets } from './classify/effects.ts';
import { formOf, readObject } from './classify/json-object.ts';
import { NO_OBJECT, objectFactsOf } from './classify/object-facts.ts';
import { fieldsOfPatch, type PatchType, patchTypeOf } from './classify/patch.ts';
import { patched } from './classify/patched.ts';
import { readProtobuf } from './classify/protobuf-object.ts';
import { quoted, textOf, withoutData } from './classify/statement-text.ts';
import { isDryRun, isProxied, type RequestInfo, readRequest } from './messages.ts';

/** Verbs whose body is an object or a patch of one. */
const WRITES: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

export interface Classified {
  readonly statement: Statement;
  readonly info: RequestInfo;
  /** The object or patch; undefined where there is none or it was not read. */
  readonly sent?: unknown;
  /** JSON to send in the place of YAML or protobuf. */
  readonly body?: Uint8Array;
}

/** Whether a body comes before the verdict: of all that writes but what is a program's own stream. */
export const readsBody = (info: RequestInfo): boolean =>
  !info.nonResource && info.subresource !== 'proxy' && WRITES.has(info.verb);

/**
 * @param letIn what the resource lets in when it cannot be read
 * @param shown the object or patch as whoever approves it, or looks it up later, reads it
 * @throws GatewayError `kubernetes.path`, `kubernetes.object`, `kubernetes.impersonation`, `kubernetes.media_type`, `kubernetes.protobuf`
 */
export function classify(
  request: RequestHead,
  body: RequestBody | undefined,
  letIn: readonly string[] = [],
  shown: (info: RequestInfo, sent: unknown) => string = shownPlainly,
): Classified {
  refuseImpersonation(request);
  return body === undefined
    ? known(request, () => classifyAnew(request, undefined, letIn, shown))
    : classifyAnew(request, body, letIn, shown);
}

/** What was read of requests without a body: clients ask for the same again and again. The one used last stands last. */
const knownRequests = new Map<string, Classified>();
const KNOWN_MAX = 500;
const KNOWN_UNITS_MAX = 2_048;

/** Facts that come again are the same object, so that what rules said of them is known too; the statement is another. */
function known(request: RequestHead, read: () => Classified): Classified {
  const { method, path, target, headers } = request;
  const type = headerOf(headers, 'content-type') ?? '';
  // All that is read of such a request; no name of a method, and no target, has a line break in it.
  const key = `${method}\n${path}\n${target}\n${type}`;
  const found = knownRequests.get(key) ?? read();
  if (key.length > KNOWN_UNITS_MAX) return found;
  knownRequests.delete(key);
  knownRequests.set(key, found);
  if (knownRequests.size > KNOWN_MAX) knownRequests.delete(knownRequests.keys().next().value!);
  const { statement, info } = found;
  const digest = isPlain(request, info, undefined) ? statement.digest : digestOf(request, info, undefined);
  return { ...found, statement: { ...statement, digest } };
}

/** Target and object say all of it: it is for the API server itself, and no body goes unread. */
const isPlain = ({ framing }: RequestHead, info: RequestInfo, body: RequestBody | undefined): boolean =>
  !isProxied(info) && (body === undefined ? isEmpty(framing) : body.read);

const isEmpty = (framing: RequestHead['framing']): boolean =>
  framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === 0);

function classifyAnew(
  request: RequestHead,
  body: RequestBody | undefined,
  letIn: readonly string[],
  shown: (info: RequestInfo, sent: unknown) => string,
): Classified {
  const info = readRequest(request.method, request.path, request.query);
  const { object, form, json } = objectOf(request, info, body, letIn);
  const fields = object === 'read' ? fieldsOfBody(request, info, json) : undefined;
  const facts = kubernetesFacts(
    request,
    info,
    object === 'read' && fields === undefined ? 'unread' : object,
    fields ?? [],
    json,
  );
  const shell = execShell(info);
  const effects = new Set<Effect>(effectsOf(info, request.path));
  if (shell !== undefined) for (const effect of effectsOfShell(shell)) effects.add(effect);
  const statement: Statement = {
    protocol: 'kubernetes',
    digest: digestOf(request, info, body),
    text: textOf(info, request.method, request.path, object === 'read' ? shown(info, json) : undefined),
    parameters: [],
    effects: EFFECTS.filter((effect) => effects.has(effect)),
    understood: shell?.understood ?? true,
    facts: shell === undefined ? { k8s: facts } : { k8s: facts, shell },
    inTransaction: false,
    wroteInTransaction: false,
  };
  const classified = { statement, info, sent: json };
  // What is read in another form is sent as what was read.
  return form === undefined || form === 'json' ? classified : { ...classified, body: Buffer.from(jsonForYaml(json)) };
}

/** What an apply sends is read as YAML by the server: there the signs that end a line end one within a text, too (YAML 1.1, `b-char`). */
const jsonForYaml = (json: unknown): string =>
  JSON.stringify(json).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

const shownPlainly = (info: RequestInfo, sent: unknown): string =>
  writesSecrets(info) ? withoutData(sent) : JSON.stringify(sent);

/** Whom the API server takes a request for is the gateway's to say. */
function refuseImpersonation({ headers }: RequestHead): void {
  for (const [name] of headers)
    if (name.startsWith('impersonate-') || name.startsWith('x-remote-'))
      throw new GatewayError('kubernetes.impersonation', { header: name });
}

interface SentObject {
  readonly object: KubernetesFacts['object'];
  readonly form?: 'json' | 'yaml' | 'protobuf';
  readonly json?: unknown;
}

function objectOf(
  request: RequestHead,
  info: RequestInfo,
  body: RequestBody | undefined,
  letIn: readonly string[],
): SentObject {
  if (body === undefined || (body.read && body.bytes.length === 0)) return { object: 'none' };
  if (!readsBody(info)) return { object: 'unread' };
  const coding = headerOf(request.headers, 'content-encoding') ?? 'identity';
  const form = formOf(headerOf(request.headers, 'content-type') ?? '');
  if (form === 'other' || coding !== 'identity') throw new GatewayError('kubernetes.media_type', { form, coding });
  if (!body.read) return { object: 'unread' };
  if (form !== 'protobuf') return { object: 'read', form, json: readObject(body.bytes, form) };
  try {
    return { object: 'read', form, json: readProtobuf(body.bytes) };
  } catch (error) {
    if (letIn.includes('protobuf') && error instanceof GatewayError) return { object: 'unread' };
    throw error;
  }
}

function fieldsOfBody(request: RequestHead, { verb }: RequestInfo, json: unknown): readonly BodyField[] | undefined {
  if (verb !== 'patch') return fieldsOf(json);
  const type = patchTypeOf(headerOf(request.headers, 'content-type') ?? '');
  if (type === '') throw new GatewayError('kubernetes.media_type', { form: 'no patch' });
  return fieldsOfPatch(type, json);
}

function kubernetesFacts(
  request: RequestHead,
  info: RequestInfo,
  object: KubernetesFacts['object'],
  fields: readonly BodyField[],
  json: unknown,
): KubernetesFacts {
  const { verb, group, version, resource, subresource, namespace, labelSelector, fieldSelector, nonResource, query } =
    info;
  const deletes = verb === 'delete' || verb === 'deletecollection';
  return {
    verb,
    group,
    version,
    resource,
    subresource,
    namespace,
    name: info.name === '' && verb === 'create' ? nameIn(fields) : info.name,
    labelSelector,
    fieldSelector,
    // A body of options replaces those in the query.
    dryRun: deletes && object !== 'none' ? isDryRunBody(json) : info.dryRun,
    nonResource,
    path: request.path,
    patchType: verb === 'patch' ? patchTypeOf(headerOf(request.headers, 'content-type') ?? '') : '',
    object,
    fields,
    ...(object === 'read' ? objectFactsOf(fields) : NO_OBJECT),
    ...(object === 'read' && isCountedByDefault(info, fields, json) ? { replicas: 1 } : {}),
    ...(object === 'read' && subresource === 'scale' ? scaleOf(request, verb, fields, json) : {}),
    secret: isSecret(info),
    rbac: isRbac(info),
    execCommand: subresource === 'exec' ? (query.get('command') ?? []) : [],
  };
}

function scaleOf(
  request: RequestHead,
  verb: string,
  fields: readonly BodyField[],
  json: unknown,
): { readonly replicas?: number } {
  if (isScaledAway(verb, fields, json)) return { replicas: 0 };
  const type = verb === 'patch' ? patchTypeOf(headerOf(request.headers, 'content-type') ?? '') : '';
  const replicas = type === '' ? undefined : leftOfScale(type, json);
  return replicas === undefined ? {} : { replicas };
}

/** A scale that names no number is one of nothing: the number left out of an update or taken away by a patch is zero there. */
function isScaledAway(verb: string, fields: readonly BodyField[], json: unknown): boolean {
  const isSaid = fields.some(({ path, kind }) => path === 'spec.replicas' && kind === 'number');
  if (isSaid) return false;
  const isWhole =
    verb !== 'patch' ||
    (typeof json === 'object' && json !== null && 'kind' in json) ||
    (Array.isArray(json) && json.some((each: { readonly path?: unknown }) => each.path === ''));
  return isWhole || fields.some(({ path }) => path === 'spec' || path === 'spec.replicas');
}

const COUNTED: ReadonlySet<string> = new Set([
  'deployments.apps',
  'statefulsets.apps',
  'replicasets.apps',
  'replicationcontrollers',
]);

/** The API server counts one where a whole workload comes without a number: as good as saying so. */
function isCountedByDefault(
  { verb, resource, group, subresource }: RequestInfo,
  fields: readonly BodyField[],
  json: unknown,
): boolean {
  if (subresource !== '' || !COUNTED.has(group === '' ? resource : `${resource}.${group}`)) return false;
  const comesWhole =
    verb === 'create' ||
    verb === 'update' ||
    (Array.isArray(json) &&
      json.some(
        ({ op, path }: { op?: unknown; path?: unknown }) => op !== 'test' && (path === '' || path === '/spec'),
      ));
  return comesWhole && !fields.some(({ path }) => path === 'spec.replicas');
}

/** A scale before a patch of it: a number that nobody asks for. */
const SCALED = { kind: 'Scale', metadata: {}, spec: { replicas: 7_777_777 } };

/**
 * Operations one after the other, and what a strategic merge replaces, deletes or keeps (`$patch`, `$retainKeys`), say together what
 * is left of the number.
 * @returns undefined when the number stays as it is
 */
function leftOfScale(type: PatchType, json: unknown): number | undefined {
  const left = patched(type, SCALED, json);
  const spec = typeof left === 'object' && left !== null && 'spec' in left ? left.spec : undefined;
  const replicas = typeof spec === 'object' && spec !== null && 'replicas' in spec ? spec.replicas : undefined;
  if (replicas === SCALED.spec.replicas) return undefined;
  return typeof replicas === 'number' ? replicas : 0;
}

const nameIn = (fields: readonly BodyField[]): string =>
  fields.find(({ path }) => path === 'metadata.name')?.value ?? '';

function isDryRunBody(json: unknown): boolean {
  const wanted = typeof json === 'object' && json !== null && 'dryRun' in json ? json.dryRun : undefined;
  return Array.isArray(wanted) && isDryRun(wanted.map(String));
}

/** The command of an exec as the shell line that would run it: `sh -c '…'` is read into, as over SSH. */
function execShell({ subresource, query }: RequestInfo): ShellFacts | undefined {
  if (subresource !== 'exec') return undefined;
  const command = query.get('command') ?? [];
  return parseCommandLine(command.map(quoted).join(' '), { dialect: 'posix' });
}

/**
 * An approval is for this and nothing else: method, target, what kind of body, and the body. What a program behind the API
 * server does hangs on headers, too; and what nobody read is like nothing else.
 */
function digestOf(request: RequestHead, info: RequestInfo, body: RequestBody | undefined): string {
  const { method, target, headers, framing } = request;
  if (!isPlain(request, info, body)) {
    const seen = body === undefined ? (isEmpty(framing) ? 'none' : 'unread') : body.read ? body.bytes : 'unread';
    return requestDigest('kubernetes', request, seen);
  }
  const head = JSON.stringify(['kubernetes', method, target, headerOf(headers, 'content-type') ?? '', body?.size ?? 0]);
  return hash('sha256', Buffer.concat([Buffer.from(head), body?.bytes ?? Buffer.alloc(0)]), 'hex');
}
