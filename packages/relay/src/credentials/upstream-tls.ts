/**
 * How the server's identity is proven, from a resource's settings to Node's TLS options.
 * Refuses to weaken by accident: only the mode that the resource names decides, and TLS 1.2 is the least.
 */
import { isIP } from 'node:net';
import tls from 'node:tls';
import { GatewayError } from '@sallyport/core';
import type { Resource } from '@sallyport/model';
import type { UpstreamCredential } from '@sallyport/protocol-kit';
import { webTarget } from '../web-target.ts';

/**
 * Options for the client side of TLS towards `resource`. `credential.certificate` makes its secret a PEM of key and chain.
 * @throws GatewayError `upstream.tls` when the resource says `disable`, or its CA or client certificate cannot be read
 */
export function upstreamTlsOptions(
  resource: Resource,
  credential: UpstreamCredential,
  alpn: readonly string[],
): tls.ConnectionOptions {
  const target = webTarget(resource) ?? resource.postgres;
  const mode = target?.tls ?? 'verify-full';
  if (mode === 'disable') throw new GatewayError('upstream.tls', { resource: resource.name, reason: 'disabled' });
  const name = target?.serverName ?? target?.host ?? '';
  const pem = credential.certificate ? credential.secret?.reveal() : undefined;
  try {
    const secureContext = contextOf(resource, target?.ca, pem);
    return {
      secureContext,
      ALPNProtocols: [...alpn],
      // An address is not a valid SNI name (RFC 6066 section 3).
      servername: isIP(name) === 0 ? name : '',
      rejectUnauthorized: mode !== 'require',
      checkServerIdentity: (_host, certificate) =>
        mode === 'verify-full' ? tls.checkServerIdentity(name, certificate) : undefined,
    };
  } catch (cause) {
    throw new GatewayError('upstream.tls', { resource: resource.name, reason: 'settings' }, { cause });
  }
}

/** Reading the system's CAs takes milliseconds, and an HTTP client opens many connections: one context for each resource. */
const contexts = new WeakMap<Resource, tls.SecureContext>();

function contextOf(resource: Resource, ca: string | undefined, pem: string | undefined): tls.SecureContext {
  const known = pem === undefined ? contexts.get(resource) : undefined;
  if (known !== undefined) return known;
  const made = tls.createSecureContext({
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca }),
    ...(pem === undefined ? {} : { key: pem, cert: pem }),
  });
  if (pem === undefined) contexts.set(resource, made);
  return made;
}
