/**
 * What a key-management service is to Sallyport: it wraps a master key and unwraps it again, and never gives its own key away.
 * Refuses to know where wrapped keys are kept, and what is sealed under them.
 */
import type { Secret } from '@sallyport/core';
import { type Setting, type Settings, type SourceHost, unavailable } from './source.ts';

/** Bound into what is wrapped, where the service can: what was wrapped for another purpose does not unwrap. */
export const KMS_CONTEXT = 'sallyport/kek/1';
export const WRAPPED_BYTES_MAX = 8 * 1024;

export interface Kms {
  /** As the operator named it: the wrapped key says by which one it was wrapped. */
  readonly name: string;
  /** @throws GatewayError `credential.unavailable`, with a reason that holds no secret */
  wrap(key: Secret<Buffer>): Promise<string>;
  /** @throws GatewayError as `wrap`, also for what it did not wrap */
  unwrap(wrapped: string): Promise<Secret<Buffer>>;
}

export interface KmsKind {
  readonly kind: string;
  /** One line for docs. */
  readonly about: string;
  readonly settings: Readonly<Record<string, Setting>>;
  check?(settings: Settings): { readonly setting: string; readonly message: string } | undefined;
  open(name: string, settings: Settings, host: SourceHost): Kms;
}

/** What a service wrapped, as text that can be kept. @throws GatewayError `credential.unavailable` */
export function requireWrapped(kind: string, bytes: Uint8Array | undefined): string {
  if (bytes === undefined || bytes.length === 0) throw unavailable(kind, 'it wrapped nothing');
  const text = Buffer.from(bytes).toString('base64url');
  if (text.length > WRAPPED_BYTES_MAX) throw unavailable(kind, 'what it wrapped is too long');
  return text;
}

/** What a service unwrapped. @throws GatewayError `credential.unavailable` */
export function requireKey(kind: string, bytes: Uint8Array | undefined): Buffer {
  if (bytes === undefined || bytes.length === 0) throw unavailable(kind, 'it unwrapped nothing');
  return Buffer.from(bytes);
}
