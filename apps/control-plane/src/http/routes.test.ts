/** Every REST route names a permission or says it is public; and really answers so over HTTP. */
import 'reflect-metadata';
import { RequestMethod } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { PUBLIC, REQUIRES } from './caller.ts';
import { isPermission } from './permissions.ts';

/** A public route is an exception: each stands here, with its reason beside it in the code. */
const PUBLIC_ROUTES = [
  'GET /device',
  'GET /health',
  'GET /install-agent.sh',
  'GET /login',
  'GET /login/link',
  'GET /login/login.js',
  'GET /metrics',
  'GET /ready',
  'GET /v1/agents/package',
  'GET /v1/agents/package/:file',
  'GET /v1/ca',
  'GET /v1/ca/interception',
  'GET /v1/keys',
  'GET /v1/logout',
  'GET /v1/logout/done',
  'GET /v1/oauth/authorize',
  'GET /v1/login',
  'GET /v1/login/callback',
  'GET /v1/login/saml',
  'GET /v1/saml/:project/:provider/metadata',
  'GET /v1/saml/:project/:provider/slo',
  'GET /v1/saml/:provider/metadata',
  'GET /v1/saml/:provider/slo',
  'GET /v1/ssh/authorities',
  'POST /v1/saml/:project/:provider/acs',
  'POST /v1/saml/:provider/acs',
  'GET /v1/login/callback/:project/:provider',
  'GET /v1/login/callback/:provider',
  'POST /device',
  'POST /v1/logout',
  'POST /v1/oidc/:project/:provider/backchannel-logout',
  'POST /v1/oidc/:provider/backchannel-logout',
  'POST /v1/oauth/authorize',
  'POST /v1/login/link/begin',
  'POST /v1/login/link/passkey',
  'POST /v1/login/link/password',
  'POST /v1/login/local/passkey',
  'POST /v1/login/local/passkey/begin',
  'POST /v1/login/local/password',
  'POST /v1/oauth/device_authorization',
  'POST /v1/oauth/token',
  'POST /v1/slack/interactions',
];

interface Route {
  readonly method: string;
  readonly path: string;
  readonly requires: readonly string[] | 'any' | undefined;
  readonly isPublic: boolean;
}

let plane: TestControlPlane;
let routes: readonly Route[];
beforeAll(async () => {
  plane = await startTestControlPlane();
  routes = routesOf(plane);
}, 60_000);
afterAll(async () => await plane.stop());

function routesOf({ controlPlane }: TestControlPlane): Route[] {
  const modules = [...controlPlane.app.get(ModulesContainer, { strict: false }).values()];
  return modules
    .flatMap((module) => [...module.controllers.values()])
    .flatMap(({ metatype, instance }) => {
      if (metatype === null || metatype === undefined) return [];
      const base = [Reflect.getMetadata('path', metatype) ?? ''].flat() as string[];
      const prototype = Object.getPrototypeOf(instance) as Record<string, unknown>;
      return Object.getOwnPropertyNames(prototype).flatMap((name) => {
        const descriptor = Object.getOwnPropertyDescriptor(prototype, name);
        const handler = descriptor?.value as object | undefined;
        if (
          name === 'constructor' ||
          typeof handler !== 'function' ||
          Reflect.getMetadata('path', handler) === undefined
        )
          return [];
        const method = RequestMethod[Reflect.getMetadata('method', handler) as number]!;
        const meta = (key: string) => Reflect.getMetadata(key, handler) ?? Reflect.getMetadata(key, metatype);
        const paths = [Reflect.getMetadata('path', handler) as string | string[]].flat();
        return base.flatMap((prefix) =>
          paths.map((path) => ({
            method,
            path: `/${prefix}/${path}`.replace(/\/+/g, '/').replace(/(.)\/$/, '$1'),
            requires: meta(REQUIRES) as Route['requires'],
            isPublic: meta(PUBLIC) === true,
          })),
        );
      });
    });
}

