/**
 * Reads a signed answer: a compact JWS (RFC 7515, ES256) over model Approval, by a key of the bundle made for approvals.
 * Refuses everything else alike; whether it fits the hold is the caller's to say. Pure.
 */
import { type KeyObject, verify } from 'node:crypto';
import { GatewayError, objectOf, oneOf, parseString } from '@sallyport/core';
import { type Approval, parseApproval } from '@sallyport/model';

const parseHeader = objectOf({ alg: oneOf('ES256'), typ: oneOf('sallyport-approval+jwt'), kid: parseString });
const PARTS = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/;
const json = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));

/** @param key public keys for approvals, by kid @throws GatewayError `approval.mismatch` */
export function readAnswer(signed: string, key: (kid: string) => KeyObject | undefined): Approval {
  try {
    const parts = PARTS.exec(signed);
    if (parts === null) throw new Error('not a JWS');
    const [, header, body, signature] = parts as unknown as [string, string, string, string];
    const found = key(parseHeader(json(header), 'header').kid);
    if (found === undefined || found.asymmetricKeyType !== 'ec') throw new Error('unknown key');
    const bytes = Buffer.from(`${header}.${body}`);
    if (!verify('sha256', bytes, { key: found, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'))) {
      throw new Error('wrong signature');
    }
    return parseApproval(json(body), 'approval');
  } catch (cause) {
    throw new GatewayError('approval.mismatch', { reason: 'answer' }, { cause });
  }
}
