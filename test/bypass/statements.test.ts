/** Every row of rows/, as a simple query and in the extended protocol. */
import { afterAll, describe, inject, test } from 'vitest';
import { type Attempt, attempt } from '../wire/attempt.ts';
import { gatewayTo } from '../wire/gateway.ts';
import { CODE } from './rows/code.ts';
import { SETTINGS } from './rows/settings.ts';
import { STATEMENTS } from './rows/statements.ts';

const gateway = gatewayTo(inject('dev'), inject('serverLog'));
afterAll(() => gateway.close());

const TABLES: Readonly<Record<string, readonly Attempt[]>> = {
  'hidden in the text': STATEMENTS,
  'code, files, doors out and rights': CODE,
  settings: SETTINGS,
};

for (const [title, rows] of Object.entries(TABLES)) {
  describe(title, () => {
    for (const row of rows) {
      for (const how of row.how === undefined ? (['query', 'extended'] as const) : [row.how]) {
        test(`${row.name}: ${row.expect} (${how})`, () => attempt(gateway, row, how));
      }
    }
  });
}
