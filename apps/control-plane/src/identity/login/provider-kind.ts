/**
 * What a kind of identity provider brings: the schema of its settings and secrets, and how one is made from a row.
 * Adding a kind is a class like this one and its line in provider-kinds.ts. Refuses to know tables and routes.
 */
import type { Secret } from '@sallyport/core';
import type { z } from 'zod';
import type { GroupMapping } from '../mapping/group-mapping.ts';
import type { IdentityProvider } from '../providers.ts';

/** A provider's row, with its secrets open. */
export interface ProviderSettings {
  readonly projectId: string;
  /** What tells it from every other in addresses: its name, after its project's where that is not the default one. */
  readonly address: string;
  readonly name: string;
  readonly displayName: string;
  readonly config: unknown;
  /** JSON of the kind's `secrets`. */
  readonly secrets: Secret<Buffer> | undefined;
  readonly mapping: GroupMapping;
}

/** Where a provider's settings lead, by the setting that says so. */
export interface ProviderAddress {
  readonly field: string;
  readonly url: string;
}

/** Abstract class as the injection token of each kind. */
export abstract class ProviderKind {
  abstract readonly kind: IdentityProvider['kind'];
  /** Public settings: strict, nothing secret. */
  abstract readonly config: z.ZodObject;
  /** Given once, sealed, never shown. */
  abstract readonly secrets: z.ZodObject;
  /** Where its answers arrive, below the public URL. */
  abstract callbackPath(address: string): string;
  /** @param config settings that `make` took @returns the addresses in it, which whoever gives them answers for */
  abstract addresses(config: unknown): readonly ProviderAddress[];
  /** Called when the row was made or changed; connects to nothing by itself. @throws GatewayError `request.invalid` */
  abstract make(settings: ProviderSettings): IdentityProvider;
}
