/**
 * Whether two principals are one person under two accounts: joined by identities at providers, in this project or through
 * another one, or by the same address. Refuses to be sure that two are not; it errs towards "the same".
 */
import type { Tx } from '../db/database.ts';

const STEPS_MAX = 20;

/** @returns true for a principal and itself */
export async function isSamePerson(tx: Tx, a: string, b: string): Promise<boolean> {
  if (a === b) return true;
  const reached = await accountsOf(tx, a);
  if (reached.has(b)) return true;
  const rows = await tx.principal.findMany({
    where: { id: { in: [...reached, b] }, email: { not: null } },
    select: { id: true, email: true },
  });
  const address = rows.find((row) => row.id === b)?.email?.toLowerCase();
  return address !== undefined && rows.some((row) => row.id !== b && row.email?.toLowerCase() === address);
}

/** Principals, in any project, that share an identity with this one, directly or through others. */
async function accountsOf(tx: Tx, id: string): Promise<ReadonlySet<string>> {
  const reached = new Set([id]);
  let fresh = [id];
  for (let step = 0; step < STEPS_MAX && fresh.length > 0; step++) {
    const own = await tx.identity.findMany({
      where: { principalId: { in: fresh } },
      select: { provider: true, subject: true },
    });
    if (own.length === 0) break;
    const rows = await tx.identity.findMany({
      where: { OR: own.map(({ provider, subject }) => ({ provider, subject })) },
      select: { principalId: true },
    });
    fresh = [...new Set(rows.map((row) => row.principalId))].filter((one) => !reached.has(one));
    for (const one of fresh) reached.add(one);
  }
  return reached;
}
