/** Small laws of the house: headers, names, banned words, links that lead somewhere. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const sources = globSync('{apps,packages}/*/src/**/*.ts', { cwd: ROOT }).filter(
  (file) => !file.includes('/generated/') && !file.endsWith('.d.ts') && !file.endsWith('.test.ts'),
);
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

test('every source file but an index says first what it is', () => {
  const headless = sources.filter(
    (file) => basename(file) !== 'index.ts' && !/^(#!.*\n)?\s*(\/\*\*|\/\/)/.test(read(file)),
  );
  expect(headless).toEqual([]);
});

test('no file is named after nothing', () => {
  expect(sources.filter((file) => /(^|\/)(utils?|helpers?|common|misc|manager)\.ts$/.test(file))).toEqual([]);
});

test('no default exports, no enums, no unnumbered TODO', () => {
  const broken = sources.flatMap((file) => {
    const text = read(file);
    return [
      /^export default /m.test(text) ? `${file}: default export` : '',
      /^(export )?(const )?enum /m.test(text) ? `${file}: enum` : '',
      /\bTODO\b(?!\(#\d+\))/.test(text) ? `${file}: TODO without a number` : '',
    ].filter((line) => line !== '');
  });
  expect(broken).toEqual([]);
});

test('a secret is revealed only where credentials are used', () => {
  const allowed =
    /(login(\/[a-z-]+)?\.ts$|\/login\/|\/identity\/saml\/|\/credentials\/|\/signin\/|\/accounts\/|\/keys\/|\/db\/|packages\/core\/|apps\/cli\/)/;
  expect(sources.filter((file) => read(file).includes('.reveal()') && !allowed.test(file))).toEqual([]);
});

test('every relative link in the documents leads to a file', () => {
  const documents = globSync('{*.md,docs/**/*.md,deploy/**/*.md}', { cwd: ROOT });
  const broken = documents.flatMap((file) =>
    [...read(file).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)/g)]
      .filter((match) => !existsSync(resolve(ROOT, dirname(file), match[1]!)))
      .map((match) => `${file} → ${match[1]}`),
  );
  expect(broken).toEqual([]);
});

test('a document has one title', () => {
  const documents = globSync('{*.md,docs/**/*.md}', { cwd: ROOT });
  const titles = (file: string): number => {
    const prose = read(file).replaceAll(/^```[\s\S]*?^```/gm, '');
    return [...prose.matchAll(/^# /gm)].length;
  };
  expect(documents.filter((file) => titles(file) !== 1)).toEqual([]);
});

test('each runtime dependency has its line in docs/DEPENDENCIES.md', () => {
  const listed = read('docs/DEPENDENCIES.md');
  const missing = globSync('{apps,packages}/*/package.json', { cwd: ROOT }).flatMap((file) => {
    const manifest = JSON.parse(read(file)) as Record<string, Record<string, string> | undefined>;
    return Object.keys({ ...manifest['dependencies'], ...manifest['optionalDependencies'] })
      .filter((name) => !name.startsWith('@sallyport/') && !listed.includes(`\`${name}\``))
      .map((name) => `${file}: ${name}`);
  });
  expect(missing).toEqual([]);
});

test('reference pages are what the code says', async () => {
  const { referencePages } = await import('../scripts/reference.ts');
  const stale = Object.entries(referencePages()).filter(
    ([file, text]) => !existsSync(join(ROOT, file)) || read(file) !== text,
  );
  expect(stale.map(([file]) => `${file}: npm run gen`)).toEqual([]);
});
