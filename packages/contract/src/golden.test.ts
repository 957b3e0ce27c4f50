import { readFileSync } from 'node:fs';
import path from 'node:path';
import { LIMITS } from '@sallyport/core';
import {
  type BundleChunkKind,
  CHUNK_PARSERS,
  needsSources,
  parseAccessTokenClaims,
  parseCredentialSource,
} from '@sallyport/model';
import { expect, test } from 'vitest';
import { wire } from './messages.ts';

const read = (name: string): string => readFileSync(path.join(import.meta.dirname, '../golden', name), 'utf8').trim();

test('a manifest of the first version reads as it was written, and encodes to the same bytes', () => {
  const bytes = Buffer.from(read('bundle-manifest.hex'), 'hex');
  const manifest = wire.BundleManifest.decode(bytes);
  expect(manifest).toMatchObject({
    format: 1,
    agentId: '0190b3a4-0000-7000-8000-00000000000a',
    projectId: '0190b3a4-0000-7000-8000-000000000001',
    epoch: 2,
    revision: 17,
    createdAt: '1795230000000',
  });
  expect(Buffer.from(wire.BundleManifest.encode(manifest).finish()).equals(bytes)).toBe(true);
});

test('chunks of the first version pass the strict parsers', () => {
  const lines = read('bundle-chunks.txt').split('\n');
  const digests = new Map(lines.map((line) => [line.split(' ')[0]!, line.split(' ')[1]!]));
  const manifest = wire.BundleManifest.decode(Buffer.from(read('bundle-manifest.hex'), 'hex'));
  expect((manifest.chunks ?? []).map((chunk) => [chunk.name, Buffer.from(chunk.digest ?? []).toString('hex')])).toEqual(
    [...digests],
  );
  for (const line of lines) {
    const [name, , ...body] = line.split(' ');
    const kind = name!.slice(0, name!.indexOf('/')) as BundleChunkKind;
    expect(() => CHUNK_PARSERS[kind](JSON.parse(body.join(' ')), name!)).not.toThrow();
  }
});

test('access-token claims of the first version are read, and fit the limit with header and signature', () => {
  const claims = parseAccessTokenClaims(JSON.parse(read('access-token-claims.json')), '');
  expect(claims.obo?.nam).toBe('ana');
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = `${part({ alg: 'ES256', typ: 'at+jwt', kid: 'at-6733d28b' })}.${part(claims)}.${'s'.repeat(86)}`;
  expect(token.length).toBeLessThan(LIMITS.accessTokenBytesMax);
});

test('a claim that nobody knows is refused, not dropped', () => {
  const claims = JSON.parse(read('access-token-claims.json')) as object;
  expect(() => parseAccessTokenClaims({ ...claims, admin: true }, '')).toThrow(/admin/);
});

test('credential sources are read as they were written, and only those of the first version need no capability', () => {
  const sources = JSON.parse(read('credential-sources.json')) as unknown[];
  const parsed = sources.map((source) => parseCredentialSource(source, ''));
  expect(parsed).toEqual(sources);
  expect(parsed.map(needsSources)).toEqual([false, true, true, true]);
  expect(() => parseCredentialSource({ ...(sources[0] as object), password: 'x' }, '')).toThrow();
});

test('a trusted issuer is read as it was written, and an unknown field of it refuses the bundle', () => {
  const lines = read('issuer-chunk.txt').split('\n');
  expect(lines.length).toBe(2);
  for (const line of lines) {
    const body = JSON.parse(line.slice(line.indexOf(' ') + 1)) as object;
    const parsed = CHUNK_PARSERS.issuer(body, '');
    expect(parsed).toEqual(body);
    expect(line.startsWith(`issuer/${parsed.id} `)).toBe(true);
    expect(() => CHUNK_PARSERS.issuer({ ...body, oneTime: true }, '')).toThrow(/oneTime/);
  }
});

test('every claim in use is read as it was written, stands in a golden token, and each token fits the limit', () => {
  const tokens = JSON.parse(read('access-token-claims-in-use.json')) as Record<string, Record<string, unknown>>;
  const seen = new Set<string>();
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  for (const [what, claims] of Object.entries(tokens)) {
    expect(parseAccessTokenClaims(claims, ''), what).toEqual(claims);
    for (const name of Object.keys(claims)) seen.add(name);
    const token = `${part({ alg: 'ES256', typ: 'at+jwt', kid: 'at-6733d28b' })}.${part(claims)}.${'s'.repeat(86)}`;
    expect(token.length, what).toBeLessThan(LIMITS.accessTokenBytesMax);
    // What tokens measure in use, so that a claim's cost is seen when it is added (ADR 0010).
    expect(token.length, what).toBeLessThan(what === 'for a person who signed in' ? 720 : 700);
  }
  // Of what the parser takes nothing is missing here: a claim that is added adds its golden token.
  const every = 'iss aud sub nam knd obo jti iat exp prj gr amr acr ath idp rsn cnf'.split(' ');
  expect([...seen].toSorted()).toEqual(every.toSorted());
  for (const name of every) {
    const wrong = { ...Object.values(tokens)[1], [name]: { unknown: true } };
    expect(() => parseAccessTokenClaims(wrong, ''), name).toThrow();
  }
});

test('resources over HTTP, and masks and facts of them, are read as they were written, and an unknown field refuses the bundle', () => {
  const lines = read('http-chunks.txt').split('\n');
  expect(lines.map((line) => line.split('/')[0])).toEqual(['resource', 'resource', 'resource', 'policy']);
  for (const line of lines) {
    const [name, ...rest] = line.split(' ');
    const kind = name!.slice(0, name!.indexOf('/')) as BundleChunkKind;
    const body = JSON.parse(rest.join(' ')) as Record<string, unknown>;
    expect(CHUNK_PARSERS[kind](body, '')).toEqual(body);
    expect(() => CHUNK_PARSERS[kind]({ ...body, later: true }, '')).toThrow(/later/);
    const target = body[body['kind'] as string] as object | undefined;
    if (target !== undefined)
      expect(() => CHUNK_PARSERS[kind]({ ...body, [body['kind'] as string]: { ...target, later: 1 } }, '')).toThrow(
        /later/,
      );
  }
});
