/**
 * Every column that holds boxes of the envelope, for re-wrapping. A law compares this with the schema: a column of bytes
 * that is in neither list fails a test.
 */
export interface SealedColumn {
  readonly table: string;
  readonly column: string;
}

export const SEALED_COLUMNS: readonly SealedColumn[] = [
  { table: 'projects', column: 'mask_key' },
  { table: 'change_proposals', column: 'sealed' },
  { table: 'change_proposals', column: 'kept' },
  { table: 'identity_providers', column: 'sealed' },
  { table: 'person_sessions', column: 'sealed' },
  { table: 'local_accounts', column: 'totp_sealed' },
  { table: 'login_ceremonies', column: 'sealed' },
  { table: 'saml_keys', column: 'sealed' },
  { table: 'login_attempts', column: 'answer' },
  { table: 'signing_keys', column: 'sealed' },
  { table: 'credentials', column: 'sealed' },
  { table: 'credentials', column: 'next_sealed' },
  { table: 'credentials', column: 'previous_sealed' },
  { table: 'webhooks', column: 'sealed' },
  { table: 'webhooks', column: 'sealed_url' },
];
