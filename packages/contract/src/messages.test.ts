import { expect, test } from 'vitest';
import { wire } from './messages.ts';

test('a message comes back as it was, with its oneof named', () => {
  const bytes = wire.AgentMessage.encode({
    heartbeat: { instance: 'i', sequence: '18446744073709551615', head: Buffer.alloc(32, 7) },
  }).finish();
  const message = wire.AgentMessage.decode(bytes);
  expect(message.body).toBe('heartbeat');
  expect(message.heartbeat?.sequence).toBe('18446744073709551615');
});
