/**
 * The chapter of signing in: a provider tried out, what its groups would give, a person through its forms, and the end; then
 * SAML (saml.ts) and a machine that acts for a person (machine.ts).
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { accessToken } from '../stack/rest.ts';
import { browse, type Jars } from './browse.ts';
import { eventually, type TourContext } from './context.ts';
import { machine } from './machine.ts';
import { samlSignIn } from './saml.ts';
import { type Chapter, promise } from './story.ts';

const PROVIDER = 'tour-corp';

interface Preview {
  readonly groups: readonly string[];
  readonly why: readonly { readonly given: string; readonly group: string | null; readonly why: string }[];
}

export const identity: Chapter<TourContext> = {
  name: 'identity',
  title:
    'Ana signs in at her company, and out again everywhere; others by SAML, and machines by what their platform gives',
  intro:
    'An identity provider says who she is and which groups she is in; when she signs out, what she opened ends too.',
  run: async (tour, step) => {
    const { dev, admin } = tour.stack;
    const { demoIdp } = JSON.parse(readFileSync(path.join(dev.controlPlane.dataDir, 'ready.json'), 'utf8')) as {
      demoIdp: string;
    };
    await admin.call('POST', '/v1/identity-providers', {
      name: PROVIDER,
      kind: 'oidc',
      config: { issuer: demoIdp, clientId: 'tour', clientAuth: 'none' },
      mapping: { prefix: 'corp-', rules: [{ match: 'db-*', group: 'dba' }], unmapped: 'drop' },
    });
    try {
      await step('the provider is tried out before anybody needs it', async () => {
        const { code, out } = await tour.cli('admin', 'providers', 'test', PROVIDER);
        promise(code === 0 && out.includes('issuer'), out);
        return out.trim().split('\n').slice(0, 4).join('\n');
      });
      await step('a preview says what a token’s groups would give, and why', async () => {
        const preview = await admin.call<Preview>('POST', `/v1/identity-providers/${PROVIDER}/preview`, {
          claims: { sub: '1', preferred_username: 'ana', groups: ['corp-db-team', 'corp-sales', 'everybody'] },
        });
        promise(preview.groups.join() === 'dba', preview.groups.join());
        return preview.why.map((one) => `${one.given} → ${one.group ?? 'nothing'}: ${one.why}`).join('\n');
      });
      await step('a link in place of groups is an error of its own, not "no groups"', async () => {
        const refusal = await admin
          .call('POST', `/v1/identity-providers/${PROVIDER}/preview`, {
            claims: { sub: '1', _claim_names: { groups: 'src1' } },
          })
          .then(
            () => 'nothing was said',
            (error: unknown) => (error as { code: string }).code,
          );
        promise(refusal === 'auth.groups_overage', refusal);
        return refusal;
      });
      const jars: Jars = new Map();
      let session = '';
      await step('Ana signs in through the provider’s own form', async () => {
        const { persons } = JSON.parse(readFileSync(path.join(dev.controlPlane.dataDir, 'demo-idp.json'), 'utf8')) as {
          persons: Record<string, string>;
        };
        const page = await browse(jars, `${dev.rest}/v1/login?provider=demo&return_to=%2Fdevice`);
        await browse(jars, page.url, { name: 'ana', password: persons['ana'] ?? '' });
        session = jars.get(new URL(dev.rest).origin)?.get('sallyport_session') ?? '';
        const me = await admin.as(session).call<{ principal: { name: string }; groups: string[] }>('GET', '/v1/whoami');
        promise(me.principal.name === 'ana', me.principal.name);
        return `${me.principal.name}, groups ${me.groups.join(', ')}`;
      });
      await step('what she opened ends within a second of her signing out', async () => {
        const client = new pg.Client({
          host: dev.agent.host,
          port: dev.agent.postgres,
          user: 'payments-db',
          password: await accessToken(dev.rest, session, 'payments-db'),
          database: dev.demo.database,
          ssl: { ca: readFileSync(dev.ca, 'utf8') },
        });
        let endedAt = 0;
        client.on('error', () => undefined);
        client.on('end', () => {
          endedAt = performance.now();
        });
        await client.connect();
        await client.query('select 1');
        const from = performance.now();
        await browse(jars, `${dev.rest}/v1/logout`, {});
        await eventually(() => (endedAt > 0 ? true : undefined), 5_000, 'the end of the session');
        const refusal = await admin
          .as(session)
          .call('GET', '/v1/whoami')
          .then(
            () => 'the token still works',
            (error: unknown) => (error as { code: string }).code,
          );
        promise(refusal === 'auth.required', refusal);
        promise(endedAt - from < 1_000, `${Math.round(endedAt - from)} ms`);
        return `the session ended after ${Math.round(endedAt - from)} ms; the token: ${refusal}`;
      });
    } finally {
      await admin.call('DELETE', `/v1/identity-providers/${PROVIDER}`);
    }
    await samlSignIn(tour, step);
    await machine(tour, step);
  },
};
