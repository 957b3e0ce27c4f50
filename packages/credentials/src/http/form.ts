/**
 * How a credential is put into HTTP requests, and what a request is to that. The same shapes as the model's `HttpInject` and
 * the kit's `HttpCredential`, which this package refuses to know: it serves the control plane, too.
 */
import type { Secret } from '@sallyport/core';

export interface HttpForm {
  readonly as:
    | 'none'
    | 'bearer'
    | 'basic'
    | 'header'
    | 'query'
    | 'cookie'
    | 'oauth'
    | 'sigv4'
    | 'google'
    | 'azure'
    | 'mtls';
  readonly name?: string | undefined;
  readonly prefix?: string | undefined;
  readonly tokenUrl?: string | undefined;
  readonly scope?: string | undefined;
  readonly audience?: string | undefined;
  readonly clientAuth?: 'basic' | 'body' | undefined;
  readonly region?: string | undefined;
  readonly service?: string | undefined;
  readonly tenant?: string | undefined;
}

/** Name in lower case, and value. */
export type HeaderField = readonly [name: string, value: string];

export interface Uncredentialed {
  readonly method: string;
  readonly authority: string;
  /** Origin-form. */
  readonly target: string;
  readonly headers: readonly HeaderField[];
  /** `streams`: it is not at hand as a whole. */
  readonly body: Uint8Array | 'none' | 'streams';
}

export interface Credentialed {
  readonly target: string;
  readonly headers: readonly HeaderField[];
}

/** User name and secret, as a source gave them. */
export interface KnownSecret {
  readonly username: string;
  readonly secret: Secret<string>;
}

/** A credential that is put into requests; structurally the kit's `HttpCredential`. */
export interface RequestCredential {
  ready(): Promise<void> | undefined;
  into(request: Uncredentialed): Credentialed;
}
