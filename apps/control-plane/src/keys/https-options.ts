/** The REST listener's own certificate, opened for the server alone. */
import type { Secret } from '@sallyport/core';

/** Options of Fastify: TLS where a certificate is configured, else nothing. */
export const httpsOptions = (tls: { readonly cert: string; readonly key: Secret<string> } | undefined) =>
  tls === undefined ? {} : { https: { cert: tls.cert, key: tls.key.reveal() } };
