/**
 * The agent's own issuer for its forward proxy: the key is made here and never leaves, the control plane certifies it for the
 * hosts that resources register, and leaves are made on the spot, so that it works while the control plane is away.
 * Refuses hosts that are not registered now, whatever its certificate would allow. ADR 0032.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import path from 'node:path';
import tls from 'node:tls';
import type { AgentMessage, ControlMessage } from '@sallyport/contract';
import { LIMITS, type Logger, listOf, objectOf, parseString } from '@sallyport/core';
import { readIfThere, writeWhole } from '../files.ts';
import { certificateRequest } from '../link/csr.ts';
import { makeLeaf } from './leaf.ts';

/** A certificate is renewed when less than this part of its life is left. */
const RENEW_SHARE = 1 / 3;
const ASK_AGAIN_MS = 60_000;
const LEAF_MS = 7 * 86_400_000;
const LEAF_LEFT_MS = 86_400_000;

const parseKept = objectOf({ chain: parseString, hosts: listOf(parseString, LIMITS.interceptedHostsMax) });
type Kept = ReturnType<typeof parseKept>;

interface Certified extends Kept {
  /** PEM of the issuing certificate alone. */
  readonly issuer: string;
  readonly from: number;
  readonly until: number;
}

interface Leaf {
  readonly context: tls.SecureContext;
  readonly until: number;
}

export interface InterceptionPorts {
  readonly dataDir: string;
  /** Hosts that the resources of the bundle in force register, sorted. */
  hosts(): readonly string[];
  send(message: AgentMessage): boolean;
  nowMs(): number;
  readonly log: Logger;
}

export class InterceptionIssuer {
  readonly #ports: InterceptionPorts;
  readonly #key: KeyObject;
  readonly #leafKey: KeyObject;
  readonly #leafKeyPem: string;
  readonly #leaves = new Map<string, Leaf>();
  #certified: Certified | undefined;
  #asked = Number.NEGATIVE_INFINITY;
  #askedFor = '';

  /** Makes the key when there is none. */
  constructor(ports: InterceptionPorts) {
    this.#ports = ports;
    const file = path.join(ports.dataDir, 'interception_key.pem');
    let pem = readIfThere(file)?.toString('utf8');
    if (pem === undefined) {
      pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
        type: 'pkcs8',
        format: 'pem',
      }) as string;
      writeWhole(file, pem);
    }
    this.#key = createPrivateKey(pem);
    this.#leafKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    this.#leafKeyPem = this.#leafKey.export({ type: 'pkcs8', format: 'pem' }) as string;
    const kept = readIfThere(this.#file);
    if (kept !== undefined) this.#restore(kept.toString('utf8'));
  }

  get #file(): string {
    return path.join(this.#ports.dataDir, 'interception.json');
  }

  /** What was asked on an earlier link may never be answered. */
  linkOpened(): void {
    this.#asked = Number.NEGATIVE_INFINITY;
    this.tick();
  }

  /** Called every second, and when a bundle was applied. */
  tick(): void {
    const now = this.#ports.nowMs();
    const hosts = this.#ports.hosts();
    const wanted = hosts.join(' ');
    const has = this.#certified;
    const good =
      wanted === '' ||
      (has !== undefined && has.hosts.join(' ') === wanted && has.until - now > (has.until - has.from) * RENEW_SHARE);
    if (good || (wanted === this.#askedFor && now - this.#asked < ASK_AGAIN_MS)) return;
    const csr = certificateRequest(this.#key, 'interception');
    if (!this.#ports.send({ body: 'interceptionKey', interceptionKey: { csr } })) return;
    this.#asked = now;
    this.#askedFor = wanted;
  }

  certified({ chain, hosts, code }: NonNullable<ControlMessage['interceptionCertificate']>): void {
    if (code != null && code !== '') {
      this.#ports.log.warn('the control plane certifies no issuer for the forward proxy', { code });
      return;
    }
    if (chain == null || chain === '') return;
    if (this.#take({ chain, hosts: hosts ?? [] }))
      writeWhole(this.#file, `${JSON.stringify({ chain, hosts: hosts ?? [] })}\n`);
    else this.#ports.log.error('a certificate for the forward proxy’s issuer was refused', {});
  }

  /** What a TLS server for that host shows; undefined for a host that is not registered, or not certified yet. Cheap after the first time. */
  contextFor(host: string): tls.SecureContext | undefined {
    const now = this.#ports.nowMs();
    const certified = this.#certified;
    if (certified === undefined || certified.until <= now) return undefined;
    if (!certified.hosts.includes(host) || !this.#ports.hosts().includes(host)) return undefined;
    const known = this.#leaves.get(host);
    this.#leaves.delete(host);
    const leaf = known !== undefined && known.until - now > LEAF_LEFT_MS ? known : this.#make(host, certified, now);
    this.#leaves.set(host, leaf);
    if (this.#leaves.size > LIMITS.interceptionLeavesMax) this.#leaves.delete(this.#leaves.keys().next().value!);
    return leaf.context;
  }

  #make(host: string, { issuer, until }: Certified, now: number): Leaf {
    const notAfter = Math.min(now + LEAF_MS, until);
    const leaf = makeLeaf(host, { certificate: issuer, key: this.#key }, this.#leafKey, now, notAfter);
    const context = tls.createSecureContext({ cert: `${leaf}${issuer}`, key: this.#leafKeyPem, minVersion: 'TLSv1.2' });
    return { context, until: notAfter === until ? Number.POSITIVE_INFINITY : notAfter };
  }

  #restore(text: string): void {
    try {
      if (!this.#take(parseKept(JSON.parse(text), 'interception'))) throw new Error('it is of another key');
    } catch (error) {
      this.#ports.log.warn('what was kept of the forward proxy’s issuer is not used', { error });
    }
  }

  /** @returns false when it is not over this agent's key, or no issuer */
  #take(kept: Kept): boolean {
    const issuer = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----\n?/.exec(kept.chain)?.[0];
    if (issuer === undefined) return false;
    const certificate = new X509Certificate(issuer);
    if (!certificate.ca || !certificate.publicKey.equals(createPublicKey(this.#key))) return false;
    this.#certified = {
      ...kept,
      issuer: `${issuer.trim()}\n`,
      from: certificate.validFromDate.getTime(),
      until: certificate.validToDate.getTime(),
    };
    this.#leaves.clear();
    return true;
  }
}
