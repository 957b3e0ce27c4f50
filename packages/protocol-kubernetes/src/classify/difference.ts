/**
 * What a write changes of the stored object, as lines for people: `~ spec.replicas: 3 → 0`. Refuses to show what only the server
 * keeps (uid, generation, managedFields, kubectl's copy), and more lines or longer values than anybody reads.
 */
import { pathKey } from '@sallyport/model';

const LINES_MAX = 200;
const VALUE_CHARACTERS_MAX = 400;
/** Of metadata, what the server keeps: a write that leaves it out does not take it away. */
const SERVER_KEPT: ReadonlySet<string> = new Set([
  'uid',
  'creationTimestamp',
  'generation',
  'resourceVersion',
  'selfLink',
  'managedFields',
]);
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
/** Elements of lists are told apart by the first of these that all of them have, each another one. */
const NAMES = ['name', 'key', 'type', 'containerPort', 'mountPath', 'port', 'ip', 'uid'] as const;

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @param subresource where there is one, the status is what is written */
export function compared(object: unknown, subresource: string): unknown {
  if (!isObject(object)) return object;
  const { metadata, status, ...rest } = object;
  const kept = subresource === '' || status === undefined ? rest : { ...rest, status };
  if (!isObject(metadata)) return kept;
  const { annotations, ...named } = metadata;
  const own = Object.entries(named).filter(([key]) => !SERVER_KEPT.has(key));
  const notes = isObject(annotations) ? Object.entries(annotations).filter(([key]) => key !== LAST_APPLIED) : [];
  if (notes.length > 0) own.push(['annotations', Object.fromEntries(notes)]);
  return { metadata: Object.fromEntries(own), ...kept };
}

/** @returns a line for each place, the first two hundred */
export function difference(before: unknown, after: unknown): readonly string[] {
  const lines: string[] = [];
  compare('', before, after, lines);
  if (lines.length <= LINES_MAX) return lines;
  return [...lines.slice(0, LINES_MAX), `… and ${lines.length - LINES_MAX} more`];
}

/** A field that is null is one that is not there. */
function compare(path: string, old: unknown, made: unknown, lines: string[]): void {
  const [before, after] = [old ?? undefined, made ?? undefined];
  if (before === after) return;
  if (isObject(before) && isObject(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      const at = pathKey(key);
      compare(
        path === '' || at.startsWith('[') ? path + at : `${path}.${at}`,
        own(before, key),
        own(after, key),
        lines,
      );
    }
  } else if (Array.isArray(before) && Array.isArray(after)) compareLists(path, before, after, lines);
  else if (before === undefined) lines.push(`+ ${path}: ${shown(after)}`);
  else if (after === undefined) lines.push(`- ${path}: ${shown(before)}`);
  else lines.push(`~ ${path}: ${shown(before)} → ${shown(after)}`);
}

const own = (object: Json, key: string): unknown => (Object.hasOwn(object, key) ? object[key] : undefined);

function compareLists(path: string, before: readonly unknown[], after: readonly unknown[], lines: string[]): void {
  const name = NAMES.find((each) => tellsApart(each, before) && tellsApart(each, after));
  if (name === undefined) {
    for (let at = 0; at < Math.max(before.length, after.length); at++)
      compare(`${path}[${at}]`, before[at], after[at], lines);
    return;
  }
  const byName = (list: readonly unknown[]): ReadonlyMap<unknown, unknown> =>
    new Map((list as readonly Json[]).map((one) => [one[name], one]));
  const [old, made] = [byName(before), byName(after)];
  for (const key of new Set([...old.keys(), ...made.keys()]))
    compare(`${path}[${name}=${shown(key)}]`, old.get(key), made.get(key), lines);
}

function tellsApart(name: string, list: readonly unknown[]): boolean {
  const seen = new Set<unknown>();
  for (const one of list) {
    const value = isObject(one) ? own(one, name) : undefined;
    if ((typeof value !== 'string' && typeof value !== 'number') || seen.has(value)) return false;
    seen.add(value);
  }
  return true;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= VALUE_CHARACTERS_MAX ? text : `${text.slice(0, VALUE_CHARACTERS_MAX)}…`;
}
