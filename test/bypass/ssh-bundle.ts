/** A bundle with one SSH resource, one principal who may do everything on it, and one policy. */
import { type Bundle, EFFECTS } from '@sallyport/model';

export function bundleOf(policy: Bundle['policies'][number], id: string, name: string, principal: string): Bundle {
  return {
    epoch: 1,
    revision: 1,
    projectId: '',
    createdAt: 0,
    resources: [
      {
        id,
        projectId: '',
        name,
        kind: 'ssh',
        labels: {},
        credential: { kind: 'none', username: '' },
        recording: 'statements',
        durability: 'standard',
        approval: 'wait',
        exceeded: 'deny',
        holdInTransactionMsMax: 0,
        offline: { sessionsMs: 0, newSessionsMs: 0 },
      },
    ],
    policies: [{ ...policy, projectId: '', resources: {} }],
    grants: [{ id: 'grant', projectId: '', principal, resource: name, effects: EFFECTS, roles: [], kind: 'standing' }],
    groups: [],
    keys: [],
    revocations: [],
    settings: { trailSealKey: '', trailSealKeyId: '', issuer: '', domain: '', heartbeatMs: 0 },
  };
}
