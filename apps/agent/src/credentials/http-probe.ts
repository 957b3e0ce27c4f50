/**
 * Asks a service one GET with a resource's credential, to tell whether it is accepted: the connection is resolved, checked and
 * verified as a session's is. Refuses to read the answer beyond its status, and to follow a redirect.
 */
import http from 'node:http';
import https from 'node:https';
import { GatewayError, LIMITS } from '@sallyport/core';
import type { Resource } from '@sallyport/model';
import type { UpstreamCredential } from '@sallyport/protocol-kit';
import { upstreamAddress, upstreamTlsOptions } from '@sallyport/relay';
import { httpTargetOf } from './http-credentials.ts';

/** What every API server answers who is somebody. */
const KUBERNETES_PROBE = '/api';

/**
 * @throws GatewayError `upstream.auth` when it is not accepted; `http.upstream`, `upstream.unreachable`, `upstream.tls`;
 *   `credential.unavailable` when the resource names nothing to ask for
 */
export async function probe(resource: Resource, credential: UpstreamCredential): Promise<void> {
  const target = httpTargetOf(resource);
  const path = target?.probe ?? (resource.kind === 'kubernetes' ? KUBERNETES_PROBE : undefined);
  if (target === undefined || path === undefined)
    throw new GatewayError('credential.unavailable', { reason: 'the resource names no `probe` path to ask for' });
  const url = new URL(target.url);
  await credential.http?.ready();
  const plain = {
    method: 'GET',
    authority: url.host,
    target: `${url.pathname.replace(/\/$/, '')}${path}`,
    headers: [['accept', '*/*']],
    body: 'none',
  } as const;
  const { target: sent, headers } = credential.http?.into(plain) ?? plain;
  const status = await statusOf(resource, credential, {
    method: 'GET',
    path: sent,
    headers: { ...Object.fromEntries(headers), host: url.host },
  });
  if (status === 401 || status === 403)
    throw new GatewayError('upstream.auth', { why: `the service answered ${status}` });
  if (status >= 500) throw new GatewayError('http.upstream', { why: `the service answered ${status}` });
}

function statusOf(resource: Resource, credential: UpstreamCredential, ask: http.RequestOptions): Promise<number> {
  const secure = httpTargetOf(resource)?.url.startsWith('https:') === true;
  const options: https.RequestOptions = {
    ...upstreamAddress(resource),
    ...(secure ? upstreamTlsOptions(resource, credential, ['http/1.1']) : {}),
    ...ask,
    agent: false,
    signal: AbortSignal.timeout(LIMITS.upstreamConnectMsMax),
  };
  return new Promise((resolve, reject) => {
    const request = (secure ? https : http).request(options, (response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    request.on('error', (cause) =>
      reject(new GatewayError('upstream.unreachable', { resource: resource.name }, { cause })),
    );
    request.end();
  });
}
