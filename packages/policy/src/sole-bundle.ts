/**
 * A bundle of one resource and a grant of one principal on it: what the cases of a table of rules are judged by, and tests.
 * Refuses to know who else there is.
 */
import { type Bundle, EFFECTS, type Effect, type Policy, type SessionInfo } from '@sallyport/model';

export interface SoleBundle {
  /** Of the resource. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Of the grant; all where none are named. */
  readonly effects?: readonly Effect[] | undefined;
  /** Which the principal is in. */
  readonly groups?: readonly string[] | undefined;
}

export function soleBundle(
  session: Pick<SessionInfo, 'resourceId' | 'resourceName' | 'protocol' | 'principal'>,
  policies: readonly Policy[],
  { labels = {}, effects = EFFECTS, groups = [] }: SoleBundle = {},
): Bundle {
  return {
    epoch: 1,
    revision: 1,
    projectId: '',
    createdAt: 0,
    resources: [
      {
        id: session.resourceId,
        projectId: '',
        name: session.resourceName,
        kind: session.protocol,
        labels,
        credential: { kind: 'none', username: '' },
        recording: 'statements',
        durability: 'standard',
        approval: 'wait',
        exceeded: 'deny',
        holdInTransactionMsMax: 0,
        offline: { sessionsMs: 0, newSessionsMs: 0 },
      },
    ],
    policies: policies.map((policy) => ({ ...policy, projectId: '' })),
    grants: [
      {
        id: 'grant',
        projectId: '',
        principal: session.principal.id,
        resource: session.resourceName,
        effects,
        roles: [],
        kind: 'standing',
      },
    ],
    groups: groups.map((name) => ({ name, projectId: '', members: [session.principal.id] })),
    keys: [],
    revocations: [],
    settings: { trailSealKey: '', trailSealKeyId: '', issuer: '', domain: '', heartbeatMs: 0 },
  };
}
