/** Who acts. A principal may act *for* another; both names then stand on every event and in every token. */
import { objectOf, oneOf, parseString } from '@sallyport/core';

export const PRINCIPAL_KINDS = ['person', 'service', 'ai_agent'] as const;
export type PrincipalKind = (typeof PRINCIPAL_KINDS)[number];

export interface PrincipalRef {
  /** UUID text. */
  readonly id: string;
  readonly name: string;
  readonly kind: PrincipalKind;
}

export const parsePrincipalRef = objectOf({ id: parseString, name: parseString, kind: oneOf(...PRINCIPAL_KINDS) });
