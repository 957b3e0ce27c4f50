/** A throw-away CA and server certificate for the demo's database on 127.0.0.1, made once and kept. */
import 'reflect-metadata';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as x509 from '@peculiar/x509';

export interface ServerCertificate {
  readonly ca: string;
  readonly chain: string;
  readonly key: string;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const YEARS_MS = 5 * 365 * 24 * 60 * 60_000;

async function pemOfKey(key: CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', key)).toString('base64');
  return `-----BEGIN PRIVATE KEY-----\n${der.match(/.{1,64}/g)!.join('\n')}\n-----END PRIVATE KEY-----\n`;
}

/** PEMs for a server on 127.0.0.1 and localhost; read from `dir` when they are there. */
export async function makeServerCertificate(dir: string, name: string): Promise<ServerCertificate> {
  const files = {
    ca: path.join(dir, 'ca.pem'),
    chain: path.join(dir, 'server.pem'),
    key: path.join(dir, 'server.key'),
  };
  if (Object.values(files).every((file) => existsSync(file))) {
    return {
      ca: readFileSync(files.ca, 'utf8'),
      chain: readFileSync(files.chain, 'utf8'),
      key: readFileSync(files.key, 'utf8'),
    };
  }
  x509.cryptoProvider.set(crypto);
  const notBefore = new Date(Date.now() - 60_000);
  const notAfter = new Date(Date.now() + YEARS_MS);
  const caKeys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=${name} CA`,
    notBefore,
    notAfter,
    signingAlgorithm: ALGORITHM,
    keys: caKeys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const leaf = await x509.X509CertificateGenerator.create({
    serialNumber: '02',
    subject: 'CN=127.0.0.1',
    issuer: ca.subject,
    notBefore,
    notAfter,
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([
        { type: 'ip', value: '127.0.0.1' },
        { type: 'dns', value: 'localhost' },
      ]),
      await x509.AuthorityKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  const made = {
    ca: `${ca.toString('pem')}\n`,
    chain: `${leaf.toString('pem')}\n`,
    key: await pemOfKey(keys.privateKey),
  };
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  for (const [part, file] of Object.entries(files))
    writeFileSync(file, made[part as keyof ServerCertificate], { mode: 0o600 });
  return made;
}
