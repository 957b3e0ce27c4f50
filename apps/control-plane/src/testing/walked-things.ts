/**
 * Things of the other project that no route of REST makes, for the walk over every route (http/walk.test.ts): rows as the
 * features write them. Refuses to judge what a route answers.
 */
import { randomUUID } from 'node:crypto';
import type { Database } from '../db/database.ts';
import type { Answer } from './control-plane.ts';
import type { OpenApi } from './operations.ts';
import { BODIES, CANARY } from './walked-bodies.ts';

export interface Thing {
  readonly id: string;
  /** Where it has one. */
  readonly name?: string;
}
/** A thing of each kind, by the segment before the parameter that names it. */
export type Things = Record<string, Thing>;

/** What makers need of the walk. */
interface World {
  readonly client: () => Database['client'];
  readonly things: Things;
  readonly asBlue: (method: string, path: string, body?: unknown) => Promise<Answer>;
  readonly document: () => OpenApi;
}

/** Things that REST does not make. */
export const makersOf = ({
  client,
  things,
  asBlue,
  document,
}: World): Readonly<Record<string, (projectId: string) => Promise<Thing>>> => ({
  agents: async (projectId) => {
    const data = {
      id: randomUUID(),
      projectId,
      name: `${CANARY}-agent`,
      sealKey: new Uint8Array(32),
      keyHash: new Uint8Array(32),
    };
    return await client().agent.create({ data, select: { id: true, name: true } });
  },
  sessions: async (projectId) => {
    const none = { onBehalfOfId: null, onBehalfOfName: null, database: 'd', role: '', application: CANARY };
    const data = {
      ...none,
      id: randomUUID(),
      projectId,
      agentId: things['agents']!.id,
      resourceId: things['resources']!.id,
      resourceName: things['resources']!.name!,
      protocol: 'postgres',
      principalId: things['principals']!.id,
      principalName: things['principals']!.name!,
      principalKind: 'service',
      tokenId: 't',
      clientAddress: '127.0.0.1:1',
      openedAt: new Date(),
    };
    return await client().session.create({ data, select: { id: true } });
  },
  approvals: async (projectId) => {
    const soon = new Date(Date.now() + 600_000);
    const principal = { id: things['principals']!.id, name: things['principals']!.name!, kind: 'service' };
    const body = {
      principal,
      text: `select ${CANARY}`,
      parameters: [],
      effects: ['write'],
      approval: { groups: [], count: 1, expiresMs: 60_000 },
      recentStatements: [],
    };
    const data = {
      id: `apr-${CANARY}00000001`,
      projectId,
      agentId: things['agents']!.id,
      sessionId: things['sessions']!.id,
      resourceId: things['resources']!.id,
      principalId: principal.id,
      digest: 'd'.repeat(64),
      mode: 'wait',
      rule: 'a/b',
      body,
      groups: [],
      count: 1,
      requestedAt: new Date(),
      expiresAt: soon,
    };
    return await client().approvalRequest.create({ data, select: { id: true } });
  },
  'access-requests': async (projectId) => {
    const who = { principalId: things['principals']!.id, principalName: CANARY, principalKind: 'service' };
    const data = {
      ...who,
      id: randomUUID(),
      projectId,
      policyId: things['access-policies']!.id,
      policyName: CANARY,
      requestedById: who.principalId,
      requestedByName: CANARY,
      requestedByKind: 'service',
      resource: CANARY,
      effects: ['read'],
      durationMs: 60_000n,
      reason: CANARY,
      requestedAt: new Date(),
      expiresAt: new Date(Date.now() + 600_000),
    };
    return await client().accessRequest.create({ data, select: { id: true } });
  },
  links: async (projectId) => {
    const principal = await client().principal.findFirstOrThrow({ where: { projectId, name: `${CANARY}-admin` } });
    const data = {
      id: randomUUID(),
      projectId,
      webhookId: things['webhooks']!.id,
      teamId: 'T0',
      slackUserId: 'U0',
      slackName: CANARY,
      principalId: principal.id,
    };
    return await client().slackLink.create({ data, select: { id: true } });
  },
  'change-proposals': async (projectId) => {
    const data = {
      id: randomUUID(),
      projectId,
      areas: ['policy'],
      method: 'POST',
      path: `/v1/policies?${CANARY}`,
      sealed: new Uint8Array(),
      requires: ['policy:create'],
      changes: [],
      baseline: new Uint8Array(32),
      proposerId: randomUUID(),
      proposerName: `${CANARY}-proposer`,
      permissions: [],
      expiresAt: new Date(Date.now() + 600_000),
    };
    return await client().changeProposal.create({ data, select: { id: true } });
  },
  accounts: async (projectId) => {
    const name = `${CANARY}-person`;
    const { body } = await asBlue('POST', '/v1/principals', { name, kind: 'person' });
    const id = String(body['id']);
    await client().localAccount.create({ data: { id: randomUUID(), projectId, principalId: id } });
    return { id, name };
  },
  passkeys: async (projectId) => {
    const account = await client().localAccount.findFirstOrThrow({ where: { projectId } });
    const key = { credentialId: new Uint8Array([1]), publicKey: new Uint8Array(), counter: 0n, transports: [] };
    const data = { ...key, id: randomUUID(), projectId, accountId: account.id, name: CANARY };
    return await client().passkey.create({ data, select: { id: true } });
  },
  keys: async () => {
    const path = `/v1/principals/${CANARY}-principals/keys`;
    const { body } = await asBlue('POST', path, BODIES['POST /v1/principals/{principal}/keys']!('', document()));
    return { id: String(body['id']) };
  },
  leases: async (projectId) => {
    const data = {
      id: randomUUID(),
      projectId,
      agentId: things['agents']!.id,
      kind: 'ephemeral',
      credentialId: things['credentials']!.id,
      resourceId: things['resources']!.id,
      principalId: things['principals']!.id,
      account: `${CANARY}-account`,
      openedAt: new Date(),
      expiresAt: new Date(Date.now() + 600_000),
    };
    return await client().credentialLease.create({ data, select: { id: true } });
  },
  'approver-delegations': async (projectId) => {
    const data = {
      id: randomUUID(),
      projectId,
      ofId: (await client().principal.findFirstOrThrow({ where: { projectId, kind: 'person' } })).id,
      toId: things['principals']!.id,
      startsAt: new Date(),
      endsAt: new Date(Date.now() + 600_000),
    };
    return await client().approverDelegation.create({ data, select: { id: true } });
  },
  secrets: async () => {
    const { body } = await asBlue('POST', `/v1/principals/${CANARY}-principals/secrets`, {});
    return { id: String(body['id']) };
  },
  tokens: async () => {
    const { body } = await asBlue('POST', `/v1/principals/${CANARY}-admin/tokens`, { name: 't' });
    return { id: String(body['id']) };
  },
});
