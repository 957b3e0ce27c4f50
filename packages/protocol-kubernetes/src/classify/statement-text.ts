/**
 * A request to an API server as a person reads it before saying yes: what kubectl would call it, and the object that goes with
 * it. Refuses to show what a Secret holds; the digest is of the bytes themselves, so nothing is approved unseen but values.
 */
import type { RequestInfo } from '../messages.ts';

const TEXT_CHARACTERS_MAX = 16 * 1024;
const HIDDEN = '[redacted]';

/** @param object as it may be shown; undefined where there is none or it was not read */
export function textOf(info: RequestInfo, method: string, path: string, object: string | undefined): string {
  if (info.nonResource) return `${method} ${path}`;
  const { verb, group, resource, name, subresource, namespace, labelSelector, fieldSelector, query } = info;
  const of = resource + (group === '' ? '' : `.${group}`);
  const words = [
    wordOf(verb, subresource),
    of + (name === '' ? '' : `/${name}`) + (subresource === '' ? '' : `/${subresource}`),
  ];
  if (info.rest !== '') words.push(`/${info.rest}`);
  if (namespace !== '' && resource !== 'namespaces') words.push('-n', namespace);
  if (labelSelector !== '') words.push('-l', quoted(labelSelector));
  if (fieldSelector !== '') words.push('--field-selector', quoted(fieldSelector));
  if (info.dryRun) words.push('--dry-run=server');
  const container = query.get('container')?.[0] ?? '';
  if (container !== '') words.push('-c', quoted(container));
  const command = query.get('command');
  if (subresource === 'exec' && command !== undefined) words.push('--', ...command.map(quoted));
  const line = words.join(' ');
  return object === undefined ? line : `${line}\n${shortened(object)}`;
}

const wordOf = (verb: string, subresource: string): string =>
  subresource === 'exec' || subresource === 'attach' || subresource === 'portforward' ? subresource : verb;

/** The object as JSON, without what a Secret holds, and without a token. */
export const withoutData = (object: unknown): string => JSON.stringify(object, hidden);

const shortened = (text: string): string =>
  text.length <= TEXT_CHARACTERS_MAX
    ? text
    : `${text.slice(0, TEXT_CHARACTERS_MAX)}… (${text.length - TEXT_CHARACTERS_MAX} characters more)`;

const DATA: ReadonlySet<string> = new Set(['data', 'stringData']);
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** Of JSON Patch too: what stands in `value` may be data whatever its path. */
function hidden(key: string, value: unknown): unknown {
  if (key === LAST_APPLIED || key === 'value' || key === 'token') return HIDDEN;
  if (!DATA.has(key) || typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.keys(value).map((name) => [name, HIDDEN]));
}

/** As a POSIX shell has to be told it. */
export const quoted = (word: string): string =>
  /^[A-Za-z0-9_./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