test('every route names a permission that exists, or says that it is public', () => {
  expect(routes.length).toBeGreaterThan(40);
  const bare = routes.filter(
    (route) => !route.isPublic && (route.requires === undefined || route.requires.length === 0),
  );
  expect(bare.map((route) => `${route.method} ${route.path}`)).toEqual([]);
  const unknown = routes.flatMap((route) =>
    Array.isArray(route.requires) ? route.requires.filter((one: string) => !isPermission(one)) : [],
  );
  expect(unknown).toEqual([]);
});

test('no route is public that is not listed', () => {
  const open = routes.filter((route) => route.isPublic).map((route) => `${route.method} ${route.path}`);
  expect(open.filter((route) => !PUBLIC_ROUTES.includes(route))).toEqual([]);
});

test('without a token, with a bad one, and with one that may nothing, every other route refuses', async () => {
  const made = await plane.call<{ id: string }>('POST', '/v1/principals', {
    name: 'nobody',
    kind: 'service',
    roles: [],
  });
  expect(made.status).toBe(201);
  const { body } = await plane.call<{ token: string }>('POST', '/v1/principals/nobody/tokens', { name: 'none' });
  for (const route of routes.filter((one) => !one.isPublic)) {
    const path = route.path.replace(/:[a-zA-Z]+/g, 'x');
    const payload = route.method === 'GET' || route.method === 'DELETE' ? undefined : {};
    const label = `${route.method} ${route.path}`;
    expect((await plane.call(route.method, path, payload, '')).status, label).toBe(401);
    expect((await plane.call(route.method, path, payload, body.token)).status, label).toBe(
      route.requires === 'any' ? 200 : 403,
    );
  }
  const wrong = await plane.call('GET', '/v1/whoami', undefined, `sp_${'A'.repeat(43)}`);
  expect(wrong.body).toMatchObject({ status: 401, code: 'auth.required' });
});

test('a problem carries its code and request id, and the answer’s header the same id', async () => {
  const answer = await plane.call('GET', '/v1/resources/none');
  expect(answer.headers.get('content-type')).toContain('application/problem+json');
  expect(answer.body).toMatchObject({ status: 404, code: 'request.not_found' });
  expect(answer.headers.get('x-request-id')).toBe(answer.body['requestId']);
});

test.each(['/v1/whoami', '/v1/none', '/health', '/metrics', `/v1/groups/${'x'.repeat(500)}`, '/v1/groups/%zz'])(
  '%s answers with a request id',
  async (target) => {
    const { headers, status, body } = await plane.call('GET', target, undefined, '');
    expect(headers.get('x-request-id')).toMatch(/^req-/);
    if (status >= 400) {
      expect(headers.get('content-type')).toContain('application/problem+json');
      expect(body['requestId']).toBe(headers.get('x-request-id'));
    }
  },
);

test.each(['/v1/whoami', '/v1/none', '/docs', '/device', '/health'])(
  '%s answers with the headers of helmet',
  async (target) => {
    const { headers } = await plane.call('GET', target, undefined, '');
    expect(headers.get('content-security-policy')).toMatch(
      /default-src 'self'.*frame-ancestors 'self'.*script-src 'self'(;|$)/,
    );
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-frame-options')).toBe('SAMEORIGIN');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
  },
);

test.each([
  ['{', 'request.invalid'],
  [JSON.stringify({ name: 'x', kind: 'robot' }), 'request.invalid'],
  [JSON.stringify({ name: 'x', kind: 'service', more: 1 }), 'request.invalid'],
  [JSON.stringify({ name: 'x'.repeat(5_000_000), kind: 'service' }), 'frame.too_large'],
])('a body that is wrong is refused by code (%#)', async (body, code) => {
  const response = await fetch(`${plane.url}/v1/principals`, {
    method: 'POST',
    body,
    headers: { authorization: `Bearer ${plane.adminToken}`, 'content-type': 'application/json' },
  });
  expect(((await response.json()) as { code: string }).code).toBe(code);
});

test('bad tokens from one address are throttled', async () => {
  let last = 0;
  for (let i = 0; i < 70; i++) last = (await plane.call('GET', '/v1/whoami', undefined, `sp_${'B'.repeat(43)}`)).status;
  expect(last).toBe(429);
});
