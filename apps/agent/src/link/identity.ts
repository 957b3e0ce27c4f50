/**
 * Who this agent is: its keys and certificates, in one file of the data directory (0600).
 * Refuses to talk to anyone; enroll.ts asks for certificates. The key lies beside what it opens: SECURITY.md says so.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import path from 'node:path';
import { listOf, newSealKeyPair, objectOf, parseString, type SealKeyPair } from '@sallyport/core';
import { readIfThere, writeWhole } from '../files.ts';

const parseIdentityFile = objectOf({
  agentId: parseString,
  agentName: parseString,
  projectId: parseString,
  /** PEM PKCS #8, P-256. */
  identityKey: parseString,
  listenerKey: parseString,
  /** Base64url of the raw X25519 pair. */
  sealPublicKey: parseString,
  sealPrivateKey: parseString,
  /** PEM, leaf first. */
  identityChain: parseString,
  listenerChain: parseString,
  root: parseString,
  /** `host:port` of links, and of enrolment for recovery. */
  endpoints: listOf(parseString, 100),
  enrollEndpoints: listOf(parseString, 100),
});
export type IdentityFile = ReturnType<typeof parseIdentityFile>;

/** Fresh keys of an agent that has not enrolled yet. */
export interface AgentKeys {
  readonly identity: KeyObject;
  readonly listener: KeyObject;
  readonly seal: SealKeyPair;
}

const newSigningKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

export const newAgentKeys = (): AgentKeys => ({
  identity: newSigningKey(),
  listener: newSigningKey(),
  seal: newSealKeyPair(),
});

export const keyPem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }) as string;

export class Identity {
  readonly file: IdentityFile;
  readonly identityKey: KeyObject;
  readonly sealKeys: SealKeyPair;
  readonly root: X509Certificate;
  /** The leaf that proves the agent on the link and signs its checkpoints. */
  readonly certificate: X509Certificate;

  constructor(file: IdentityFile) {
    this.file = file;
    this.identityKey = createPrivateKey(file.identityKey);
    this.sealKeys = {
      publicKey: Buffer.from(file.sealPublicKey, 'base64url'),
      privateKey: Buffer.from(file.sealPrivateKey, 'base64url'),
    };
    this.root = new X509Certificate(file.root);
    this.certificate = new X509Certificate(file.identityChain);
  }

  get agentId(): string {
    return this.file.agentId;
  }

  get projectId(): string {
    return this.file.projectId;
  }

  /** When two thirds of the certificate's life are over, UTC ms: the time to renew. */
  get renewAtMs(): number {
    const from = this.certificate.validFromDate.getTime();
    const to = this.certificate.validToDate.getTime();
    return from + ((to - from) * 2) / 3;
  }

  get expiresAtMs(): number {
    return this.certificate.validToDate.getTime();
  }
}

const fileOf = (dataDir: string): string => path.join(dataDir, 'identity.json');

/** The stored identity; undefined before enrolment. @throws ParseError when the file is damaged */
export function loadIdentity(dataDir: string): Identity | undefined {
  const bytes = readIfThere(fileOf(dataDir));
  return bytes === undefined
    ? undefined
    : new Identity(parseIdentityFile(JSON.parse(bytes.toString('utf8')), 'identity'));
}

/** Keeps it, whole or not at all. */
export function storeIdentity(dataDir: string, file: IdentityFile): Identity {
  writeWhole(fileOf(dataDir), `${JSON.stringify(file, undefined, 2)}\n`);
  return new Identity(file);
}
