/** Certificates that ssh-keygen of OpenSSH 9.2 made, held against what was asked for. */
import { GatewayError } from '@sallyport/core';
import { expect, test } from 'vitest';
import { type SshCertificateAsk, takeSshCertificate } from './ssh-certificate.ts';

/** `ssh-keygen -s ca -I "key of <type>" -n app,deploy -z 42 -V 20260101…Z:20260102…Z -O force-command=/bin/true`. */
const MADE = {
  ed25519: {
    key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL31pHrCRCWh2f57RQ5UlfqXN9+1xjsQLjp5UCMBOTZ6',
    certificate:
      'ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIJQjZ1NVapj5uahNlQf2ll6yBWYytkeg6tU0XlrtE27xAAAAIL31pHrCRCWh2f57RQ5UlfqXN9+1xjsQLjp5UCMBOTZ6AAAAAAAAACoAAAABAAAADmtleSBvZiBlZDI1NTE5AAAAEQAAAANhcHAAAAAGZGVwbG95AAAAAGlVuQAAAAAAaVcKgAAAACIAAAANZm9yY2UtY29tbWFuZAAAAA0AAAAJL2Jpbi90cnVlAAAAZAAAABVwZXJtaXQtWDExLWZvcndhcmRpbmcAAAAAAAAAF3Blcm1pdC1hZ2VudC1mb3J3YXJkaW5nAAAAAAAAAApwZXJtaXQtcHR5AAAAAAAAAA5wZXJtaXQtdXNlci1yYwAAAAAAAAAAAAAAMwAAAAtzc2gtZWQyNTUxOQAAACC6/w4u8d8tWyeSIZ8tC7dzjh2dP29YQ6xEP4AXaesk8wAAAFMAAAALc3NoLWVkMjU1MTkAAABAHvY4GeJUZUli6DSxgvFCfuB+68XmqTad6p/sV9tvCr0V8z5FH7kYaN9sZrvhyDzKG6AwtcJfCIZUnuJJAornDA==',
  },
  ecdsa: {
    key: 'ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBDMYWjMdc3Zuqchj0B9FPVAtiZjxN1N1dvcwMtuYRcX+R8jZNNdzy8eeBDhOf0cAbTq6u7l2hWaVjNDYRLvGtic=',
    certificate:
      'ecdsa-sha2-nistp256-cert-v01@openssh.com AAAAKGVjZHNhLXNoYTItbmlzdHAyNTYtY2VydC12MDFAb3BlbnNzaC5jb20AAAAgSKDvcBqzdP67t9rBIWNznF2u+pFk2ZbRbCVaUUONpNwAAAAIbmlzdHAyNTYAAABBBDMYWjMdc3Zuqchj0B9FPVAtiZjxN1N1dvcwMtuYRcX+R8jZNNdzy8eeBDhOf0cAbTq6u7l2hWaVjNDYRLvGticAAAAAAAAAKgAAAAEAAAAMa2V5IG9mIGVjZHNhAAAAEQAAAANhcHAAAAAGZGVwbG95AAAAAGlVuQAAAAAAaVcKgAAAACIAAAANZm9yY2UtY29tbWFuZAAAAA0AAAAJL2Jpbi90cnVlAAAAZAAAABVwZXJtaXQtWDExLWZvcndhcmRpbmcAAAAAAAAAF3Blcm1pdC1hZ2VudC1mb3J3YXJkaW5nAAAAAAAAAApwZXJtaXQtcHR5AAAAAAAAAA5wZXJtaXQtdXNlci1yYwAAAAAAAAAAAAAAMwAAAAtzc2gtZWQyNTUxOQAAACC6/w4u8d8tWyeSIZ8tC7dzjh2dP29YQ6xEP4AXaesk8wAAAFMAAAALc3NoLWVkMjU1MTkAAABAnWe0WM8leP2oo2lBY+El3pmDv3U2xXdyuh/iYoFFUNR2LWeNTXe0yr1d7baUlhOs3fjf4OSPfi2Sk9vfmdF0CA==',
  },
  rsa: {
    key: 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQCrcc1e31iBCVTS+boAXgocNxmdD9LFIOZZFDVyshvy/czFoFtWjNfDCo6Vgnks+/+z+JLGExe0yO5peLMQAJDJhW3y6qQBsGFSNb2alT2aSfHSXfSLTXB3bZbqJIHh5v5TXFLb8oTrfv9oTyroonFSf//HbQ3OrY9LzLtBqpYvF85s18ntOOCSQQSBbZx9DibTYhouzw4VGf8HZcgaq15rJImNTy16MczC4tNNn0feKRWFSq6peRY8VOWiiPx/jwp8bMuFzS8FzaESKZRcAjUC4f24EOtDx1ET+pkdsis9JWcoXM5Vn/vZVac1Xgf9p3wwfHyqwTr9RX2Lp7fZ3sBi7wHO6J8FzWlKEF55NEP21OtaRU2kIJEt2AuEMWOjrOaGawox5c6hkpS82XvH0ZG8yps6K7lqEh2qYcJegkW0vg6byG6CEX64r9Jzs54aXzCcxejz+a/T+cy0t1U+8JHZyna3f4ukORN7IDuEywCYFYlKBtJvKjAk1W5ikhTrV3M=',
    certificate:
      'ssh-rsa-cert-v01@openssh.com AAAAHHNzaC1yc2EtY2VydC12MDFAb3BlbnNzaC5jb20AAAAggQd7tEI/FBNPuHwRC+YjK8fvMH/GFm6ptB7EqhSpnxgAAAADAQABAAABgQCrcc1e31iBCVTS+boAXgocNxmdD9LFIOZZFDVyshvy/czFoFtWjNfDCo6Vgnks+/+z+JLGExe0yO5peLMQAJDJhW3y6qQBsGFSNb2alT2aSfHSXfSLTXB3bZbqJIHh5v5TXFLb8oTrfv9oTyroonFSf//HbQ3OrY9LzLtBqpYvF85s18ntOOCSQQSBbZx9DibTYhouzw4VGf8HZcgaq15rJImNTy16MczC4tNNn0feKRWFSq6peRY8VOWiiPx/jwp8bMuFzS8FzaESKZRcAjUC4f24EOtDx1ET+pkdsis9JWcoXM5Vn/vZVac1Xgf9p3wwfHyqwTr9RX2Lp7fZ3sBi7wHO6J8FzWlKEF55NEP21OtaRU2kIJEt2AuEMWOjrOaGawox5c6hkpS82XvH0ZG8yps6K7lqEh2qYcJegkW0vg6byG6CEX64r9Jzs54aXzCcxejz+a/T+cy0t1U+8JHZyna3f4ukORN7IDuEywCYFYlKBtJvKjAk1W5ikhTrV3MAAAAAAAAAKgAAAAEAAAAKa2V5IG9mIHJzYQAAABEAAAADYXBwAAAABmRlcGxveQAAAABpVbkAAAAAAGlXCoAAAAAiAAAADWZvcmNlLWNvbW1hbmQAAAANAAAACS9iaW4vdHJ1ZQAAAGQAAAAVcGVybWl0LVgxMS1mb3J3YXJkaW5nAAAAAAAAABdwZXJtaXQtYWdlbnQtZm9yd2FyZGluZwAAAAAAAAAKcGVybWl0LXB0eQAAAAAAAAAOcGVybWl0LXVzZXItcmMAAAAAAAAAAAAAADMAAAALc3NoLWVkMjU1MTkAAAAguv8OLvHfLVsnkiGfLQu3c44dnT9vWEOsRD+AF2nrJPMAAABTAAAAC3NzaC1lZDI1NTE5AAAAQAXMVRanjfS7g/2lDfsbEGB5FMnwrZNkEE0FB71cHr3PUvVHtxlTNoGFWvGIbJsyxAhOSy86Lj38bBeDlEYOVwM=',
  },
} as const;
/** Without `-n`: good for every account. */
const FOR_ALL =
  'ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIFduM6wamclxz8nfNi9VnB1QzMrsLg/fTZX9r44QfxjIAAAAIL31pHrCRCWh2f57RQ5UlfqXN9+1xjsQLjp5UCMBOTZ6AAAAAAAAAAAAAAABAAAABG5vbmUAAAAAAAAAAGlVuQAAAAAAaVcKgAAAAAAAAACCAAAAFXBlcm1pdC1YMTEtZm9yd2FyZGluZwAAAAAAAAAXcGVybWl0LWFnZW50LWZvcndhcmRpbmcAAAAAAAAAFnBlcm1pdC1wb3J0LWZvcndhcmRpbmcAAAAAAAAACnBlcm1pdC1wdHkAAAAAAAAADnBlcm1pdC11c2VyLXJjAAAAAAAAAAAAAAAzAAAAC3NzaC1lZDI1NTE5AAAAILr/Di7x3y1bJ5Ihny0Lt3OOHZ0/b1hDrEQ/gBdp6yTzAAAAUwAAAAtzc2gtZWQyNTUxOQAAAECq/NK9bxhe7IQ5YP8tETu/TdhPql2K6kovMfMyyu9cQFLVuQp16tfFHQM0FfC21vbdwmjVSTzhDvGJxmzcHzAM';
