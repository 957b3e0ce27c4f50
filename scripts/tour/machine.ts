/**
 * Of the chapter `identity`: an AI agent comes with the token its cluster gave it, for a person. The cluster is the tour's own:
 * a key pair whose public half is uploaded, as for clusters without public discovery.
 */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { eventually, inForce, refused, type TourContext } from './context.ts';
import { promise, type Step } from './story.ts';

const WHO = 'tour-helper';
const ISSUER = 'https://cluster.tour.example';
const AUDIENCE = 'https://sallyport.tour.example';
const TYPES = 'urn:ietf:params:oauth:token-type';

/** Of an event. */
interface Told {
  readonly kind: string;
  readonly principal: string;
  readonly onBehalfOf: string | null;
}

/** A service account's token as Kubernetes writes it, ES256. */
function clusterToken(key: KeyObject, kid: string, namespace: string): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const text = `${part({ alg: 'ES256', kid, typ: 'JWT' })}.${part({
    iss: ISSUER,
    aud: [AUDIENCE],
    sub: `system:serviceaccount:${namespace}:helper`,
    iat: now,
    nbf: now,
    exp: now + 600,
    'kubernetes.io': { namespace, serviceaccount: { name: 'helper', uid: 'u' } },
  })}`;
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

export async function machine({ stack }: TourContext, step: Step): Promise<void> {
  const { admin, dev } = stack;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...publicKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' };
  const kid = createHash('sha256').update(JSON.stringify(jwk)).digest('base64url').slice(0, 16);
  await admin.call('POST', '/v1/principals', { name: WHO, kind: 'ai_agent', roles: ['member'] });
  const right = { name: WHO, principal: WHO, resource: 'payments-db', effects: ['read', 'write'] };
  await admin.call('POST', '/v1/grants', right);
  await admin.call('POST', '/v1/trust-rules', {
    name: WHO,
    kind: 'kubernetes',
    issuer: ISSUER,
    audiences: [AUDIENCE],
    keys: { from: 'upload', keys: { keys: [{ ...jwk, kid }] } },
    claims: { 'kubernetes.io/namespace': 'payments', 'kubernetes.io/serviceaccount/name': 'helper' },
    principal: WHO,
  });
  const carla = await admin.call<{ id: string; token: string }>('POST', '/v1/principals/carla/tokens', { name: WHO });
  /** RFC 8693: Carla is the subject, the machine the actor. */
  const exchange = async (namespace: string): Promise<{ access_token?: string; error?: string }> => {
    const body = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: carla.token,
      subject_token_type: `${TYPES}:access_token`,
      actor_token: clusterToken(privateKey, kid, namespace),
      actor_token_type: `${TYPES}:jwt`,
      resource: 'payments-db',
    });
    return (await (await fetch(`${dev.rest}/v1/oauth/token`, { method: 'POST', body })).json()) as object;
  };
  let ended = '';
  let client: pg.Client | undefined;
  try {
    await inForce(admin);
    await step('a machine shows its cluster’s token; one of another namespace opens nothing', async () => {
      const { error } = await exchange('intruders');
      promise(error === 'invalid_grant', String(error));
      const { access_token: password } = await exchange('payments');
      promise(password !== undefined, 'no token');
      client = new pg.Client({
        host: dev.agent.host,
        port: dev.agent.postgres,
        user: 'payments-db',
        password,
        database: dev.demo.database,
        ssl: { ca: readFileSync(dev.ca, 'utf8') },
      });
      client.on('error', (cause) => {
        ended = cause.message;
      });
      client.on('end', () => {
        ended ||= 'closed';
      });
      await client.connect();
      return `intruders: ${error}; payments: ${WHO} is in, for carla, and no secret was stored`;
    });
    await step('it has what both have: Carla may not write, so it may not for her', async () => {
      await client!.query('select id from payments where id = 1');
      const refusal = await refused(client!.query('update payments set note = note where id = 1'));
      promise(refusal.sqlstate === '42501', refusal.sqlstate);
      return refusal.message;
    });
    await step('both names stand on the record', async () => {
      const told = async (): Promise<Told | undefined> => {
        const path = `/v1/trail/events?kind=statement.judged&principal=${WHO}&limit=1`;
        return (await admin.call<{ items: readonly Told[] }>('GET', path)).items[0];
      };
      const { kind, principal, onBehalfOf } = await eventually(told, 8_000, 'the event');
      promise(principal === WHO && onBehalfOf === 'carla', `${principal}, ${onBehalfOf}`);
      return `${kind}: ${principal} on behalf of ${onBehalfOf}`;
    });
    await step('one revocation ends the pair: Carla’s token is deleted', async () => {
      const from = performance.now();
      await admin.call('DELETE', `/v1/tokens/${carla.id}`);
      const how = await eventually(() => (ended === '' ? undefined : ended), 5_000, 'the end of the session');
      const ms = Math.round(performance.now() - from);
      const { error } = await exchange('payments');
      promise(error === 'invalid_grant', String(error));
      return `${how} after ${ms} ms; another exchange: ${error}`;
    });
  } finally {
    await client?.end().catch(() => undefined);
    await admin.call('DELETE', `/v1/trust-rules/${WHO}`);
    await admin.call('DELETE', `/v1/principals/${WHO}`);
  }
}
