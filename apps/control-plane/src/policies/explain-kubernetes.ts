/**
 * A call to a cluster in words: `kubectl delete ns shop`, `exec pods/web -n shop -- env`, `patch deployments.apps/web/scale`
 * with the object below. As the trail shows calls, and as kubectl's simplest lines are. Pure.
 * Refuses a resource in a short form it does not know, and options it cannot read: then nothing is understood.
 */

export interface KubernetesCall {
  readonly verb: string;
  readonly group?: string;
  readonly resource?: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly dry_run?: boolean;
  readonly path?: string;
  readonly object?: unknown;
  readonly command?: string[];
}

/** Plural, with the group behind a dot. Other resources are written so. */
const RESOURCES: Readonly<Record<string, string>> = {
  po: 'pods',
  pod: 'pods',
  ns: 'namespaces',
  namespace: 'namespaces',
  no: 'nodes',
  node: 'nodes',
  svc: 'services',
  service: 'services',
  cm: 'configmaps',
  configmap: 'configmaps',
  secret: 'secrets',
  sa: 'serviceaccounts',
  serviceaccount: 'serviceaccounts',
  pvc: 'persistentvolumeclaims',
  pv: 'persistentvolumes',
  deploy: 'deployments.apps',
  deployment: 'deployments.apps',
  deployments: 'deployments.apps',
  rs: 'replicasets.apps',
  replicasets: 'replicasets.apps',
  sts: 'statefulsets.apps',
  statefulset: 'statefulsets.apps',
  statefulsets: 'statefulsets.apps',
  ds: 'daemonsets.apps',
  daemonsets: 'daemonsets.apps',
  job: 'jobs.batch',
  jobs: 'jobs.batch',
  cj: 'cronjobs.batch',
  cronjobs: 'cronjobs.batch',
  ing: 'ingresses.networking.k8s.io',
  ingresses: 'ingresses.networking.k8s.io',
  crd: 'customresourcedefinitions.apiextensions.k8s.io',
  role: 'roles.rbac.authorization.k8s.io',
  roles: 'roles.rbac.authorization.k8s.io',
  rolebindings: 'rolebindings.rbac.authorization.k8s.io',
  clusterroles: 'clusterroles.rbac.authorization.k8s.io',
  clusterrolebindings: 'clusterrolebindings.rbac.authorization.k8s.io',
};
const VERBS: ReadonlySet<string> = new Set([
  'get',
  'list',
  'watch',
  'create',
  'update',
  'patch',
  'delete',
  'deletecollection',
  'exec',
  'attach',
  'portforward',
]);
/** kubectl's words for what the API calls otherwise. */
const STREAMS: ReadonlySet<string> = new Set(['exec', 'attach', 'portforward']);
const NAME = /^[a-z0-9]([a-z0-9.:-]{0,251}[a-z0-9])?$/;

/** @returns undefined for what is not understood */
export function kubernetesCall(text: string): KubernetesCall | undefined {
  const [line = '', ...below] = text.trim().split(/\r?\n/);
  const raw = /^([A-Z]+) (\/\S*)$/.exec(line);
  if (raw !== null) return { verb: raw[1]!.toLowerCase(), path: raw[2]! };
  const at = line.search(/ -- /);
  const command = at < 0 ? undefined : wordsOf(line.slice(at + 4));
  const words = (at < 0 ? line : line.slice(0, at)).split(/\s+/).filter((word) => word !== '');
  if (words[0] === 'kubectl') words.shift();
  const options = takeOptions(words);
  const [verb = '', first = '', second, ...more] = words;
  if (options === undefined || more.length > 0 || !VERBS.has(verb) || first === '') return undefined;
  const named = STREAMS.has(verb) && !first.includes('/') && second === undefined ? `pods/${first}` : first;
  const [kind = '', ...rest] = named.split('/');
  const [name = '', subresource = ''] = second === undefined ? rest : [second, ...rest];
  const known = RESOURCES[kind] ?? kind;
  const dot = known.indexOf('.');
  const object = below.join('\n').trim() === '' ? undefined : parsed(below.join('\n'));
  if (object === null || (name !== '' && !NAME.test(name)) || !/^[a-z][a-z0-9.-]*$/.test(known)) return undefined;
  return {
    verb: verb === 'get' && name === '' ? 'list' : STREAMS.has(verb) ? 'create' : verb,
    group: dot < 0 ? '' : known.slice(dot + 1),
    resource: dot < 0 ? known : known.slice(0, dot),
    subresource: STREAMS.has(verb) ? verb : subresource,
    namespace: known === 'namespaces' ? name : options.namespace,
    name,
    dry_run: options.dryRun,
    ...(object === undefined ? {} : { object }),
    ...(command === undefined ? {} : { command }),
  };
}

/** Takes what begins with a dash out of the words. */
function takeOptions(words: string[]): { readonly namespace: string; readonly dryRun: boolean } | undefined {
  let namespace = '';
  let dryRun = false;
  for (let at = 0; at < words.length; ) {
    const word = words[at]!;
    if (!word.startsWith('-')) at += 1;
    else if (word === '-n' || word === '--namespace') {
      namespace = words[at + 1] ?? '';
      words.splice(at, 2);
    } else if (word === '--dry-run=server') {
      dryRun = true;
      words.splice(at, 1);
    } else if (word === '-l' || word === '--field-selector' || word === '-c') words.splice(at, 2);
    else if (word === '-it' || word === '-i' || word === '-t') words.splice(at, 1);
    else return undefined;
  }
  return { namespace, dryRun };
}

/** Words of a command, single and double quotes taken off. */
const wordsOf = (text: string): string[] =>
  [...text.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) => word.replace(/'([^']*)'|"([^"]*)"/g, '$1$2'));

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // The caller says that it is not understood.
    return null;
  }
}
