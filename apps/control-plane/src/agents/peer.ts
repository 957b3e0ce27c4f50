/**
 * Who is at the other end of the link, read from its client certificate and nothing else. Refuses a certificate that was
 * made for another purpose, even when our root stands above it.
 */
import type { PeerCertificate } from 'node:tls';
import { EKU_AGENT_IDENTITY, GatewayError } from '@sallyport/core';

const SPIFFE = /^URI:spiffe:\/\/sallyport\/([0-9a-f-]{36})\/agent\/([0-9a-f-]{36})$/;

export interface Peer {
  readonly projectId: string;
  readonly agentId: string;
  /** UTC ms; the link ends then. */
  readonly notAfterMs: number;
}

/** @throws GatewayError `auth.failed` */
export function peerOf(certificate: Partial<PeerCertificate> | undefined): Peer {
  const usages: readonly string[] = certificate?.ext_key_usage ?? [];
  if (!usages.includes(EKU_AGENT_IDENTITY)) throw new GatewayError('auth.failed', { reason: 'purpose' });
  const names = (certificate?.subjectaltname ?? '').split(/,\s*/);
  const found = names.map((name) => SPIFFE.exec(name)).filter((match) => match !== null);
  const match = found[0];
  if (match === undefined || found.length !== 1) throw new GatewayError('auth.failed', { reason: 'name' });
  return { projectId: match[1]!, agentId: match[2]!, notAfterMs: new Date(certificate?.valid_to ?? 0).getTime() };
}
