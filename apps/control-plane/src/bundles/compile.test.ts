import { readFileSync } from 'node:fs';
import path from 'node:path';
import { wire } from '@sallyport/contract';
import { GatewayError } from '@sallyport/core';
import { expect, test } from 'vitest';
import { canonicalJson } from './canonical.ts';
import { type BundleSource, compileBundle } from './compile.ts';

const GOLDEN = path.join(import.meta.dirname, '../../../../packages/contract/golden');
const read = (name: string): string => readFileSync(path.join(GOLDEN, name), 'utf8').trim();

const source = JSON.parse(read('bundle-source.json')) as BundleSource;
const agent = { id: '0190b3a4-0000-7000-8000-00000000000a', name: 'north', pages: true };
const namesOf = (bundle: ReturnType<typeof compileBundle>): string[] => bundle.chunks.map((chunk) => chunk.name);

test('the same state gives the same bytes, for good', () => {
  const bundle = compileBundle(source, agent);
  expect(bundle.manifest.toString('hex')).toBe(read('bundle-manifest.hex'));
  const bodies = bundle.chunks
    .map((chunk) => `${chunk.name} ${chunk.digest.toString('hex')} ${chunk.body.toString()}`)
    .join('\n');
  expect(bodies).toBe(read('bundle-chunks.txt'));
});

test('the order of rows and of their members changes nothing', () => {
  const shuffled: BundleSource = {
    ...source,
    resources: [...source.resources].reverse(),
    policies: [...source.policies].reverse(),
    grants: [...source.grants].reverse(),
    groups: [...source.groups].reverse().map((group) => ({ ...group, members: [...group.members].reverse() })),
    revocations: [...source.revocations].reverse(),
  };
  expect(compileBundle(shuffled, agent).manifest.equals(compileBundle(source, agent).manifest)).toBe(true);
});

test('an agent gets its own resources, the grants on them, and every policy', () => {
  const other = compileBundle(source, { ...agent, name: 'south' });
  expect(namesOf(other).filter((name) => name.startsWith('resource/'))).toEqual([
    'resource/0190b3a4-0000-7000-8000-000000000102',
  ]);
  expect(namesOf(other).filter((name) => name.startsWith('grant/'))).toEqual([
    'grant/0190b3a4-0000-7000-8000-000000000301',
  ]);
  expect(namesOf(other).filter((name) => name.startsWith('policy/'))).toHaveLength(source.policies.length);
  expect(other.credentialIds).toEqual([]);
  expect(compileBundle(source, agent).credentialIds).toEqual(['0190b3a4-0000-7000-8000-000000000501']);
});

test('what ended before the revision was made is left out', () => {
  const later = compileBundle({ ...source, createdAt: source.createdAt + 10 * 86_400_000 }, agent);
  expect(namesOf(later)).not.toContain('grant/0190b3a4-0000-7000-8000-000000000302');
});

test('the manifest requires what enforcing it takes', () => {
  const requires = (bundle: BundleSource): string[] =>
    wire.BundleManifest.decode(compileBundle(bundle, agent).manifest).requires ?? [];
  expect(requires(source)).toEqual([
    'postgres.1',
    'policy.cel.1',
    'mask.columns.1',
    'mask.detect.1',
    'approval.once.1',
    'trail.1',
  ]);
  expect(requires({ ...source, resources: [], policies: [] })).toEqual(['trail.1']);
  const [first] = source.resources;
  const limited = { ...first!, resource: { ...first!.resource, idleMsMax: 60_000 } };
  expect(requires({ ...source, resources: [limited] })).toContain('session.limits.1');
});

test('a row that the agents’ parser would refuse never becomes a bundle', () => {
  const [first] = source.resources;
  const wrong = {
    ...source,
    resources: [{ ...first!, resource: { ...first!.resource, surprise: 1 } }],
  } as unknown as BundleSource;
  expect(() => compileBundle(wrong, agent)).toThrowError(
    expect.objectContaining({ code: 'bundle.malformed' }) as GatewayError,
  );
});

test('canonical JSON has one spelling and refuses what has none', () => {
  expect(canonicalJson({ b: 1, a: [true, null, 'é"'], c: undefined })).toBe('{"a":[true,null,"é\\""],"b":1}');
  for (const value of [1.5, Number.NaN, () => 1, Symbol('x'), 1n])
    expect(() => canonicalJson(value)).toThrow(TypeError);
});
