/** Versions of resources as weak ETags (RFC 7644 §3.14): a client may ask that nothing has changed behind its back. */
import { VersionMismatch } from './scim-error.ts';

export const versionOf = (row: { readonly revision: number }): string => `W/"${row.revision}"`;

/** Whether a list of ETags names this version; weak comparison (RFC 9110 §8.8.3.2). */
export const namesVersion = (header: string | undefined, version: string): boolean =>
  header !== undefined &&
  header.split(',').some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === version.replace(/^W\//, ''));

/** @throws VersionMismatch */
export function requireVersion(ifMatch: string | undefined, row: { readonly revision: number }): void {
  if (ifMatch !== undefined && !namesVersion(ifMatch, versionOf(row))) throw new VersionMismatch();
}
