/** By what a session that spans connections is found again. Refuses to keep the token: its digest is enough. */
import { hash } from 'node:crypto';
import type { SignInRequest } from '@sallyport/protocol-kit';

/** Same token, resource and role, and the same key that was proven with it. */
export const sharedKey = ({ token, role, provenKey }: SignInRequest, resourceId: string): string =>
  hash('sha256', JSON.stringify([token.reveal(), resourceId, role ?? '', provenKey ?? '']), 'base64url');
