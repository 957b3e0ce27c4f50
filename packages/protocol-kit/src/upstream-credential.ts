/**
 * A credential as a protocol puts it before its server: a password, a certificate, an SSH key, or a way into HTTP requests.
 * Refuses to know where it comes from and how long it lasts; what is secret of it is a `Secret`.
 */
import type { Secret } from '@sallyport/core';

export interface UpstreamCredential {
  readonly username: string;
  /** Password; for certificates the PEM of key and chain. Undefined for `none`. */
  readonly secret: Secret<string> | undefined;
  readonly certificate: boolean;
  /** An OpenSSH private key instead of a password, and the certificate (its blob in base64) that goes with it. */
  readonly ssh?: { readonly privateKey: Secret<string>; readonly certificate?: string };
  /** Puts it into HTTP requests, as the resource's `inject` says; absent where nothing is put in (`none`, `mtls`). */
  readonly http?: HttpCredential;
}

/** A credential in the form an HTTP service takes. One object may serve all requests of a session. */
export interface HttpCredential {
  /**
   * Asked before each request: undefined, nearly always, when a value is at hand; else one is fetched or renewed (an OAuth
   * token), for all who wait at once. Rejects with GatewayError `credential.unavailable`.
   */
  ready(): Promise<void> | undefined;
  /**
   * The request as it leaves, with the credential in it: whatever had its place is gone. After `ready`.
   * @throws GatewayError `http.body_unsigned` when the form signs bodies and this one is not at hand
   */
  into(request: UncredentialedRequest): { readonly target: string; readonly headers: readonly HeaderField[] };
}

/** Name in lower case, and value. */
export type HeaderField = readonly [name: string, value: string];

export interface UncredentialedRequest {
  readonly method: string;
  /** What the server reads in Host or `:authority`. */
  readonly authority: string;
  /** Origin-form, the resource's base path included. */
  readonly target: string;
  /** Without the client's credentials. */
  readonly headers: readonly HeaderField[];
  /** `streams`: it is not at hand as a whole. */
  readonly body: Uint8Array | 'none' | 'streams';
}
