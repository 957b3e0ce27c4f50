/**
 * The tool kube_get: objects of a cluster by kind, as `kubectl get` finds them: the kind's group and plural come from the API
 * server's own discovery. Refuses to write.
 */
import type { Context } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import type { WayInOptions } from '../proxy/way-in.ts';
import { type ApiAnswer, openAgentHttp } from './agent-http.ts';
import { told } from './call-api.ts';
import type { Held, Outcome } from './held-calls.ts';
import { failed } from './results.ts';

export interface KubeCall {
  readonly resource: string;
  readonly kind: string;
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
  readonly all_namespaces?: boolean | undefined;
  readonly label_selector?: string | undefined;
}

interface Found {
  /** `/api/v1` or `/apis/<group>/<version>`. */
  readonly base: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

interface ResourceList {
  readonly resources?: readonly {
    readonly name: string;
    readonly singularName?: string;
    readonly kind?: string;
    readonly namespaced?: boolean;
    readonly shortNames?: readonly string[];
  }[];
}
interface GroupList {
  readonly groups?: readonly { readonly name: string; readonly preferredVersion?: { readonly groupVersion: string } }[];
}

type Get = (path: string) => Promise<ApiAnswer>;
const NAME = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;

export async function kubeGet(
  context: Context,
  options: WayInOptions,
  call: KubeCall,
  held: (what: Held) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  try {
    for (const [field, value] of [
      ['kind', call.kind],
      ['name', call.name],
      ['namespace', call.namespace],
    ] as const)
      if (value !== undefined && !NAME.test(value)) throw new CliError('usage', `${field} is no name of Kubernetes.`);
    const send = await openAgentHttp(context, call.resource, ['kubernetes'], options);
    const get: Get = (path) => send({ method: 'GET', path, headers: { accept: 'application/json' } }, held, signal);
    const found = await discover(get, call.kind);
    const scope = found.namespaced && call.all_namespaces !== true ? `/namespaces/${call.namespace ?? 'default'}` : '';
    const one = call.name === undefined ? '' : `/${call.name}`;
    const query = call.label_selector === undefined ? '' : `?labelSelector=${encodeURIComponent(call.label_selector)}`;
    const answer = await get(`${found.base}${scope}/${found.plural}${one}${query}`);
    return told(answer.isCut ? answer : { ...answer, text: withoutManagers(answer.text) });
  } catch (error) {
    return failed(error);
  }
}

interface Listed {
  readonly metadata?: { managedFields?: unknown };
  readonly items?: readonly Listed[];
}

/** Who wrote which field is half of an object, and nothing a model asks for: kubectl leaves it out, too. */
export function withoutManagers(text: string): string {
  let read: Listed | null;
  try {
    read = JSON.parse(text) as Listed | null;
  } catch {
    // No object: shown as it is.
    return text;
  }
  for (const { metadata } of [read ?? {}, ...(read?.items ?? [])])
    if (metadata !== undefined) delete metadata.managedFields;
  return JSON.stringify(read);
}

/** @param kind `pods`, `pod`, `po`, `deployments.apps` */
async function discover(get: Get, kind: string): Promise<Found> {
  const [word = '', ...rest] = kind.toLowerCase().split('.');
  const group = rest.join('.');
  if (group === '') {
    const core = await foundIn(get, '/api/v1', word);
    if (core !== undefined) return core;
  }
  const { groups = [] } = await read<GroupList>(get, '/apis');
  for (const { name, preferredVersion } of groups) {
    if (preferredVersion === undefined || (group !== '' && name !== group)) continue;
    const found = await foundIn(get, `/apis/${preferredVersion.groupVersion}`, word);
    if (found !== undefined) return found;
  }
  throw new CliError('notFound', `The cluster has no kind ${kind}, or you may not see it.`);
}

async function foundIn(get: Get, base: string, word: string): Promise<Found | undefined> {
  const { resources = [] } = await read<ResourceList>(get, base);
  const found = resources.find(
    (one) =>
      !one.name.includes('/') &&
      (one.name === word ||
        one.singularName === word ||
        one.kind?.toLowerCase() === word ||
        one.shortNames?.includes(word) === true),
  );
  return found === undefined ? undefined : { base, plural: found.name, namespaced: found.namespaced === true };
}

async function read<T>(get: Get, path: string): Promise<T> {
  const answer = await get(path);
  if (answer.status !== 200) throw new CliError('denied', told(answer).text);
  return JSON.parse(answer.text) as T;
}
