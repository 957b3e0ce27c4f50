/** Writes packages/api-client/src/generated/schema.ts from docs/reference/openapi.json. A test says when it is stale. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { renderSchemas } from '../src/render-schemas.ts';

const here = path.join(import.meta.dirname, '..');
const document = JSON.parse(readFileSync(path.join(here, '../../docs/reference/openapi.json'), 'utf8'));
writeFileSync(path.join(here, 'src/generated/schema.ts'), renderSchemas(document));
