/**
 * Approved shapes: grants of a person for statements that differ in values alone, bound to one principal, resource, database,
 * role and, where they say so, session. Kept on disk with the answer as it was signed, until they expire.
 * Refuses to judge: what is found is evidence for the gate, which decides with it. Limits: LIMITS.shapeGrantsMax.
 */
import path from 'node:path';
import { GatewayError, LIMITS, listOf, objectOf, parseString } from '@sallyport/core';
import { type Approval, parseApproval, type SessionInfo } from '@sallyport/model';
import { readIfThere, writeWhole } from '../files.ts';

const parseKept = listOf(objectOf({ approval: parseApproval, signed: parseString }), LIMITS.shapeGrantsMax);
export type ShapeGrant = ReturnType<typeof parseKept>[number];

export class Shapes {
  readonly #file: string;
  readonly #byDigest = new Map<string, ShapeGrant[]>();

  /** @throws ParseError when the file is damaged: a grant that cannot be read must not be guessed */
  constructor(dataDir: string) {
    this.#file = path.join(dataDir, 'shapes.json');
    const bytes = readIfThere(this.#file);
    for (const grant of bytes === undefined ? [] : parseKept(JSON.parse(bytes.toString('utf8')), 'shapes'))
      this.#add(grant);
  }

  /** Keeps a granted answer of scope `shape`. The same id again changes nothing. @throws GatewayError `session.limit` */
  keep(approval: Approval, signed: string, nowMs: number): void {
    if (approval.shape === undefined || approval.expiresAt <= nowMs) return;
    const all = this.#all().filter((grant) => grant.approval.expiresAt > nowMs);
    if (all.some((grant) => grant.approval.id === approval.id)) return;
    if (all.length >= LIMITS.shapeGrantsMax) throw new GatewayError('session.limit', { reason: 'shapes' });
    writeWhole(this.#file, JSON.stringify([...all, { approval, signed }]));
    this.#byDigest.clear();
    for (const grant of [...all, { approval, signed }]) this.#add(grant);
  }

  /** The grant that covers a statement of this shape in this session, the one that lasts longest. */
  find(
    digest: string,
    session: SessionInfo,
    nowMs: number,
    isRevoked: (approvalId: string) => boolean,
  ): ShapeGrant | undefined {
    let found: ShapeGrant | undefined;
    for (const grant of this.#byDigest.get(digest) ?? []) {
      const { approval } = grant;
      const { shape } = approval;
      const covers =
        shape !== undefined &&
        approval.granted &&
        approval.expiresAt > nowMs &&
        approval.agentId === session.agentId &&
        approval.resourceId === session.resourceId &&
        approval.principalId === session.principal.id &&
        shape.database === session.database &&
        shape.role === session.role &&
        (shape.sessionId === undefined || shape.sessionId === session.id);
      if (covers && !isRevoked(approval.id) && (found === undefined || approval.expiresAt > found.approval.expiresAt))
        found = grant;
    }
    return found;
  }

  get isEmpty(): boolean {
    return this.#byDigest.size === 0;
  }

  #all(): ShapeGrant[] {
    return [...this.#byDigest.values()].flat();
  }

  #add(grant: ShapeGrant): void {
    const { shape } = grant.approval;
    if (shape === undefined) return;
    const known = this.#byDigest.get(shape.digest);
    if (known === undefined) this.#byDigest.set(shape.digest, [grant]);
    else known.push(grant);
  }
}
