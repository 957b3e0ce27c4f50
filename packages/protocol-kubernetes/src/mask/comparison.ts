/**
 * Requests that would say whether a guess is what is masked: a JSON Patch `test`, a dry run and an apply that may end in a
 * conflict, selectors, writes that an immutable object takes only where nothing changes. Refuses them where something of the object is masked; what only overwrites is no question.
 * RFC 6902 section 4.6; Kubernetes "Server-Side Apply", "Field Selectors".
 */
import { GatewayError } from '@sallyport/core';
import { JsonMasker, type JsonPlan } from '@sallyport/mask';
import type { KubernetesFacts, MaskSet } from '@sallyport/model';
import type { RequestInfo } from '../messages.ts';
import { planOf } from '../paths.ts';

/** What every client may compare: none of these says anything of the data. */
const COMPARABLE: ReadonlySet<string> = new Set(['/metadata/resourceVersion', '/metadata/uid']);
/** Takes a value out of a list if it is there; the answer shows the list's length. */
const BY_VALUE = '$deleteFromPrimitiveList/';
/** Takes whoever has the other fields' keys out of a list, if they are there. */
const BY_KEY = '$patch';

/**
 * @param sent the body as a value; undefined where there is none or it was not read
 * @throws GatewayError `kubernetes.masked_comparison`
 */
export function requireNoComparison(info: RequestInfo, facts: KubernetesFacts, sent: unknown, masks: MaskSet): void {
  const plan = planOf(masks, info);
  if (info.nonResource || (plan === undefined && masks.detect.length === 0)) return;
  const shows = (value: unknown): boolean => wouldBeMasked(value, plan, masks);
  if (info.fieldSelector !== '' && shows(fieldsNamed(info.fieldSelector))) throw refused('a field selector');
  if (info.labelSelector !== '' && shows(labelsNamed(info.labelSelector))) throw refused('a label selector');
  if (info.verb !== 'patch' && info.verb !== 'update') return;
  if (facts.patchType === 'json') {
    // Longer than is read: nobody knows whether it asks.
    if (!Array.isArray(sent) || sent.some(asks)) throw refused('a test');
    if (facts.dryRun) throw refused('a dry run');
    return;
  }
  if (facts.patchType === 'strategic') {
    const paths = facts.fields.map(({ path }) => path);
    if (paths.some((path) => path.includes(BY_VALUE))) throw refused('a deletion by value');
    if (paths.some((path) => path.endsWith(BY_KEY)) && shows(sent)) throw refused('a deletion by key');
  }
  const isQuestion = facts.dryRun || (facts.patchType === 'apply' && info.query.get('force')?.[0] !== 'true');
  if (isQuestion && (facts.object === 'unread' || shows(sent))) throw refused(facts.dryRun ? 'a dry run' : 'an apply');
}

/** Kinds whose specs stay as they were made, but for a few fields: whether a write is taken tells what is there. */
const FIXED: ReadonlySet<string> = new Set(['pods', 'persistentvolumes', 'persistentvolumeclaims', 'jobs.batch']);
/** Kinds of which an object may be made immutable. */
const MAY_BE_FIXED: ReadonlySet<string> = new Set(['secrets', 'configmaps']);

/**
 * Whether the API server takes this only where it is what is stored already, if the object is immutable: that has to be looked up.
 * @throws GatewayError `kubernetes.masked_comparison` where the kind alone says so, or nobody read what is written
 */
export function hangsOnImmutability(info: RequestInfo, facts: KubernetesFacts, sent: unknown, masks: MaskSet): boolean {
  const plan = planOf(masks, info);
  if (plan === undefined || info.nonResource || (info.verb !== 'patch' && info.verb !== 'update')) return false;
  const kind = info.group === '' ? info.resource : `${info.resource}.${info.group}`;
  const [isFixed, mayBeFixed] = [FIXED.has(kind), MAY_BE_FIXED.has(kind) && info.subresource === ''];
  if (!isFixed && !mayBeFixed) return false;
  if (facts.object !== 'read') throw refused('an object that was not read');
  const written = facts.patchType === 'json' ? putBy(sent) : [sent];
  if (isFixed && written.some((one) => wouldBeMasked(specOf(one), plan, masks))) throw refused('a field that is fixed');
  return mayBeFixed && written.some((one) => wouldBeMasked(one, plan, masks));
}

const specOf = (object: unknown): object =>
  typeof object === 'object' && object !== null && 'spec' in object ? { spec: object.spec } : {};

/** What each operation puts where, as the object that has that alone: a number may be a key or a place in a list. */
function putBy(operations: unknown): readonly unknown[] {
  if (!Array.isArray(operations)) return [];
  return operations.flatMap(({ path, value }: { readonly path?: unknown; readonly value?: unknown }) => {
    const words = (typeof path === 'string' ? path : '')
      .split('/')
      .slice(1)
      .map((word) => word.replaceAll('~1', '/').replaceAll('~0', '~'));
    const made = (inLists: boolean): unknown =>
      words.reduceRight<unknown>(
        (inner, word) => (inLists && /^(?:\d+|-)$/.test(word) ? [inner] : holding(word, inner)),
        value,
      );
    return [made(true), made(false)];
  });
}

const refused = (reason: string): GatewayError => new GatewayError('kubernetes.masked_comparison', { reason });

const asks = (operation: unknown): boolean => {
  const { op, path } = operation as { readonly op?: unknown; readonly path?: unknown };
  return op === 'test' && !COMPARABLE.has(String(path));
};

/** Whether this would be shown in another way, if the API server told it. */
function wouldBeMasked(value: unknown, plan: JsonPlan | undefined, { detect }: MaskSet): boolean {
  const text = JSON.stringify(value);
  if (text === undefined) return false;
  const masker = new JsonMasker({ plan, detect, key: undefined });
  const shown = Buffer.concat([masker.push(Buffer.from(text)), masker.end()]).toString();
  return masker.broken || shown !== text;
}

/** `spec.color=red,status.phase!=x` as the object that has these fields. A comma that is escaped makes one more, and none less. */
function fieldsNamed(selector: string): object {
  const made: Record<string, unknown> = {};
  for (const term of selector.split(',')) {
    const [, name = '', value = ''] = /^\s*([^=!]*)!?=?=?(.*)$/.exec(term) ?? [];
    const words = name.trim().split('.');
    let at = made;
    for (const word of words.slice(0, -1)) {
      const next = Object.hasOwn(at, word) ? at[word] : undefined;
      at = typeof next === 'object' && next !== null ? (next as Record<string, unknown>) : own(at, word, {});
    }
    own(at, words.at(-1) ?? '', value === '' ? 'x' : value);
  }
  return made;
}

/** `a=b,c in (d,e),!f` as the object that has these labels. */
function labelsNamed(selector: string): object {
  const labels: Record<string, unknown> = {};
  for (const term of selector.split(',')) own(labels, /^[\s!]*([^\s=!<>(]*)/.exec(term)?.[1] ?? '', term || 'x');
  return { metadata: { labels } };
}

/** `__proto__` is a key as any other. */
function own<T>(object: Record<string, unknown>, key: string, value: T): T {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  return value;
}

function holding(key: string, value: unknown): object {
  const object: Record<string, unknown> = {};
  own(object, key, value);
  return object;
}
