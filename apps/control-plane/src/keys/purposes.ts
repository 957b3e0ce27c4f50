/**
 * What each of our keys is for, how long it lives, and where it stands in the hierarchy.
 * One offline-able root → separate issuers; a certificate made for one purpose cannot serve another (extended key usages).
 * Refuses to hold a key.
 */
import {
  EKU_AGENT_IDENTITY,
  EKU_AGENT_TRAIL,
  EKU_APPROVAL_SIGNING,
  EKU_BUNDLE_SIGNING,
  EKU_CONTROL_IDENTITY,
  EKU_CONTROL_TRAIL,
} from '@sallyport/core';

export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

export const KEY_PURPOSES = [
  'root',
  'agent_identity_ca',
  'listener_ca',
  'signing_ca',
  'control_ca',
  'bundle',
  'trail',
  'access_token',
  'approval',
  'trail_seal',
  'ssh_user_ca',
  'ssh_host_ca',
  'interception_ca',
] as const;
export type KeyPurpose = (typeof KEY_PURPOSES)[number];
/** Purposes that sign bytes for others to verify, and rotate by themselves. */
export const SIGNING_PURPOSES = ['bundle', 'trail', 'access_token', 'approval', 'ssh_user_ca', 'ssh_host_ca'] as const;
export type SigningPurpose = (typeof SIGNING_PURPOSES)[number];
export type CaPurpose = 'root' | 'agent_identity_ca' | 'listener_ca' | 'signing_ca' | 'control_ca' | 'interception_ca';

const DAY_MS = 86_400_000;
const YEAR_MS = 365 * DAY_MS;

export interface KeyPlan {
  readonly algorithm: 'ES256' | 'X25519';
  readonly signsMs: number;
  /** Verified this long after it stopped signing. */
  readonly overlapMs: number;
  /** Issuer of its certificate; undefined = it has none; `self` = self-signed. */
  readonly issuer: CaPurpose | 'self' | undefined;
  readonly isCa: boolean;
  /** Extended key usages of the certificate; a CA's bound what it may issue. */
  readonly usages: readonly string[];
  readonly title: string;
}

const ca = (title: string, usages: readonly string[]): KeyPlan => ({
  algorithm: 'ES256',
  signsMs: 10 * YEAR_MS,
  overlapMs: YEAR_MS,
  issuer: 'root',
  isCa: true,
  usages,
  title,
});

export const KEY_PLANS: Readonly<Record<KeyPurpose, KeyPlan>> = {
  root: {
    algorithm: 'ES256',
    signsMs: 20 * YEAR_MS,
    overlapMs: 5 * YEAR_MS,
    issuer: 'self',
    isCa: true,
    usages: [],
    title: 'Sallyport root',
  },
  agent_identity_ca: ca('Sallyport agent identities', [CLIENT_AUTH, EKU_AGENT_IDENTITY, EKU_AGENT_TRAIL]),
  listener_ca: ca('Sallyport listeners', [SERVER_AUTH]),
  signing_ca: ca('Sallyport signing', [EKU_BUNDLE_SIGNING, EKU_CONTROL_TRAIL, EKU_APPROVAL_SIGNING]),
  control_ca: ca('Sallyport control plane', [SERVER_AUTH, EKU_CONTROL_IDENTITY]),
  bundle: {
    algorithm: 'ES256',
    signsMs: YEAR_MS,
    overlapMs: 30 * DAY_MS,
    issuer: 'signing_ca',
    isCa: false,
    usages: [EKU_BUNDLE_SIGNING],
    title: 'bundles',
  },
  trail: {
    algorithm: 'ES256',
    signsMs: YEAR_MS,
    overlapMs: 30 * DAY_MS,
    issuer: 'signing_ca',
    isCa: false,
    usages: [EKU_CONTROL_TRAIL],
    title: 'trail',
  },
  access_token: {
    algorithm: 'ES256',
    signsMs: 90 * DAY_MS,
    overlapMs: DAY_MS,
    issuer: undefined,
    isCa: false,
    usages: [],
    title: 'access tokens',
  },
  approval: {
    algorithm: 'ES256',
    signsMs: 90 * DAY_MS,
    overlapMs: 2 * DAY_MS,
    issuer: undefined,
    isCa: false,
    usages: [],
    title: 'approvals',
  },
  trail_seal: {
    algorithm: 'X25519',
    signsMs: 5 * YEAR_MS,
    overlapMs: 20 * YEAR_MS,
    issuer: undefined,
    isCa: false,
    usages: [],
    title: 'session keys',
  },
  // SSH's certificates are no X.509: these stand apart from the root, and clients and agents are told their public keys.
  ssh_user_ca: {
    algorithm: 'ES256',
    signsMs: YEAR_MS,
    // Certificates of users live for minutes.
    overlapMs: DAY_MS,
    issuer: undefined,
    isCa: false,
    usages: [],
    title: 'SSH users',
  },
  ssh_host_ca: {
    algorithm: 'ES256',
    // It stands in people's known_hosts files.
    signsMs: 10 * YEAR_MS,
    overlapMs: YEAR_MS,
    issuer: undefined,
    isCa: false,
    usages: [],
    title: 'SSH hosts',
  },
  // Stands apart from the root: programs that are to believe an agent about the hosts of others believe nothing else of ours,
  // and who trusts the root does not trust this.
  interception_ca: {
    algorithm: 'ES256',
    signsMs: 10 * YEAR_MS,
    overlapMs: YEAR_MS,
    issuer: 'self',
    isCa: true,
    usages: [SERVER_AUTH],
    title: 'Sallyport interception',
  },
};

/** The next key is made this long before the current one stops signing. */
export const ROTATION_LEAD_MS = 7 * DAY_MS;
/** A key made by an explicit rotation starts signing after this, so that every replica and connected agent knows it. */
export const ROTATION_DELAY_MS = 60_000;
/** Life of an agent's identity certificate; it renews at two thirds. */
export const AGENT_CERTIFICATE_MS = DAY_MS;
export const LISTENER_CERTIFICATE_MS = 90 * DAY_MS;
export const SERVER_CERTIFICATE_MS = YEAR_MS;
/** As a listener's: it outlives the offline budget. */
export const SSH_HOST_CERTIFICATE_MS = 90 * DAY_MS;
/** Of an agent's issuer for its forward proxy: long enough to outlive the offline budget, no longer. */
export const INTERCEPTION_CERTIFICATE_MS = 30 * DAY_MS;
/** Certificates start this much earlier, for clocks that lag. */
export const BACKDATE_MS = 5 * 60_000;
