/** What `npm start` says of its ports before it builds, wipes or starts anything. */
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { ANY_PORTS, requireFreePorts } from './stack.ts';

test('a port that is taken, or given twice, is named with its option', async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const { port } = holder.address() as { port: number };
  await expect(requireFreePorts({ ...ANY_PORTS, postgres: port })).rejects.toThrow('--postgres-port');
  await new Promise<void>((resolve) => holder.close(() => resolve()));
  await expect(requireFreePorts({ ...ANY_PORTS, postgresPlaintext: port })).resolves.toBeUndefined();
  await expect(requireFreePorts({ ...ANY_PORTS, rest: port, demo: port })).rejects.toThrow(
    '--rest-port and --demo-port',
  );
});
