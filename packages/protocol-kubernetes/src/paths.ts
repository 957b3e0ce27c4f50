/**
 * What is hidden of the objects a request is about: `secrets:data.*` as paths into every form in which the API server tells an
 * object: itself, in a list, in a table's rows, in a watch's events, and in kubectl's copy of what was applied last. Refuses to
 * know bytes (packages/mask walks them).
 */
import { GatewayError } from '@sallyport/core';
import { type JsonPathMask, JsonPlan } from '@sallyport/mask';
import { type JsonStep, type MaskSet, parseJsonPath, parseKubernetesMask } from '@sallyport/model';
import type { RequestInfo } from './messages.ts';

/** An object stands at the top of an answer, in a list, in a table, in an event, and in a table in an event. */
export const PLACES = ['', 'items[].', 'rows[].object.', 'object.', 'object.rows[].object.', 'object.items[].'];
export const LAST_APPLIED = 'metadata.annotations."kubectl.kubernetes.io/last-applied-configuration"';

const plans = new WeakMap<MaskSet, Map<string, JsonPlan | undefined>>();

/** The plan for answers to a request about this resource; undefined when no path of the masks is about it. */
export function planOf(masks: MaskSet, info: RequestInfo): JsonPlan | undefined {
  if (masks.kubernetes === undefined && masks.json === undefined) return undefined;
  let known = plans.get(masks);
  if (known === undefined) plans.set(masks, (known = new Map()));
  const key = `${resourceName(info)}/${isOne(info) ? info.name : ''}`;
  if (!known.has(key)) known.set(key, compiled(masks, info));
  // A session that asks for one name after another does not grow without bounds.
  const plan = known.get(key);
  if (known.size > 1_000) known.clear();
  return plan;
}

/** `deployments.apps`; `pods` of the core group. */
export const resourceName = ({ group, resource }: RequestInfo): string =>
  group === '' ? resource : `${resource}.${group}`;

/** Lists and watches tell of many, whose names are known too late: a mask for one name holds for all of them. */
const isOne = ({ verb, name }: RequestInfo): boolean => name !== '' && verb !== 'list' && verb !== 'watch';

function compiled(masks: MaskSet, info: RequestInfo): JsonPlan | undefined {
  if (info.nonResource) return undefined;
  const inner = pathsOf(masks, resourceName(info), isOne(info) && info.verb !== 'create' ? info.name : '');
  const json = (masks.json ?? []).map(({ path, with: method }) => ({ path, with: method }));
  if (inner.length === 0) return json.length === 0 ? undefined : new JsonPlan(json);
  const document = new JsonPlan(inner);
  const written = writtenFields(resourceName(info), inner);
  return new JsonPlan([
    ...json,
    ...PLACES.flatMap((place) => [
      ...inner.map((mask) => ({ ...mask, path: place + mask.path })),
      ...written.map((path) => ({ path: place + path, with: 'null' as const })),
      { path: place + LAST_APPLIED, with: 'redact' as const, form: { document } },
    ]),
    ...(PLAIN_TABLES.has(resourceName(info)) ? [] : CELLS.map((path) => ({ path, with: 'redact' as const }))),
  ]);
}

/** Of tables that are asked for in a way that is not known here. */
const CELLS = ['rows[].cells[]', 'object.rows[].cells[]'];

/**
 * Where the API server keeps who wrote what of these: there a list's element stands by what it holds (`k:{"ip":"10.0.0.7"}`,
 * `v:"a"`), so nothing is shown of a list in which something is masked. Clients read `null` there as no elements.
 * Kubernetes "Server-Side Apply", fieldsV1.
 */
function writtenFields(resource: string, inner: readonly JsonPathMask[]): readonly string[] {
  // Maps of texts: there is no list in them.
  const isMap = (path: string): boolean =>
    PLAIN_TABLES.has(resource) && /^(?:data|stringData|binaryData)(?:\.|$)/.test(path);
  return [...new Set(inner.filter(({ path }) => !isMap(path)).map(({ path }) => writtenAt(parseJsonPath(path) ?? [])))];
}

/** What is longer is hidden from further up. */
const WRITTEN_STEPS_MAX = 16;
const WRITTEN_CHARACTERS_MAX = 400;

function writtenAt(steps: readonly JsonStep[]): string {
  let path = 'metadata.managedFields[].fieldsV1';
  for (const step of steps.slice(0, WRITTEN_STEPS_MAX)) {
    if (step.kind === 'element' || step.kind === 'deep') break;
    const name = step.kind === 'any_key' ? '*' : JSON.stringify(`f:${step.name}`);
    if (path.length + name.length > WRITTEN_CHARACTERS_MAX) break;
    path += `.${name}`;
  }
  return path;
}

/** Paths into an object of a resource. @param asked its name; '' = of all, or not known */
export function pathsOf(masks: MaskSet, wanted: string, asked: string): readonly JsonPathMask[] {
  const inner: JsonPathMask[] = [];
  for (const { place, with: method } of masks.kubernetes ?? []) {
    const read = parseKubernetesMask(place);
    // The policy did not compile with one: then nothing was decided either.
    if (read === undefined) throw new GatewayError('policy.invalid', { place });
    const { resource, name } = read;
    if (resource !== wanted || (name !== '' && asked !== '' && name !== asked)) continue;
    const path = place.slice(resource.length + (name === '' ? 0 : name.length + 1) + 1);
    const isData = wanted === 'secrets' && (path === 'data' || path.startsWith('data.'));
    inner.push({ path, with: method, ...(isData ? { form: 'base64' as const } : {}) });
    // A Secret is written with texts, and read without.
    if (isData) inner.push({ path: `stringData${path.slice(4)}`, with: method });
  }
  return inner;
}

/** Resources whose tables show nothing of what is masked in them. */
const PLAIN_TABLES: ReadonlySet<string> = new Set(['secrets', 'configmaps']);

/** Detectors read a table's cells as they do an object's texts; a path leads into the object and into no cell. */
const isTableSafe = (info: RequestInfo, masks: MaskSet): boolean =>
  planOf(masks, info) === undefined || PLAIN_TABLES.has(resourceName(info));

/**
 * What an answer may be asked for as: JSON alone where something is masked, and tables only where nothing that is masked
 * stands in a cell in clear.
 * @returns undefined when the client takes no JSON
 */
export function maskedAccept(accept: string, info: RequestInfo, masks: MaskSet): string | undefined {
  const kinds = accept === '' ? ['application/json'] : accept.split(',').map((one) => one.trim());
  const kept: string[] = [];
  for (const kind of kinds) {
    const [type = '', ...parameters] = kind.split(';').map((part) => part.trim().toLowerCase());
    // The server takes blanks around what is said.
    const isTable = parameters.some((parameter) => /^as\s*=\s*"?table"?$/.test(parameter));
    if (isTable && !isTableSafe(info, masks)) continue;
    if (type === 'application/json') kept.push(kind);
    else if (type === '*/*' || type === 'application/*' || type === 'application/yaml') kept.push('application/json');
  }
  return kept.length === 0 ? undefined : [...new Set(kept)].join(',');
}
