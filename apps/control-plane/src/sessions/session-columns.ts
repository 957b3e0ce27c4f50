/**
 * Who a session is, as its row has it: the same by a live table's report and by the trail. Refuses to say what became of it.
 */
import type { SessionInfo, SessionReport } from '@sallyport/model';

export const sessionColumns = (session: SessionInfo | SessionReport) => ({
  resourceId: session.resourceId,
  resourceName: session.resourceName,
  protocol: session.protocol,
  principalId: session.principal.id,
  principalName: session.principal.name,
  principalKind: session.principal.kind,
  onBehalfOfId: session.onBehalfOf?.id ?? null,
  onBehalfOfName: session.onBehalfOf?.name ?? null,
  tokenId: session.tokenId,
  clientAddress: session.clientAddress,
  database: session.database,
  role: session.role,
  application: session.application,
  openedAt: new Date(session.openedAt),
});
