/** The tables of keys and issued certificates. The only Prisma in this folder. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../db/database.ts';
import type { IssuedCertificate, Prisma, SigningKey } from '../generated/prisma/client.ts';

@Injectable()
export class KeysRepository {
  readonly #database: Database;
  constructor(database: Database) {
    this.#database = database;
  }

  /** Every key ever of the installation, oldest first. */
  all(tx: Tx = this.#database.client): Promise<SigningKey[]> {
    return tx.signingKey.findMany({ orderBy: [{ notBefore: 'asc' }, { id: 'asc' }] });
  }

  async insert(tx: Tx, data: Prisma.SigningKeyUncheckedCreateInput): Promise<void> {
    await tx.signingKey.create({ data });
  }

  async stopSigning(tx: Tx, id: string, signsUntil: Date, notAfter: Date): Promise<void> {
    await tx.signingKey.update({ where: { id }, data: { signsUntil, notAfter } });
  }

  /** The root of the default project, held until the transaction ends. */
  async lockRoot(tx: Tx): Promise<SigningKey | null> {
    await tx.$executeRaw`select pg_advisory_xact_lock(7070, 1)`;
    return await tx.signingKey.findFirst({
      where: { purpose: 'root', retiredAt: null },
      orderBy: { notBefore: 'desc' },
    });
  }

  /** @param sealed empty = the private key is elsewhere */
  async reseal(tx: Tx, id: string, sealed: Uint8Array<ArrayBuffer>): Promise<void> {
    await tx.signingKey.update({ where: { id }, data: { sealed } });
  }

  async recordIssued(tx: Tx, data: Prisma.IssuedCertificateUncheckedCreateInput): Promise<void> {
    await tx.issuedCertificate.create({ data });
  }

  issued(projectId: string, purpose: string): Promise<IssuedCertificate[]> {
    return this.#database.client.issuedCertificate.findMany({
      where: { projectId, purpose },
      orderBy: { createdAt: 'asc' },
    });
  }
}
