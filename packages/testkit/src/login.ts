/** The one token that opens a test session. Dev-only. */
import type { Secret } from '@sallyport/core';

/** Every other token is `auth.failed`. */
export const TEST_TOKEN = 'a-token-for-tests';
export const isTestToken = (token: Secret<string>): boolean => token.reveal() === TEST_TOKEN;
