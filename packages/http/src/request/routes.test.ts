import { matchRoute, routesOfOpenApi } from '@sallyport/http';
import { expect, test } from 'vitest';

const DOCUMENT = {
  openapi: '3.1.0',
  servers: [{ url: 'https://api.example.com/v1/' }],
  paths: {
    '/customers': { get: { operationId: 'listCustomers' }, post: { operationId: 'createCustomer' }, parameters: [] },
    '/customers/{id}': { get: { operationId: 'getCustomer' }, delete: {} },
    '/customers/search': { post: { operationId: 'searchCustomers', 'x-sallyport-effects': ['read'] } },
    '/files/{name}.json': { get: { operationId: 'getJson' } },
    '/files/{name}': { get: { operationId: 'getFile' } },
    '/jobs/{id}:cancel': { post: { operationId: 'cancelJob', 'x-sallyport-effects': ['wipe'] } },
    '/other': { $ref: 'other.yaml#/x' },
  },
};

test('an OpenAPI document becomes routes, below what the resource names already', () => {
  const { routes, problems } = routesOfOpenApi(DOCUMENT, 'https://api.example.com');
  expect(routes.map((route) => `${route.method} ${route.path} ${route.operation}`)).toEqual([
    'GET /v1/customers listCustomers',
    'POST /v1/customers createCustomer',
    'GET /v1/customers/{id} getCustomer',
    'DELETE /v1/customers/{id} DELETE /v1/customers/{id}',
    'POST /v1/customers/search searchCustomers',
    'GET /v1/files/{name}.json getJson',
    'GET /v1/files/{name} getFile',
    'POST /v1/jobs/{id}:cancel cancelJob',
  ]);
  expect(routes[4]?.effects).toEqual(['read']);
  expect(problems).toHaveLength(2);
  expect(routesOfOpenApi(DOCUMENT, 'https://api.example.com/v1').routes[0]?.path).toBe('/customers');
  expect(
    routesOfOpenApi({ swagger: '2.0', basePath: '/v2', paths: { '/a': { get: {} } } }, 'http://x').routes[0]?.path,
  ).toBe('/v2/a');
  expect(routesOfOpenApi('nothing').problems).toHaveLength(1);
});

test('a path fits the most literal template, and its own method', () => {
  const { routes } = routesOfOpenApi(DOCUMENT);
  const operation = (method: string, path: string): string | undefined => matchRoute(routes, method, path)?.operation;
  expect(operation('GET', '/customers/7')).toBe('getCustomer');
  expect(operation('GET', '/customers/7/')).toBe('getCustomer');
  expect(operation('HEAD', '/customers/7')).toBe('getCustomer');
  expect(operation('POST', '/customers/search')).toBe('searchCustomers');
  expect(operation('GET', '/customers/search')).toBe('getCustomer');
  expect(operation('GET', '/files/a.json')).toBe('getJson');
  expect(operation('GET', '/files/a.txt')).toBe('getFile');
  expect(operation('POST', '/jobs/7:cancel')).toBe('cancelJob');
  expect(operation('POST', '/jobs/7')).toBeUndefined();
  expect(operation('PATCH', '/customers/7')).toBeUndefined();
  expect(operation('GET', '/customers/7/8')).toBeUndefined();
  expect(operation('GET', '/Customers/7')).toBeUndefined();
});
