/** The registry of kinds of identity providers: one line each. */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { SamlKind } from '../saml/saml-kind.ts';
import { OidcKind } from './oidc-kind.ts';
import type { ProviderKind } from './provider-kind.ts';

@Injectable()
export class ProviderKinds {
  readonly all: readonly ProviderKind[];
  constructor(oidc: OidcKind, saml: SamlKind) {
    this.all = [oidc, saml];
  }

  /** @throws GatewayError `request.invalid` */
  require(kind: string): ProviderKind {
    const found = this.all.find((one) => one.kind === kind);
    if (found === undefined) throw new GatewayError('request.invalid', { kind });
    return found;
  }
}
