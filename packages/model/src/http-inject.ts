/**
 * How a credential is put into the requests of an HTTP service, a cluster or an MCP server: the form, never the value.
 * Refuses to hold a secret. `username` and the secret come from the resource's credential, whatever its source.
 */
import { objectOf, oneOf, optional, type Parsed, parseString } from '@sallyport/core';

/**
 * `bearer`, `header`, `query`, `cookie`: the secret as it is; `basic`: user name and secret; `oauth`: client credentials (user
 * name = client id); `sigv4`: AWS access key id and secret; `google`: a service account's JSON key; `azure`: client id and
 * secret of an application; `mtls`: the secret is the PEM of a client certificate and its key.
 */
export const HTTP_INJECTIONS = [
  'none',
  'bearer',
  'basic',
  'header',
  'query',
  'cookie',
  'oauth',
  'sigv4',
  'google',
  'azure',
  'mtls',
] as const;
export type HttpInjection = (typeof HTTP_INJECTIONS)[number];

export const parseHttpInject = objectOf({
  as: oneOf(...HTTP_INJECTIONS),
  /** Of the header (lower case), the query parameter or the cookie. */
  name: optional(parseString),
  /** `header`: what stands before the secret, its blank included: `Token `. */
  prefix: optional(parseString),
  /** `oauth`: where tokens are asked for; `google`, `azure`: instead of the cloud's own address. */
  tokenUrl: optional(parseString),
  /** `oauth`, `google`, `azure`: separated by blanks. */
  scope: optional(parseString),
  /** `oauth`, `google` (then an ID token is asked for instead of an access token). */
  audience: optional(parseString),
  /** `oauth`: how the client proves itself; absent = `basic`. */
  clientAuth: optional(oneOf('basic', 'body')),
  /** `sigv4`. */
  region: optional(parseString),
  service: optional(parseString),
  /** `azure`. */
  tenant: optional(parseString),
});
export type HttpInject = Parsed<typeof parseHttpInject>;

/** Fields of `inject` that each form needs, and those it may have. */
export const HTTP_INJECT_FIELDS: {
  readonly [K in HttpInjection]: {
    readonly needs: readonly (keyof HttpInject)[];
    readonly takes: readonly (keyof HttpInject)[];
  };
} = {
  none: { needs: [], takes: [] },
  bearer: { needs: [], takes: [] },
  basic: { needs: [], takes: [] },
  header: { needs: ['name'], takes: ['prefix'] },
  query: { needs: ['name'], takes: [] },
  cookie: { needs: ['name'], takes: [] },
  oauth: { needs: ['tokenUrl'], takes: ['scope', 'audience', 'clientAuth'] },
  sigv4: { needs: ['region', 'service'], takes: [] },
  google: { needs: [], takes: ['scope', 'audience', 'tokenUrl'] },
  azure: { needs: ['tenant', 'scope'], takes: ['tokenUrl'] },
  mtls: { needs: [], takes: [] },
};
