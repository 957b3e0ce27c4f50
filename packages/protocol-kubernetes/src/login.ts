/**
 * Whom the API server takes a session for: by impersonation headers the principal, its groups and the session's id; by the other
 * modes whoever the credential is. Refuses to know credentials. Kubernetes documentation, "User impersonation".
 */
import { GatewayError } from '@sallyport/core';
import type { Header } from '@sallyport/http';
import type { KubernetesTarget, SessionInfo } from '@sallyport/model';

/** Extra keys are header names: what is none is percent-encoded, as the API server undoes it. */
const EXTRA = 'impersonate-extra-';
const SESSION = 'sallyport.dev%2fsession';
const ON_BEHALF_OF = 'sallyport.dev%2fon-behalf-of';

/** @param groups of the principal, as the bundle in force has them */
export function identityHeaders(
  identity: KubernetesTarget['identity'],
  info: SessionInfo,
  groups: readonly string[],
): readonly Header[] {
  if (identity.mode !== 'impersonate') return [];
  const user = identity.user ?? info.principal.name;
  // Names that Kubernetes keeps for itself: a directory of people may not hand them out.
  if (identity.user === undefined && user.startsWith('system:')) throw new GatewayError('kubernetes.impersonation');
  const headers: Header[] = [['impersonate-user', user]];
  // Without one the server adds nothing but `system:authenticated`.
  for (const group of identity.groups ?? groups.filter((name) => !name.startsWith('system:')))
    headers.push(['impersonate-group', group]);
  for (const [key, value] of Object.entries(identity.extra ?? {}))
    headers.push([EXTRA + encodeURIComponent(key.toLowerCase()).toLowerCase(), value]);
  headers.push([EXTRA + SESSION, info.id]);
  if (info.onBehalfOf !== undefined) headers.push([EXTRA + ON_BEHALF_OF, info.onBehalfOf.name]);
  return headers;
}
