/**
 * The agent's own SSH host key: made once, kept beside its identity, certified by the control plane over the link for the
 * names of its record. Without a certificate (no link yet) the plain key stands alone, and clients that know the CA wait.
 * Refuses a certificate that is not over this key.
 */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import path from 'node:path';
import type { AgentMessage } from '@sallyport/contract';
import type { Logger } from '@sallyport/core';
import type { HostKey } from '@sallyport/protocol-ssh';
import { parseCertificate, privateKeyOf } from '@sallyport/ssh-certificates';
import { readIfThere, writeWhole } from '../files.ts';

/** A certificate is renewed when less than this part of its life is left. */
const RENEW_SHARE = 1 / 3;
const ASK_AGAIN_MS = 60_000;

export interface SshHostKeyPorts {
  readonly dataDir: string;
  send(message: AgentMessage): boolean;
  nowMs(): number;
  readonly log: Logger;
}

export class SshHostKey {
  readonly #ports: SshHostKeyPorts;
  readonly #key: HostKey['key'];
  #certificate: Buffer | undefined;
  #from = 0;
  #until = 0;
  #asked = Number.NEGATIVE_INFINITY;

  /** Makes the key when there is none. */
  constructor(ports: SshHostKeyPorts) {
    this.#ports = ports;
    const file = path.join(ports.dataDir, 'ssh_host_key.pem');
    let pem = readIfThere(file)?.toString('utf8');
    if (pem === undefined) {
      pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
      writeWhole(file, pem);
    }
    this.#key = privateKeyOf(createPrivateKey(pem));
    const kept = readIfThere(this.#certificateFile);
    if (kept !== undefined) this.#take(kept);
  }

  get #certificateFile(): string {
    return path.join(this.#ports.dataDir, 'ssh_host_key-cert.bin');
  }

  /** For one connection. */
  get current(): HostKey {
    return { key: this.#key, certificate: this.#ports.nowMs() < this.#until ? this.#certificate : undefined };
  }

  /** What was asked on an earlier link may never be answered. */
  linkOpened(): void {
    this.#asked = Number.NEGATIVE_INFINITY;
    this.tick();
  }

  /** Called every second. */
  tick(): void {
    const now = this.#ports.nowMs();
    const left = this.#until - now;
    if (left > (this.#until - this.#from) * RENEW_SHARE && left > 0) return;
    if (now - this.#asked < ASK_AGAIN_MS) return;
    if (this.#ports.send({ body: 'sshHostKey', sshHostKey: { publicKey: this.#key.blob } })) this.#asked = now;
  }

  certified(certificate: Uint8Array): void {
    if (this.#take(Buffer.from(certificate))) writeWhole(this.#certificateFile, certificate);
    else this.#ports.log.error('a certificate for the SSH host key was refused', {});
  }

  #take(blob: Buffer): boolean {
    try {
      const certificate = parseCertificate(blob);
      if (certificate.kind !== 'host' || !certificate.publicKey.blob.equals(this.#key.blob)) return false;
      this.#certificate = blob;
      this.#from = Number(certificate.validAfter) * 1000;
      this.#until = Number(certificate.validBefore) * 1000;
      return true;
    } catch (error) {
      this.#ports.log.warn('a certificate for the SSH host key could not be read', { error });
      return false;
    }
  }
}
