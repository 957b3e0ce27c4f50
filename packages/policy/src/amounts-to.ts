/**
 * What a request amounts to besides what it is called: one for `/a;x=1` is for `/a` to some services, a rule over `delete` of pods
 * speaks of evictions, one over `create` of objects that an apply makes. It is judged as each of them, and the strictest counts.
 * Refuses to know what is stored: what may create is read as if it did. k8s.io/apiserver, AllowCreateOnUpdate of each kind.
 */
import { type HttpFacts, type KubernetesFacts, withoutParameters } from '@sallyport/model';
import { unreadable } from './fact.ts';
import { type HttpFact, httpFact, type KubernetesFact, kubernetesFact } from './http-facts.ts';

/** The request without its path's parameters, with its query parted at semicolons, and with both. */
export function otherRequests(facts: HttpFacts): readonly HttpFact[] {
  const path = withoutParameters(facts.path);
  const { plain, partedQuery } = facts;
  if (path === facts.path && partedQuery === undefined) return NO_REQUESTS;
  const found: HttpFacts[] = [];
  if (path !== facts.path) found.push({ ...facts, path, ...plain });
  if (partedQuery !== undefined) for (const one of [facts, ...found]) found.push({ ...one, query: partedQuery });
  return found.map(httpFact);
}
const NO_REQUESTS: readonly HttpFact[] = [];

/** Kinds of which an update makes the object that is not there yet. */
const MADE_BY_UPDATE: ReadonlySet<string> = new Set([
  'endpoints',
  'events',
  'limitranges',
  'services',
  'events.events.k8s.io',
  'leases.coordination.k8s.io',
  'leasecandidates.coordination.k8s.io',
  'runtimeclasses.node.k8s.io',
  'roles.rbac.authorization.k8s.io',
  'rolebindings.rbac.authorization.k8s.io',
  'clusterroles.rbac.authorization.k8s.io',
  'clusterrolebindings.rbac.authorization.k8s.io',
]);
/** Begun by GET over a WebSocket and by POST over SPDY. */
const STREAMS: ReadonlySet<string> = new Set(['exec', 'attach', 'portforward']);

/** Facts that differ from the call's own in the verb alone, and in what nobody knows of it. */
export function amountsTo(facts: KubernetesFacts): readonly KubernetesFact[] {
  const { verb, group, resource, subresource, nonResource } = facts;
  if (nonResource) return NONE;
  // A path's parameters are let in where it goes on to a program alone.
  if (subresource === 'proxy') {
    const path = withoutParameters(facts.path);
    return path === facts.path ? NONE : [kubernetesFact({ ...facts, path })];
  }
  switch (verb) {
    case 'create':
      // What is sent is how to delete it: nothing of an object.
      return group === '' && resource === 'pods' && subresource === 'eviction'
        ? [kubernetesFact({ ...facts, verb: 'delete' })]
        : NONE;
    case 'deletecollection': {
      const fact = kubernetesFact({ ...facts, verb: 'delete' });
      // One that is asked for by its name is known by it.
      return [facts.name === '' ? unreadable(fact, ['name']) : fact];
    }
    case 'patch':
      return subresource === '' && facts.patchType === 'apply' ? [kubernetesFact({ ...facts, verb: 'create' })] : NONE;
    case 'update':
      return subresource === '' && MADE_BY_UPDATE.has(group === '' ? resource : `${resource}.${group}`)
        ? [kubernetesFact({ ...facts, verb: 'create' })]
        : NONE;
    case 'get':
      return STREAMS.has(subresource) ? [kubernetesFact({ ...facts, verb: 'create' })] : NONE;
    default:
      return NONE;
  }
}
const NONE: readonly KubernetesFact[] = [];
