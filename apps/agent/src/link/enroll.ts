/**
 * Becoming an agent: a one-time join token, a control plane whose root has the fingerprint in that token, certificates for
 * our keys; later the renewal of an expired one by proof of its key.
 * Refuses to send the token to anyone who does not chain to that root. Names in certificates come from the agent's record.
 */
import { createHash, type KeyObject, sign, X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { type ChannelCredentials, Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { type EnrollRequest, type EnrollResponse, enrollmentService, type RecoverRequest } from '@sallyport/contract';
import { GatewayError, LIMITS, type Logger } from '@sallyport/core';
import { CAPABILITIES } from '@sallyport/model';
import type { JoinToken } from '../credentials/join-token.ts';
import { certificateRequest } from './csr.ts';
import { type AgentKeys, type Identity, type IdentityFile, keyPem } from './identity.ts';

/** What the control plane's gRPC servers prove to be, whatever address they were dialled by. */
export const CONTROL_PLANE_NAME = 'control-plane.sallyport.internal';
const CALL_MS_MAX = 10_000;

/** Options every channel of ours has. */
export const CHANNEL_OPTIONS = {
  'grpc.ssl_target_name_override': CONTROL_PLANE_NAME,
  'grpc.default_authority': CONTROL_PLANE_NAME,
  'grpc.enable_retries': 0,
  'grpc.keepalive_time_ms': LIMITS.linkAliveMs,
  'grpc.keepalive_timeout_ms': LIMITS.linkSilenceMsMax,
  'grpc.enable_http_proxy': 0,
} as const;

/** Dials once to see the chain; the root in it must be the one whose fingerprint the token carries. @returns PEM of the root */
function fetchRoot(endpoint: string, fingerprint: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const at = endpoint.lastIndexOf(':');
    const socket = tls.connect({
      host: endpoint.slice(0, at).replace(/^\[|\]$/g, ''),
      port: Number(endpoint.slice(at + 1)),
      servername: CONTROL_PLANE_NAME,
      ALPNProtocols: ['h2'],
      // Nothing is believed here: the root is recognized by its digest, and the call that follows verifies against it.
      rejectUnauthorized: false,
    });
    const timer = setTimeout(() => socket.destroy(new Error('timed out')), CALL_MS_MAX);
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      act();
    };
    socket.once('error', (cause) =>
      settle(() => reject(new GatewayError('enroll.failed', { endpoint, reason: 'connect' }, { cause }))),
    );
    socket.once('secureConnect', () => {
      let shown: tls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
      for (let depth = 0; depth < 8 && shown?.raw !== undefined; depth++) {
        const { raw } = shown;
        if (createHash('sha256').update(raw).digest().equals(fingerprint)) {
          settle(() => resolve(new X509Certificate(raw).toString()));
          return;
        }
        shown = shown.issuerCertificate === shown ? undefined : shown.issuerCertificate;
      }
      settle(() => reject(new GatewayError('enroll.failed', { endpoint, reason: 'root' })));
    });
  });
}

function call<Q, S>(
  endpoint: string,
  channel: ChannelCredentials,
  method: { path: string; requestSerialize(q: Q): Buffer; responseDeserialize(b: Buffer): S },
  request: Q,
): Promise<S> {
  const client = new Client(endpoint, channel, CHANNEL_OPTIONS);
  return new Promise<S>((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      (message: Q) => method.requestSerialize(message),
      (bytes: Buffer) => method.responseDeserialize(bytes),
      request,
      { deadline: Date.now() + CALL_MS_MAX },
      (error: ServiceError | null, answer?: S) => {
        client.close();
        if (error !== null || answer === undefined)
          reject(
            new GatewayError(
              'enroll.failed',
              { endpoint, reason: error?.details ?? 'no answer' },
              { cause: error ?? undefined },
            ),
          );
        else resolve(answer);
      },
    );
  });
}

/** Tries each endpoint in turn. @throws the last endpoint's error */
async function anyOf<T>(endpoints: readonly string[], log: Logger, act: (endpoint: string) => Promise<T>): Promise<T> {
  let last: unknown = new GatewayError('enroll.failed', { reason: 'no endpoint' });
  for (const endpoint of endpoints) {
    try {
      return await act(endpoint);
    } catch (error) {
      log.warn('a control plane could not be asked', { endpoint, error });
      last = error;
    }
  }
  throw last;
}

function required(text: string | null | undefined, what: string): string {
  if (text === undefined || text === null || text === '')
    throw new GatewayError('enroll.failed', { reason: `no ${what}` });
  return text;
}

/**
 * Enrols with a join token. Called once in an agent's life.
 * @throws GatewayError `enroll.failed`
 */
export async function enroll(token: JoinToken, keys: AgentKeys, version: string, log: Logger): Promise<IdentityFile> {
  return anyOf(token.endpoints, log, async (endpoint) => {
    const root = await fetchRoot(endpoint, token.rootFingerprint);
    const request: EnrollRequest = {
      joinToken: token.text,
      csr: certificateRequest(keys.identity, 'agent'),
      listenerCsr: certificateRequest(keys.listener, 'listener'),
      sealKey: keys.seal.publicKey,
      version,
      capabilities: [...CAPABILITIES],
    };
    const answer = await call(endpoint, credentials.createSsl(Buffer.from(root)), enrollmentService.enroll, request);
    return {
      agentId: required(answer.agentId, 'agent id'),
      agentName: required(answer.agentName, 'agent name'),
      projectId: required(answer.projectId, 'project'),
      identityKey: keyPem(keys.identity),
      listenerKey: keyPem(keys.listener),
      sealPublicKey: keys.seal.publicKey.toString('base64url'),
      sealPrivateKey: keys.seal.privateKey.toString('base64url'),
      ...certified(answer, root),
      enrollEndpoints: token.endpoints,
    };
  });
}

type Certified = Pick<IdentityFile, 'identityChain' | 'listenerChain' | 'root' | 'endpoints'>;

/** The root stays the one we hold, whatever an answer says: replacing it is an enrolment. */
export const certified = (answer: EnrollResponse, root: string): Certified => ({
  identityChain: required(answer.identityChain, 'identity'),
  listenerChain: required(answer.listenerChain, 'listener certificate'),
  root,
  endpoints: answer.endpoints ?? [],
});

/**
 * Renews after the certificate expired, within the control plane's grace period, by proof of the key it was for.
 * @param nowMs UTC ms @throws GatewayError `enroll.failed`
 */
export function recover(identity: Identity, listenerKey: KeyObject, nowMs: number, log: Logger): Promise<Certified> {
  const csr = certificateRequest(identity.identityKey, 'agent');
  const signedAt = String(nowMs);
  const proof = Buffer.concat([Buffer.from(`sallyport/recover/1${identity.agentId}${signedAt}`), csr]);
  const request: RecoverRequest = {
    agentId: identity.agentId,
    csr,
    listenerCsr: certificateRequest(listenerKey, 'listener'),
    certificate: identity.certificate.raw,
    signedAt,
    signature: sign('sha256', proof, { key: identity.identityKey, dsaEncoding: 'ieee-p1363' }),
  };
  return anyOf(identity.file.enrollEndpoints, log, async (endpoint) => {
    const channel = credentials.createSsl(Buffer.from(identity.file.root));
    return certified(await call(endpoint, channel, enrollmentService.recover, request), identity.file.root);
  });
}
