/**
 * What the control plane asks of this agent about a credential: does it sign in, and give its account the next password.
 * A rotation is safe to ask again at every point: both passwords are in the boxes before the server hears of either, the
 * new one has signed in before the old one is forgotten, and what does not sign in is put back. ADR 0018.
 */
import { randomBytes } from 'node:crypto';
import { GatewayError, type Logger } from '@sallyport/core';
import type { CredentialErrand, CredentialReport, CredentialSource, Resource } from '@sallyport/model';
import { scramVerifier } from '@sallyport/protocol-postgres/scram';
import { isRefused, openErrand } from './errand-connection.ts';
import { type HttpCredentials, httpTargetOf } from './http-credentials.ts';
import { probe } from './http-probe.ts';
import type { Value, Values } from './values.ts';

export interface ErrandPorts {
  readonly values: Values;
  readonly http: HttpCredentials;
  readonly log: Logger;
  readonly resource: (id: string) => Resource | undefined;
  /** An ephemeral credential is tried by making and dropping an account. */
  readonly tryEphemeral: (resource: Resource) => Promise<void>;
}

type Outcome = Pick<CredentialReport, 'outcome' | 'code' | 'reason'>;

/** @returns the report to send; never throws */
export async function runErrand(errand: CredentialErrand, ports: ErrandPorts): Promise<CredentialReport> {
  const { id: errandId, resourceId } = errand;
  const outcome = await doErrand(errand, ports).catch((error: unknown): Outcome => {
    const known = error instanceof GatewayError;
    ports.log.warn('an errand failed', { errand: errandId, error });
    const { reason = '', why = '', sqlstate = '' } = known ? error.detail : {};
    return {
      outcome: 'failed',
      code: known ? error.code : 'internal',
      reason: [reason, why, sqlstate].filter((text) => text !== '').join(' '),
    };
  });
  return { kind: 'errand', errandId, resourceId, ...outcome };
}

async function doErrand(errand: CredentialErrand, ports: ErrandPorts): Promise<Outcome> {
  const resource = ports.resource(errand.resourceId);
  if (resource === undefined) throw new GatewayError('credential.unavailable', { reason: 'resource not here' });
  const source = sourceOf(resource.credential, errand.credentialId);
  return errand.kind === 'test'
    ? await test(source, resource, ports, errand.id)
    : await rotate(source, resource, ports);
}

/** The resource's credential, or of an ephemeral one who makes its accounts. */
const sourceOf = (credential: CredentialSource, id: string): CredentialSource =>
  credential.admin !== undefined && credential.admin.reference === id ? credential.admin : credential;

const done: Outcome = { outcome: 'done', code: '' };

async function test(
  source: CredentialSource,
  resource: Resource,
  ports: ErrandPorts,
  errandId: string,
): Promise<Outcome> {
  if (source.kind === 'ephemeral') {
    await ports.tryEphemeral(resource);
    return done;
  }
  const values = await ports.values.of(source, resource, true);
  const [current] = values;
  if (current === undefined) throw new GatewayError('credential.unavailable', { reason: 'no value' });
  try {
    if (httpTargetOf(resource) !== undefined)
      await probe(resource, ports.http.of(current, resource, `errand ${errandId}`));
    else if (resource.kind === 'ssh')
      throw new GatewayError('credential.unavailable', { reason: 'credentials of SSH hosts are tried by a session' });
    else (await openErrand(resource, current)).close();
    return done;
  } finally {
    await ports.values.release(source, resource, current);
  }
}

async function rotate(source: CredentialSource, resource: Resource, ports: ErrandPorts): Promise<Outcome> {
  if (resource.kind !== 'postgres')
    throw new GatewayError('credential.unavailable', {
      reason: 'only a PostgreSQL server is asked to change a password',
    });
  const values = await ports.values.of(source, resource);
  const current = values.find((value) => value.which === 'current');
  const next = values.find((value) => value.which === 'next');
  if (current === undefined || next === undefined)
    throw new GatewayError('credential.unavailable', { reason: 'no next value is prepared here' });
  let old: Awaited<ReturnType<typeof openErrand>>;
  try {
    old = await openErrand(resource, current);
  } catch (error) {
    if (!isRefused(error)) throw error;
    // Asked again after it was done: the server has the next one already, or neither is right.
    (await openErrand(resource, next)).close();
    return done;
  }
  try {
    await old.run(alterPassword(next));
    try {
      (await openErrand(resource, next)).close();
      return done;
    } catch (error) {
      // The way back is open: this connection signed in before the change.
      await old.run(alterPassword(current));
      ports.log.error('the next password did not sign in, the one before is back', { resource: resource.name, error });
      return { outcome: 'undone', code: 'upstream.auth', reason: 'the next password did not sign in' };
    }
  } finally {
    old.close();
  }
}

const alterPassword = ({ username, secret }: Value): string => {
  const verifier = scramVerifier(secret?.reveal() ?? '', randomBytes(16));
  return `alter role "${username.replaceAll('"', '""')}" password '${verifier}'`;
};
