import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { expect, test } from 'vitest';
import { startScram } from './scram.ts';

/** The server's side, from the text of RFC 5802 alone. */
function server(password: string, clientFirst: string, iterations = 4096) {
  const bare = clientFirst.replace(/^[^,]*,[^,]*,/, '');
  const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
  const nonce = `${/r=([^,]+)/.exec(bare)![1]}server`;
  const first = `r=${nonce},s=${salt.toString('base64')},i=${iterations}`;
  const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  return {
    first,
    final(clientFinal: string): string {
      const [, withoutProof, proof] = /^(.*),p=(.*)$/.exec(clientFinal)!;
      const message = `${bare},${first},${withoutProof}`;
      const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
      const stored = createHash('sha256').update(hmac(salted, 'Client Key')).digest();
      const signature = hmac(stored, message);
      const key = Buffer.from(Buffer.from(proof!, 'base64').map((byte, i) => byte ^ signature[i]!));
      expect(createHash('sha256').update(key).digest().equals(stored)).toBe(true);
      return `v=${hmac(hmac(salted, 'Server Key'), message).toString('base64')}`;
    },
  };
}

const nonce = Buffer.alloc(18, 7);

test('client and server prove themselves to each other', async () => {
  const scram = startScram('pencil', { kind: 'none' }, nonce);
  const other = server('pencil', scram.clientFirst);
  const final = await scram.clientFinal(other.first);
  expect(final.startsWith('c=biws,r=')).toBe(true);
  scram.verify(other.final(final));
});

test('a server that does not know the password is found out', async () => {
  const scram = startScram('pencil', { kind: 'none' }, nonce);
  await scram.clientFinal(server('pencil', scram.clientFirst).first);
  expect(() => scram.verify(`v=${Buffer.alloc(32).toString('base64')}`)).toThrowError(
    expect.objectContaining({ code: 'upstream.auth' }),
  );
  expect(() => scram.verify('e=other-error')).toThrowError(expect.objectContaining({ code: 'upstream.auth' }));
});

test.each([
  ['a nonce that is not an extension of ours', 'r=somebody-else,s=AAAA,i=4096', 'upstream.auth'],
  ['our own nonce sent back', `r=${nonce.toString('base64')},s=AAAA,i=4096`, 'upstream.auth'],
  [
    'a number of iterations that would keep us busy',
    `r=${nonce.toString('base64')}x,s=AAAA,i=2000000`,
    'upstream.protocol',
  ],
  ['an extension that must be understood', `m=x,r=${nonce.toString('base64')}x,s=AAAA,i=4096`, 'upstream.protocol'],
])('%s ends the sign-in', async (_what, first, code) => {
  const scram = startScram('pencil', { kind: 'unused' }, nonce);
  expect(scram.clientFirst.startsWith('y,,')).toBe(true);
  await expect(scram.clientFinal(first)).rejects.toMatchObject({ code });
});

test('a server that asks for many iterations keeps nobody else waiting', async () => {
  const scram = startScram('pencil', { kind: 'none' }, nonce);
  let turned = false;
  setImmediate(() => {
    turned = true;
  });
  await scram.clientFinal(server('pencil', scram.clientFirst, 1_000_000).first);
  expect(turned).toBe(true);
});