/** With `-h`: of a host. */
const OF_A_HOST =
  'ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIELuMQ4m0UQhuEFw6ACUTeWsl01ZTkrC9LaNECHkEex+AAAAIL31pHrCRCWh2f57RQ5UlfqXN9+1xjsQLjp5UCMBOTZ6AAAAAAAAAAAAAAACAAAABGhvc3QAAAAHAAAAA2FwcAAAAABpVbkAAAAAAGlXCoAAAAAAAAAAAAAAAAAAAAAzAAAAC3NzaC1lZDI1NTE5AAAAILr/Di7x3y1bJ5Ihny0Lt3OOHZ0/b1hDrEQ/gBdp6yTzAAAAUwAAAAtzc2gtZWQyNTUxOQAAAEAmBUGtW9ljp6dOwQUZP+ZNro090+UI11vP7sCqra5/CmZE5a454HrUVJRtYLOGIZd/Dxf8Qwdvt2JkR41y5x4C';

const FROM = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;
const asked = (more: Partial<SshCertificateAsk> = {}): SshCertificateAsk => ({
  publicKey: MADE.ed25519.key,
  principals: ['deploy', 'app'],
  ttlMs: DAY_MS,
  ...more,
});
const REFUSED = 'credential.unavailable';
const taken = (line: string, wanted = asked(), nowMs = FROM + 1000): string => {
  try {
    takeSshCertificate('vault', line, wanted, nowMs);
    return 'taken';
  } catch (error) {
    return error instanceof GatewayError ? error.code : String(error);
  }
};

