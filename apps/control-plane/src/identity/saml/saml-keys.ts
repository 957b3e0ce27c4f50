/**
 * Our key pairs towards SAML providers, one and its successor each: they sign requests and open encrypted assertions. Made
 * at first use, rolled over by an administrator: the successor is in our metadata at once and signs later, the old one
 * opens what is encrypted to it until its end. Refuses to show a private key to anything but saml/.
 */
import 'reflect-metadata';
import { generateKeyPair, randomBytes, webcrypto } from 'node:crypto';
import { promisify } from 'node:util';
import { Injectable } from '@nestjs/common';
import * as x509 from '@peculiar/x509';
import { GatewayError, type Secret } from '@sallyport/core';
import { type Actor, recordActOf, systemActor } from '../../acts/acts.ts';
import { Database, type Tx } from '../../db/database.ts';
import type { SamlKey } from '../../generated/prisma/client.ts';
import { Envelope } from '../../keys/envelope.ts';
import { SystemClock } from '../../time.ts';
import { ProvidersRepository } from '../provider-settings/providers.repository.ts';

const generate = promisify(generateKeyPair);
const BITS = 3072;
const DAY_MS = 86_400_000;
const VALID_MS = 10 * 365 * DAY_MS;
/** How long the old key opens assertions after the new one signs: providers read metadata once a day or by hand. */
const OVERLAP_MS = 14 * DAY_MS;
const RSA = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } as const;

export interface OurKey {
  readonly certificate: string;
  /** PKCS#8 PEM. */
  readonly privateKey: Secret<Buffer>;
}
export interface OurKeys {
  readonly signing: OurKey;
  /** All that may open an assertion, the newest first; what our metadata shows. */
  readonly all: readonly OurKey[];
}

@Injectable()
export class SamlKeys {
  constructor(
    private readonly database: Database,
    private readonly providers: ProvidersRepository,
    private readonly envelope: Envelope,
    private readonly clock: SystemClock,
  ) {}

  /** @throws GatewayError `request.not_found` for a provider without a row */
  async of(projectId: string, providerName: string): Promise<OurKeys> {
    const provider = await this.providers.find(projectId, providerName);
    if (provider === null) throw new GatewayError('request.not_found', { identityProvider: providerName });
    const rows = await this.#rows(provider.id);
    return rows.length > 0 ? this.#open(rows) : await this.#first(projectId, provider.id, provider.name);
  }

  /** @returns when the new key begins to sign */
  async rotate(actor: Actor, providerId: string, providerName: string, signsAfterMs: number): Promise<Date> {
    const signsFrom = new Date(this.clock.nowMs() + signsAfterMs);
    const made = await makeKey(providerName, this.clock.now());
    await this.database.transaction(async (tx) => {
      await this.#lock(tx, providerId);
      const old = await this.#rows(providerId, tx);
      if (old.some((row) => row.signsFrom > this.clock.now()))
        throw new GatewayError('request.conflict', { reason: 'a new key waits to sign already' });
      const notAfter = new Date(signsFrom.getTime() + OVERLAP_MS);
      for (const row of old) await tx.samlKey.update({ where: { id: row.id }, data: { notAfter } });
      await this.#insert(tx, actor.projectId, providerId, made, signsFrom);
      await recordActOf(tx, actor, 'saml-key.rotated', `identity-provider/${providerName}`, {
        signsFrom: signsFrom.toISOString(),
      });
    });
    return signsFrom;
  }

  async #first(projectId: string, providerId: string, name: string): Promise<OurKeys> {
    const made = await makeKey(name, this.clock.now());
    await this.database.transaction(async (tx) => {
      // Replicas asked at once make one key.
      await this.#lock(tx, providerId);
      if ((await this.#rows(providerId, tx)).length > 0) return;
      await this.#insert(tx, projectId, providerId, made, this.clock.now());
      await recordActOf(tx, systemActor(projectId, 'saml'), 'saml-key.created', `identity-provider/${name}`);
    });
    return this.#open(await this.#rows(providerId));
  }

  async #lock(tx: Tx, providerId: string): Promise<void> {
    await tx.$queryRaw`select 1 from identity_providers where id = ${providerId}::uuid for update`;
  }

  #rows(providerId: string, tx: Tx = this.database.client): Promise<SamlKey[]> {
    const where = { providerId, notAfter: { gt: this.clock.now() } };
    return tx.samlKey.findMany({ where, orderBy: { signsFrom: 'desc' } });
  }

  async #insert(tx: Tx, projectId: string, providerId: string, made: MadeKey, signsFrom: Date): Promise<void> {
    const id = this.clock.id();
    const sealed = this.envelope.seal(made.privateKey, `saml-key/${id}`);
    const { certificate, notAfter } = made;
    await tx.samlKey.create({ data: { id, projectId, providerId, certificate, sealed, signsFrom, notAfter } });
  }

  #open(rows: readonly SamlKey[]): OurKeys {
    const all = rows.map((row) => ({
      certificate: row.certificate,
      privateKey: this.envelope.open(row.sealed, `saml-key/${row.id}`),
    }));
    const signing = rows.findIndex((row) => row.signsFrom <= this.clock.now());
    return { signing: all[Math.max(signing, 0)]!, all };
  }
}

export interface MadeKey {
  readonly certificate: string;
  readonly privateKey: Buffer;
  readonly notAfter: Date;
}

/** Self-signed: providers pin the certificate, nobody checks a chain (SAML Metadata Interoperability Profile §2.5). */
export async function makeKey(name: string, now: Date): Promise<MadeKey> {
  const pair = await generate('rsa', { modulusLength: BITS });
  const notAfter = new Date(now.getTime() + VALID_MS);
  const { subtle } = webcrypto;
  const spki = pair.publicKey.export({ type: 'spki', format: 'der' });
  const pkcs8 = pair.privateKey.export({ type: 'pkcs8', format: 'der' });
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: Buffer.concat([Buffer.of(0x40), randomBytes(15)]).toString('hex'),
      name: `CN=Sallyport SAML ${name}`,
      notBefore: new Date(now.getTime() - DAY_MS),
      notAfter,
      signingAlgorithm: RSA,
      keys: {
        publicKey: await subtle.importKey('spki', spki, RSA, true, ['verify']),
        privateKey: await subtle.importKey('pkcs8', pkcs8, RSA, false, ['sign']),
      } as never,
    },
    webcrypto as never,
  );
  const pem = pair.privateKey.export({ type: 'pkcs8', format: 'pem' });
  return { certificate: certificate.toString('pem'), privateKey: Buffer.from(pem), notAfter };
}
