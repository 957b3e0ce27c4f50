/**
 * How the server's identity is proven, from a resource's settings to Node's TLS options.
 * Refuses to weaken by accident: only the mode that the resource names decides, and TLS 1.2 is the least.
 */
import { isIP } from 'node:net';
import tls from 'node:tls';
import { GatewayError } from '@sallyport/core';
import type { Resource } from '@sallyport/model';
import type { UpstreamCredential } from '@sallyport/protocol-kit';
import type { ClientTlsStart } from '../byte-socket.ts';
import { webTarget } from '../web-target.ts';

/**
 * Options for the client side of TLS towards `resource`. `credential.certificate` makes its secret a PEM of key and chain.
 * @throws GatewayError `upstream.tls` when the resource says `disable`, or its CA or client certificate cannot be read
 */
export function upstreamTlsOptions(
  resource: Resource,
  credential: UpstreamCredential,
  alpn: readonly string[],
): tls.ConnectionOptions & { readonly secureContext: tls.SecureContext } {
  const target = webTarget(resource) ?? resource.postgres;
  const mode = target?.tls ?? 'verify-full';
  if (mode === 'disable') throw new GatewayError('upstream.tls', { resource: resource.name, reason: 'disabled' });
  const name = target?.serverName ?? target?.host ?? '';
  const pem = credential.certificate ? credential.secret?.reveal() : undefined;
  try {
    const secureContext = contextOf(resource, credential, target?.ca, pem);
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

/** With a server that was proven so long ago, TLS begins anew. */
const RESUMED_MS_MAX = 10 * 60_000;

interface Proven {
  readonly session: Buffer;
  /** Of the handshake in which the server's certificate was verified. */
  readonly atMs: number;
  /** Its keys come from a hybrid exchange (X25519MLKEM768). */
  readonly hybrid: boolean;
}

/** Groups of an elliptic curve, the usual one first. */
const CURVES = 'X25519:P-256:P-384:P-521';

/** By the context of a resource as a bundle has it: with other settings, or a client certificate, another server is proven. */
const proven = new WeakMap<tls.SecureContext, Proven>();

/**
 * TLS towards a resource of the HTTP kinds, and what makes a later connection take up the session of an earlier one (RFC 8446
 * section 2.2): neither chains nor signatures are verified again then, keys are exchanged all the same. They are made from the
 * earlier session's too: where those came from a hybrid exchange, one by curves alone keeps what was gained, at half of the
 * cost. Not for PostgreSQL: its channel binding is made of a certificate that was shown.
 * @throws as `upstreamTlsOptions`
 */
export function upstreamTlsStart(
  resource: Resource,
  credential: UpstreamCredential,
  alpn: readonly string[],
): ClientTlsStart {
  const { secureContext, ...options } = upstreamTlsOptions(resource, credential, alpn);
  const found = proven.get(secureContext);
  const known = found !== undefined && performance.now() - found.atMs < RESUMED_MS_MAX ? found : undefined;
  return {
    options: {
      ...options,
      secureContext: known?.hybrid === true ? curvesOf(secureContext) : secureContext,
      ...(known === undefined ? {} : { session: known.session }),
    },
    keep: (socket, session) => {
      if (socket.destroyed || (options.rejectUnauthorized !== false && !socket.authorized)) return;
      const isResumed = socket.isSessionReused();
      if (known !== undefined && isResumed) return void proven.set(secureContext, { ...known, session });
      const { name } = socket.getEphemeralKeyInfo() as { readonly name?: string };
      // The server did not know the session any more, and curves were all it was offered: the next connection offers all.
      if (known?.hybrid === true) return void proven.delete(secureContext);
      proven.set(secureContext, { session, atMs: performance.now(), hybrid: name === 'X25519MLKEM768' });
    },
  };
}

/**
 * Reading the system's CAs or a client's key takes milliseconds, and an HTTP client opens many connections: one context for each
 * resource, or for each credential that was opened for a session.
 */
const contexts = new WeakMap<
  Resource | UpstreamCredential,
  { readonly of: Resource; readonly context: tls.SecureContext }
>();
/** By the context that has the same settings and exchanges keys as OpenSSL likes best. */
const byCurves = new WeakMap<tls.SecureContext, tls.SecureContext>();

const curvesOf = (context: tls.SecureContext): tls.SecureContext => byCurves.get(context) ?? context;

function contextOf(
  resource: Resource,
  credential: UpstreamCredential,
  ca: string | undefined,
  pem: string | undefined,
): tls.SecureContext {
  const by = pem === undefined ? resource : credential;
  const known = contexts.get(by);
  if (known?.of === resource) return known.context;
  const settings: tls.SecureContextOptions = {
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca }),
    ...(pem === undefined ? {} : { key: pem, cert: pem }),
  };
  const context = tls.createSecureContext(settings);
  contexts.set(by, { of: resource, context });
  if (webTarget(resource) !== undefined)
    byCurves.set(context, tls.createSecureContext({ ...settings, ecdhCurve: CURVES }));
  return context;
}