test.each(Object.entries(MADE))('a certificate of an %s key is taken when it is the one asked for', (_type, made) => {
  const wanted = asked({ publicKey: made.key });
  const issued = takeSshCertificate('vault', `${made.certificate} comment\n`, wanted, FROM + 1000);
  expect(issued).toMatchObject({ line: made.certificate, expiresAtMs: FROM + DAY_MS });
  expect([...issued.certificate.critical]).toEqual([['force-command', '/bin/true']]);
});

test('a certificate for another key, other accounts or another time is refused', () => {
  const { certificate } = MADE.ed25519;
  expect(taken(certificate)).toBe('taken');
  expect(taken(certificate, asked({ publicKey: MADE.rsa.key }))).toBe(REFUSED);
  expect(taken(certificate, asked({ principals: ['app'] }))).toBe(REFUSED);
  expect(taken(certificate, asked({ principals: ['app', 'deploy', 'root'] }))).toBe(REFUSED);
  expect(taken(certificate, asked({ ttlMs: DAY_MS / 2 }))).toBe(REFUSED);
  expect(taken(certificate, asked(), FROM + DAY_MS)).toBe(REFUSED);
  expect(taken(certificate, asked(), FROM - 600_000)).toBe(REFUSED);
  expect(taken(FOR_ALL, asked({ principals: [] }))).toBe(REFUSED);
  expect(taken(FOR_ALL)).toBe(REFUSED);
  expect(taken(OF_A_HOST, asked({ principals: ['app'] }))).toBe(REFUSED);
});

test('a certificate that is cut, longer, damaged, or of a type it does not name is refused', () => {
  const [type = '', base64 = ''] = MADE.ed25519.certificate.split(' ');
  const blob = Buffer.from(base64, 'base64');
  const of = (bytes: Buffer, as = type): string => taken(`${as} ${bytes.toString('base64')}`);
  expect(of(blob)).toBe('taken');
  for (let length = 0; length < blob.length; length += 7)
    expect(of(blob.subarray(0, length)), String(length)).toBe(REFUSED);
  expect(of(Buffer.concat([blob, Buffer.of(0)]))).toBe(REFUSED);
  const damaged = Buffer.from(blob);
  damaged[damaged.length - 1]! ^= 1;
  expect(of(damaged)).toBe(REFUSED);
  expect(of(blob, 'ssh-rsa-cert-v01@openssh.com')).toBe(REFUSED);
  expect(of(blob, 'ssh-ed25519')).toBe(REFUSED);
  expect(taken('')).toBe(REFUSED);
});
