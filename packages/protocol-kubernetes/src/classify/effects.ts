/**
 * What a request to an API server does, in the effects grants are given in. Refuses to know objects: who asks for a privileged
 * pod asks to write, and rules say the rest. docs/reference/http-rules.md, Effects.
 */
import type { Effect } from '@sallyport/model';
import { isAboutServer, type RequestInfo } from '../messages.ts';

const READ: readonly Effect[] = ['read'];
const WRITE: readonly Effect[] = ['write'];
const EXEC: readonly Effect[] = ['exec'];
const ADMIN: readonly Effect[] = ['admin'];
const FORWARD: readonly Effect[] = ['forward'];

/** Groups whose objects say who may do what, or whose code the API server runs. */
const ADMIN_GROUPS: ReadonlySet<string> = new Set([
  'rbac.authorization.k8s.io',
  'admissionregistration.k8s.io',
  'apiextensions.k8s.io',
  'apiregistration.k8s.io',
  'certificates.k8s.io',
  'authentication.k8s.io',
  'flowcontrol.apiserver.k8s.io',
]);
/** Questions that are asked by POST and change nothing. */
const QUESTIONS: ReadonlySet<string> = new Set([
  'selfsubjectaccessreviews',
  'selfsubjectrulesreviews',
  'selfsubjectreviews',
  'subjectaccessreviews',
  'localsubjectaccessreviews',
]);
const READING: ReadonlySet<string> = new Set(['get', 'list', 'watch']);

export const isSecret = ({ group, resource }: RequestInfo): boolean => group === '' && resource === 'secrets';

/** Somebody's token, to ask whose it is. */
const isTokenReview = ({ group, resource }: RequestInfo): boolean =>
  group === 'authentication.k8s.io' && resource === 'tokenreviews';

/** What is written there is for the server alone, whatever the policy says. */
export const writesSecrets = (info: RequestInfo): boolean => isSecret(info) || isTokenReview(info);

/** Its answer is a token: one of a service account (TokenRequest), good for an hour and more, or the one that was asked about. */
export const answersToken = (info: RequestInfo): boolean => {
  const { group, resource, subresource } = info;
  return (group === '' && resource === 'serviceaccounts' && subresource === 'token') || isTokenReview(info);
};

/** About who may do what, or who may be whom. */
export const isRbac = ({ group, resource, subresource }: RequestInfo): boolean =>
  group === 'rbac.authorization.k8s.io' || (group === '' && resource === 'serviceaccounts' && subresource === 'token');

/** Asks who one is, or what one may do. */
const isQuestion = ({ verb, group, resource }: RequestInfo): boolean =>
  verb === 'create' &&
  QUESTIONS.has(resource) &&
  (group === 'authorization.k8s.io' || group === 'authentication.k8s.io');

export function effectsOf(info: RequestInfo, path: string): readonly Effect[] {
  const { verb, group, subresource } = info;
  if (info.nonResource) return (verb === 'get' || verb === 'head') && isAboutServer(path) ? READ : ADMIN;
  switch (subresource) {
    case 'exec':
    case 'attach':
    case 'proxy':
      return EXEC;
    case 'portforward':
      return FORWARD;
    case 'ephemeralcontainers':
      return READING.has(verb) ? READ : EXEC;
    case 'token':
      return ADMIN;
  }
  if (READING.has(verb)) return READ;
  if (isQuestion(info)) return READ;
  return ADMIN_GROUPS.has(group) ? ADMIN : WRITE;
}
