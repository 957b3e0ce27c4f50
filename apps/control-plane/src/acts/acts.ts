/**
 * The control plane's own acts on the trail: a row in the transaction of the change it tells of, chained later
 * (trail/). A change whose act cannot be written does not happen. Refuses secrets: `detail` must be safe to keep for years.
 */
import type { PrincipalRef } from '@sallyport/model';
import { ambient } from '../db/ambient.ts';
import type { Tx } from '../db/database.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { changeLogOf } from './changes.ts';

export interface ControlActInput {
  readonly projectId: string;
  /** Undefined for what the control plane does by itself (expiry, rotation). */
  readonly principal: PrincipalRef | undefined;
  readonly onBehalfOf?: PrincipalRef | undefined;
  /** `<noun>.<past tense>`: `grant.created`, `recording.viewed`. */
  readonly action: string;
  /** `<noun>/<name or id>`. */
  readonly target: string;
  /** JSON without secrets. */
  readonly detail?: Prisma.InputJsonObject;
  readonly requestId: string;
  readonly sessionId?: string;
}

/** Anything that knows who asks: an http Caller fits. */
export interface Actor {
  readonly projectId: string;
  readonly principal: PrincipalRef | undefined;
  readonly onBehalfOf?: PrincipalRef | undefined;
  readonly requestId: string;
}

/**
 * Writes one act, with what its transaction changed in watched tables since the act before, as `changes`.
 * @param tx the transaction of the change
 */
export async function recordAct(tx: Tx, act: ControlActInput): Promise<void> {
  const changes = changeLogOf(tx);
  const agreed = ambient.getStore()?.agreed;
  const given = {
    ...act.detail,
    ...(agreed === undefined
      ? {}
      : { agreedBy: { id: agreed.by.id, name: agreed.by.name }, changeProposal: agreed.proposalId }),
  };
  const detail = changes?.take(given) ?? given;
  const { id } = await tx.controlAct.create({ select: { id: true }, data: { ...rowOf(act), detail } });
  changes?.acted(id, detail);
}

/** An act as its row. */
export type ActRow = ReturnType<typeof rowOf>;

/** For a statement of its own that writes the act along with the one thing it tells of; nothing watched may change in it. */
export const rowOf = (act: ControlActInput) => ({
  projectId: act.projectId,
  principalId: act.principal?.id ?? null,
  principalName: act.principal?.name ?? null,
  principalKind: act.principal?.kind ?? null,
  onBehalfOfId: act.onBehalfOf?.id ?? null,
  onBehalfOfName: act.onBehalfOf?.name ?? null,
  onBehalfOfKind: act.onBehalfOf?.kind ?? null,
  action: act.action,
  target: act.target,
  detail: act.detail ?? {},
  requestId: act.requestId,
  sessionId: act.sessionId ?? null,
});

/** Acts as a part of a statement that makes their changes, in this order. @param from part that has one row when they happened */
export const insertingActs = (acts: readonly ActRow[], from: Prisma.Sql): Prisma.Sql => Prisma.sql`
  insert into control_acts (project_id, principal_id, principal_name, principal_kind, on_behalf_of_id, on_behalf_of_name,
    on_behalf_of_kind, action, target, detail, request_id, session_id)
  select a.* from ${from}, (values ${Prisma.join(
    acts.map(
      (act) => Prisma.sql`(${act.projectId}::uuid, ${act.principalId}::uuid, ${act.principalName}::text,
        ${act.principalKind}::text, ${act.onBehalfOfId}::uuid, ${act.onBehalfOfName}::text, ${act.onBehalfOfKind}::text,
        ${act.action}::text, ${act.target}::text, ${JSON.stringify(act.detail)}::jsonb, ${act.requestId}::text,
        ${act.sessionId}::uuid)`,
    ),
  )}) as a`;

/** The same, with who asks taken from an actor. */
export const recordActOf = (
  tx: Tx,
  actor: Actor,
  action: string,
  target: string,
  detail: Prisma.InputJsonObject = {},
): Promise<void> =>
  recordAct(tx, {
    projectId: actor.projectId,
    principal: actor.principal,
    onBehalfOf: actor.onBehalfOf,
    action,
    target,
    detail,
    requestId: actor.requestId,
  });

/** Who acts when the control plane does something by itself. */
export const systemActor = (projectId: string, requestId: string): Actor => ({
  projectId,
  principal: undefined,
  requestId,
});
