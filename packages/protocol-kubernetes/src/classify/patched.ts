/**
 * The object that a write would leave of a stored one, before the server's own defaults and hooks: what is shown to people beside
 * what is stored. Refuses to be exact where only the server can be: an apply takes away nothing here that its manager leaves
 * out, and lists are merged as the kinds of Kubernetes itself have them. RFC 6902, RFC 7386, Kubernetes' strategic merge.
 */
import type { PatchType } from './patch.ts';

type Json = Record<string, unknown>;

/** @returns undefined when the patch does not fit what is stored */
export function patched(type: PatchType, stored: unknown, sent: unknown): unknown {
  switch (type) {
    case '':
      return sent;
    case 'merge':
      return merged(stored, sent);
    case 'json':
      return operated(stored, sent);
    case 'strategic':
    case 'apply':
      return strategic(stored, sent);
    default:
      return type satisfies never;
  }
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Without a prototype: `__proto__` is a key as any other. */
const copyOf = (value: unknown): Json => Object.assign(Object.create(null) as Json, isObject(value) ? value : {});

function merged(stored: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const made = copyOf(stored);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete made[key];
    else made[key] = merged(made[key], value);
  }
  return made;
}

function operated(stored: unknown, operations: unknown): unknown {
  const root = { '': structuredClone(stored) };
  for (const one of operations as readonly { op: string; path: string; value?: unknown }[]) {
    if (one.op === 'test') continue;
    const keys = one.path.split('/').map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = keys.pop() as string;
    let at: unknown = root;
    for (const key of keys)
      at = Array.isArray(at) ? at[placeIn(at, key)] : isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
    if (Array.isArray(at)) {
      const place = one.op === 'add' && last === '-' ? at.length : placeIn(at, last);
      if (place < 0 || place > at.length || (place === at.length && one.op !== 'add')) return undefined;
      if (one.op === 'add') at.splice(place, 0, one.value);
      else if (one.op === 'replace') at[place] = one.value;
      else at.splice(place, 1);
    } else if (isObject(at)) {
      if (one.op !== 'add' && !Object.hasOwn(at, last)) return undefined;
      if (one.op === 'remove') delete at[last];
      else Object.defineProperty(at, last, { value: one.value, enumerable: true, configurable: true, writable: true });
    } else return undefined;
  }
  return root[''];
}

/** As the server's library counts: from the end where the number is negative. */
function placeIn(list: readonly unknown[], key: string): number {
  if (!/^[+-]?\d+$/.test(key)) return -1;
  const place = Number(key);
  return place < 0 ? list.length + place : place;
}

/** What elements of these lists are known by (k8s.io/api, `patchMergeKey`); any other list is replaced as a whole. */
const MERGE_KEYS: Readonly<Record<string, readonly string[]>> = {
  containers: ['name'],
  initContainers: ['name'],
  ephemeralContainers: ['name'],
  volumes: ['name'],
  env: ['name'],
  imagePullSecrets: ['name'],
  secrets: ['name'],
  resourceClaims: ['name'],
  ports: ['containerPort', 'port'],
  volumeMounts: ['mountPath'],
  volumeDevices: ['devicePath'],
  hostAliases: ['ip'],
  topologySpreadConstraints: ['topologyKey'],
  conditions: ['type'],
  ownerReferences: ['uid'],
  addresses: ['type'],
  taints: ['key'],
};

function strategic(stored: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  if (patch['$patch'] === 'delete') return undefined;
  if (patch['$patch'] === 'replace') return withoutDirectives(patch);
  const made = copyOf(stored);
  const kept = patch['$retainKeys'];
  if (Array.isArray(kept)) for (const key of Object.keys(made)) if (!kept.includes(key)) delete made[key];
  for (const [key, value] of Object.entries(patch)) {
    const gone = /^\$deleteFromPrimitiveList\/(.+)$/.exec(key)?.[1];
    const list = gone === undefined ? undefined : made[gone];
    if (gone !== undefined && Array.isArray(list) && Array.isArray(value))
      made[gone] = list.filter((one) => !value.includes(one));
    if (key.startsWith('$')) continue;
    const next =
      value === null
        ? undefined
        : Array.isArray(value)
          ? mergedList(key, made[key], value)
          : strategic(made[key], value);
    if (next === undefined) delete made[key];
    else made[key] = next;
  }
  return made;
}

const withoutDirectives = (patch: Json): Json =>
  Object.assign(
    Object.create(null) as Json,
    Object.fromEntries(Object.entries(patch).filter(([key]) => !key.startsWith('$'))),
  );

function mergedList(name: string, stored: unknown, patch: readonly unknown[]): unknown {
  if (!Array.isArray(stored)) return patch.filter((one) => !isObject(one) || !('$patch' in one));
  if (name === 'finalizers') return [...new Set([...(stored as unknown[]), ...patch])];
  const key = MERGE_KEYS[name]?.find((each) => patch.some((one) => isObject(one) && each in one));
  if (key === undefined || patch.some((one) => isObject(one) && one['$patch'] === 'replace'))
    return patch.filter((one) => !isObject(one) || one['$patch'] === undefined);
  const made = [...(stored as unknown[])];
  for (const one of patch) {
    const at = made.findIndex((each) => isObject(each) && isObject(one) && each[key] === one[key]);
    const next = strategic(at < 0 ? undefined : made[at], one);
    if (next === undefined) {
      if (at >= 0) made.splice(at, 1);
    } else if (at < 0) made.push(next);
    else made[at] = next;
  }
  return made;
}
