/** The row of a session of requests that a test sends by itself, as if its opening had been ingested from the trail. */
import { Database } from '../db/database.ts';
import type { TestControlPlane } from './control-plane.ts';

interface Asked {
  readonly sessionId: string;
  readonly projectId: string;
  readonly agentId: string;
  readonly resourceId: string;
  readonly principal: { readonly id: string; readonly name: string; readonly kind: string };
}

export async function addSessionOf(
  plane: TestControlPlane,
  { sessionId, projectId, agentId, resourceId, principal }: Asked,
): Promise<void> {
  await plane.controlPlane.app.get(Database, { strict: false }).client.session.create({
    data: {
      id: sessionId,
      projectId,
      agentId,
      resourceId,
      resourceName: 'payments-db',
      protocol: 'postgres',
      principalId: principal.id,
      principalName: principal.name,
      principalKind: principal.kind,
      tokenId: 'of-a-test',
      clientAddress: '127.0.0.1:1',
      database: 'payments',
      role: '',
      application: '',
      openedAt: new Date(),
    },
  });
}
