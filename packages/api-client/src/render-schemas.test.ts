import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { type OpenApiDocument, renderSchemas } from './render-schemas.ts';

test('the generated types are what the OpenAPI document says', () => {
  const file = path.join(import.meta.dirname, '../../../docs/reference/openapi.json');
  const document = JSON.parse(readFileSync(file, 'utf8')) as OpenApiDocument;
  const current = readFileSync(path.join(import.meta.dirname, 'generated/schema.ts'), 'utf8');
  expect(current, 'node packages/api-client/scripts/generate.ts').toBe(renderSchemas(document));
});

test('a schema without words here is refused, never dropped', () => {
  expect(() => renderSchemas({ components: { schemas: { X: { type: 'null' } } } })).toThrow();
});
