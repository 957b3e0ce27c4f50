import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';

const ADDON = createRequire(import.meta.url).resolve('ssh2/lib/protocol/crypto/build/Release/sshcrypto.node');
/** Ciphers of sessions that have ended, and memory enough that the collector comes by itself. */
const MAKE_AND_FORGET = `
  const { AESGCMCipher, AESGCMDecipher, ChaChaPolyCipher, ChaChaPolyDecipher } = require(process.argv[1]);
  const bytes = (length) => Buffer.alloc(length, 7);
  let rounds = 0;
  (function round() {
    for (let i = 0; i < 2000; i++) {
      new ChaChaPolyCipher(bytes(64)), new ChaChaPolyDecipher(bytes(64));
      new AESGCMCipher('aes-128-gcm', bytes(16), bytes(12)), new AESGCMDecipher('aes-128-gcm', bytes(16), bytes(12));
    }
    const garbage = Array.from({ length: 20_000 }, (_, i) => ({ i }));
    if (++rounds < 20) setTimeout(round, 1, garbage);
    else console.log('whole');
  })();`;

test('the native addon outlives the ciphers of sessions that have ended', () => {
  const { stdout, stderr } = spawnSync(process.execPath, ['--max-semi-space-size=4', '-e', MAKE_AND_FORGET, ADDON], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(stdout).toBe('whole\n');
});
