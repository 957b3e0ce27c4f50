/**
 * Issues certificates to agents and to our own servers. Names come from records, never from a request.
 * Refuses names of ours (`*.sallyport.internal`) for listeners, since agents know the control plane by them.
 */
import { createHash, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import { Injectable } from '@nestjs/common';
import {
  agentUri,
  controlPlaneUri,
  EKU_AGENT_IDENTITY,
  EKU_AGENT_TRAIL,
  EKU_CONTROL_IDENTITY,
  GatewayError,
} from '@sallyport/core';
import type { Tx } from '../db/database.ts';
import { SystemClock } from '../time.ts';
import { importPublic, makeCertificate, requestKey, type SubjectNames } from './certificates.ts';
import { KeysRepository } from './keys.repository.ts';
import { Keys } from './keys.ts';
import {
  AGENT_CERTIFICATE_MS,
  BACKDATE_MS,
  type CaPurpose,
  CLIENT_AUTH,
  INTERCEPTION_CERTIFICATE_MS,
  LISTENER_CERTIFICATE_MS,
  SERVER_AUTH,
  SERVER_CERTIFICATE_MS,
} from './purposes.ts';

/** The name agents expect the control plane's gRPC servers to prove. */
export const CONTROL_PLANE_NAME = 'control-plane.sallyport.internal';

/** An agent's record, as far as its certificates tell it. */
export interface CertifiedAgent {
  readonly id: string;
  readonly projectId: string;
  readonly name: string;
  /** DNS names and addresses of its listeners. */
  readonly names: readonly string[];
}

export interface Issued {
  /** PEM, leaf first, without the root. */
  readonly chain: string;
  readonly notAfter: Date;
  /** SHA-256 of the SubjectPublicKeyInfo. */
  readonly keyHash: Uint8Array<ArrayBuffer>;
}

/** An issuer's names are those that stand below it. */
interface OnlyHosts {
  readonly onlyHosts: readonly string[];
}

/** The SPIFFE id of an agent: `spiffe://sallyport/<project>/agent/<agent>`. */
export const agentSpiffeId = (agent: { readonly projectId: string; readonly id: string }): string =>
  `spiffe://sallyport/${agent.projectId}/agent/${agent.id}`;

/** True for a DNS name or IP address a listener may carry. */
export function isListenerName(name: string): boolean {
  if (isIP(name) !== 0) return true;
  if (/(^|\.)sallyport\.internal$/i.test(name) || name.length > 253) return false;
  return /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(name);
}

@Injectable()
export class CertificateAuthority {
  constructor(
    private readonly keys: Keys,
    private readonly repository: KeysRepository,
    private readonly clock: SystemClock,
  ) {}

  /** PEM of the root. */
  root(): Promise<string> {
    return this.keys.root();
  }

  /**
   * An agent's identity for a day: proves it on the link and signs its checkpoints.
   * @param csr PKCS #10, DER; only its key is used
   * @throws GatewayError `enroll.failed` for a bad request
   */
  issueAgentIdentity(tx: Tx, agent: CertifiedAgent, csr: Uint8Array): Promise<Issued> {
    const names = { uri: [agentSpiffeId(agent), agentUri(agent.id)] };
    return this.#issueTo(
      tx,
      agent,
      csr,
      'agent_identity',
      'agent_identity_ca',
      AGENT_CERTIFICATE_MS,
      [CLIENT_AUTH, EKU_AGENT_IDENTITY, EKU_AGENT_TRAIL],
      names,
    );
  }

  /** A certificate for an agent's listeners, with the names of its record; outlives the offline budget. */
  issueListener(tx: Tx, agent: CertifiedAgent, csr: Uint8Array): Promise<Issued> {
    const wrong = agent.names.find((name) => !isListenerName(name));
    if (wrong !== undefined) throw new GatewayError('enroll.failed', { reason: 'name', name: wrong });
    const names = {
      dns: agent.names.filter((name) => isIP(name) === 0),
      ip: agent.names.filter((name) => isIP(name) !== 0),
    };
    return this.#issueTo(tx, agent, csr, 'listener', 'listener_ca', LISTENER_CERTIFICATE_MS, [SERVER_AUTH], names);
  }

  /**
   * An issuer of an agent's own, for the hosts that its forward proxy ends TLS for and no others.
   * @param hosts canonical, at least one
   * @returns the chain with the issuer above, which is what programs trust
   */
  issueInterception(tx: Tx, agent: CertifiedAgent, csr: Uint8Array, hosts: readonly string[]): Promise<Issued> {
    return this.#issueTo(
      tx,
      agent,
      csr,
      'interception',
      'interception_ca',
      INTERCEPTION_CERTIFICATE_MS,
      [SERVER_AUTH],
      { onlyHosts: hosts },
    );
  }

  /** PEM of the issuer above the agents' own. */
  async interceptionRoot(): Promise<string> {
    return (await this.keys.authority('interception_ca')).chain;
  }

  /**
   * A fresh key and certificate for one of our own gRPC servers. Made at each start.
   * @returns PEM chain (leaf first, without the root) and PEM key
   */
  async serverCertificate(
    name: string = CONTROL_PLANE_NAME,
  ): Promise<{ readonly chain: string; readonly key: string; readonly root: string }> {
    const pair = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
    const names = { dns: [name], uri: [controlPlaneUri(this.keys.controlPlaneId)] };
    const { chain } = await this.#make(
      'control_ca',
      pair.publicKey,
      `CN=${name}`,
      SERVER_CERTIFICATE_MS,
      [SERVER_AUTH, EKU_CONTROL_IDENTITY],
      names,
    );
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', pair.privateKey)).toString('base64');
    const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{64}/g, '$&\n').trim()}\n-----END PRIVATE KEY-----\n`;
    return { chain, key, root: await this.keys.root() };
  }

  async #issueTo(
    tx: Tx,
    agent: CertifiedAgent,
    csr: Uint8Array,
    purpose: 'agent_identity' | 'listener' | 'interception',
    authority: CaPurpose,
    lifeMs: number,
    usages: readonly string[],
    names: SubjectNames | OnlyHosts,
  ): Promise<Issued> {
    const publicKey = await requestKey(csr);
    const { leaf, chain, notBefore, notAfter } = await this.#make(
      authority,
      publicKey,
      `CN=${agent.name}, O=Sallyport`,
      lifeMs,
      usages,
      names,
    );
    await this.repository.recordIssued(tx, {
      id: this.clock.id(),
      projectId: agent.projectId,
      purpose,
      agentId: agent.id,
      certificate: leaf,
      notBefore,
      notAfter,
    });
    const spki = await webcrypto.subtle.exportKey('spki', publicKey);
    return { chain, notAfter, keyHash: Uint8Array.from(createHash('sha256').update(new Uint8Array(spki)).digest()) };
  }

  async #make(
    authority: CaPurpose,
    publicKey: webcrypto.CryptoKey,
    subject: string,
    lifeMs: number,
    usages: readonly string[],
    names: SubjectNames | OnlyHosts,
  ) {
    const ca = await this.keys.authority(authority);
    const notBefore = new Date(this.clock.nowMs() - BACKDATE_MS);
    const notAfter = new Date(this.clock.nowMs() + lifeMs);
    const issuer = {
      subject: ca.subject,
      publicKey: await importPublic(ca.publicJwk),
      sign: (bytes: Uint8Array) => ca.sign(bytes),
    };
    const kind = 'onlyHosts' in names ? { onlyHosts: names.onlyHosts, pathLength: 0 } : { names };
    const leaf = await makeCertificate({ subject, publicKey, notBefore, notAfter, usages, issuer, ...kind });
    return { leaf, chain: `${leaf.trim()}\n${ca.chain}`, notBefore, notAfter };
  }
}
