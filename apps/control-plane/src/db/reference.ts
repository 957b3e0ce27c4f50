/** Things are addressed by id or by name: a UUID is an id, anything else a name. */
import { parseUuid } from '@sallyport/core';
import type { Tx } from './database.ts';

export const idOrName = (reference: string): { readonly id: string } | { readonly name: string } =>
  parseUuid(reference) === undefined ? { name: reference } : { id: reference.toLowerCase() };

/** For filters of what outlives its resource: an id as it is, a name as it is borne now. @returns none for a name that nothing bears */
export async function resourceIds(tx: Tx, projectId: string, reference: string): Promise<readonly string[]> {
  const meant = idOrName(reference);
  if ('id' in meant) return [meant.id];
  const rows = await tx.resource.findMany({ where: { projectId, ...meant }, select: { id: true } });
  return rows.map(({ id }) => id);
}
