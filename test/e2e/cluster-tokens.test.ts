/**
 * A workload in a real cluster trades the token that its API server made for a session at a database: no secret is stored.
 * The cluster's keys are uploaded, as for clusters without public discovery. Machines without a built kube-apiserver leave
 * this out by name (`node scripts/test-kubernetes.ts`).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Cluster, clusterMissing, startCluster } from '@sallyport/testkit';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { restClient } from '../../scripts/stack/rest.ts';
import { type Cli, openCli } from './cli-process.ts';

const dev = inject('dev');
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const NAME = 'e2e-cluster-worker';
const AUDIENCE = 'https://sallyport.e2e.example';

describe.skipIf(clusterMissing !== '')('tokens of a real cluster', () => {
  let cluster: Cluster;
  let cli: Cli;
  const tokenOf = async (account: string, audience = AUDIENCE, seconds = 600): Promise<string> => {
    const body = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: [audience], expirationSeconds: seconds },
    };
    const address = `/api/v1/namespaces/shop/serviceaccounts/${account}/token`;
    return (await cluster.call<{ status: { token: string } }>('POST', address, body)).status.token;
  };
  const trade = async (token: string): Promise<{ access_token?: string; error?: string }> => {
    const body = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      resource: 'payments-db',
    });
    return (await (await fetch(`${dev.rest}/v1/oauth/token`, { method: 'POST', body })).json()) as object;
  };

  beforeAll(async () => {
    cluster = await startCluster();
    cli = openCli(dev);
    await cluster.call('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
    for (const name of ['worker', 'other'])
      await cluster.call('POST', '/api/v1/namespaces/shop/serviceaccounts', { metadata: { name } });
    const keys = await cluster.call<object>('GET', '/openid/v1/jwks');
    const { issuer } = await cluster.call<{ issuer: string }>('GET', '/.well-known/openid-configuration');
    await admin.call('POST', '/v1/principals', { name: NAME, kind: 'service', roles: ['member'] });
    await admin.call('POST', '/v1/grants', {
      name: NAME,
      principal: NAME,
      resource: 'payments-db',
      effects: ['read'],
    });
    const rule = {
      name: NAME,
      kind: 'kubernetes',
      issuer,
      audiences: [AUDIENCE],
      keys: { from: 'upload', keys },
      claims: { 'kubernetes.io/namespace': 'shop', 'kubernetes.io/serviceaccount/name': 'worker' },
      principal: NAME,
    };
    const file = path.join(cli.home, 'rule.json');
    writeFileSync(file, JSON.stringify(rule));
    const put = await cli.run(['--as', 'admin', 'trust', 'put', file]);
    expect(put.code, put.err).toBe(0);
  }, 180_000);
  afterAll(async () => {
    await admin.call('DELETE', `/v1/trust-rules/${NAME}`).catch(() => undefined);
    await admin.call('DELETE', `/v1/principals/${NAME}`).catch(() => undefined);
    cli?.end();
    await cluster?.stop();
  });

  test('the named workload reads the database; another of its namespace, and a token for somebody else, do not', async () => {
    const { access_token: password } = await trade(await tokenOf('worker'));
    expect(password).toBeDefined();
    const client = new pg.Client({
      host: dev.agent.host,
      port: dev.agent.postgres,
      user: 'payments-db',
      password: password!,
      database: dev.demo.database,
      ssl: { ca: readFileSync(dev.ca, 'utf8') },
    });
    await client.connect();
    try {
      expect((await client.query('select id from payments where id = 1')).rowCount).toBe(1);
    } finally {
      await client.end();
    }
    const preview = await cli.run(['--as', 'admin', '--json', 'trust', 'preview', '-'], await tokenOf('worker'));
    expect(preview.code, preview.err).toBe(0);
    expect(preview.out).toContain(NAME);
    expect((await trade(await tokenOf('other'))).error).toBe('invalid_grant');
    expect((await trade(await tokenOf('worker', 'https://another.example'))).error).toBe('invalid_grant');
  });
});
