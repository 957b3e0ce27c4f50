/** Certificates that ssh-keygen of OpenSSH 9.2 made, read and held against what was asked for; every cut of one is refused. */
import { GatewayError } from '@sallyport/core';
import { expect, test } from 'vitest';
import { parseSshCertificate, requireCertificateFor, type SshCertificateAsk } from './ssh-certificate.ts';

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
    key: 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCzPznTRk8JLhU4P9ypD118si198jMpeVbbkGBqGDwuRBWqX1YCttF5oVrsq0ESN2Ng9/ia5+EKD3Zaesa/qzOSg2S3C58w74NAOLAPTc+EzW5X2xdotpKEkASab4A2fDVWlp8ZGtIRjA5SM7VgMvDVrFzeQuksrBTUTyME7cJXuwCQKahWlhNM/rtOw5GYHqyhY+kJfuCxqIB3+tXe2s+YpjpejhxhJdoNiimPG7q9CC1QjzVAIgm1nVWfyk4Lt2DE3kHIuQ62xRky3e/4jMP6U5tHHq5oKgOqSx+2/y6/KH9epK+YZQqhsYyne29vv9YdPdVT9hTgWceCrQIjAwTN',
    certificate:
      'ssh-rsa-cert-v01@openssh.com AAAAHHNzaC1yc2EtY2VydC12MDFAb3BlbnNzaC5jb20AAAAgJcXydi1r/olDaoI/TlUQMVccvG+OWYXoXZJLScbQcbEAAAADAQABAAABAQCzPznTRk8JLhU4P9ypD118si198jMpeVbbkGBqGDwuRBWqX1YCttF5oVrsq0ESN2Ng9/ia5+EKD3Zaesa/qzOSg2S3C58w74NAOLAPTc+EzW5X2xdotpKEkASab4A2fDVWlp8ZGtIRjA5SM7VgMvDVrFzeQuksrBTUTyME7cJXuwCQKahWlhNM/rtOw5GYHqyhY+kJfuCxqIB3+tXe2s+YpjpejhxhJdoNiimPG7q9CC1QjzVAIgm1nVWfyk4Lt2DE3kHIuQ62xRky3e/4jMP6U5tHHq5oKgOqSx+2/y6/KH9epK+YZQqhsYyne29vv9YdPdVT9hTgWceCrQIjAwTNAAAAAAAAACoAAAABAAAACmtleSBvZiByc2EAAAARAAAAA2FwcAAAAAZkZXBsb3kAAAAAaVW5AAAAAABpVwqAAAAAIgAAAA1mb3JjZS1jb21tYW5kAAAADQAAAAkvYmluL3RydWUAAABkAAAAFXBlcm1pdC1YMTEtZm9yd2FyZGluZwAAAAAAAAAXcGVybWl0LWFnZW50LWZvcndhcmRpbmcAAAAAAAAACnBlcm1pdC1wdHkAAAAAAAAADnBlcm1pdC11c2VyLXJjAAAAAAAAAAAAAAAzAAAAC3NzaC1lZDI1NTE5AAAAILr/Di7x3y1bJ5Ihny0Lt3OOHZ0/b1hDrEQ/gBdp6yTzAAAAUwAAAAtzc2gtZWQyNTUxOQAAAEAQYx0qXXBh9dtIURspC0GWMxava4uTUv0F+p5FkfS9zmDIbKEJSGcLBrXiRjsaUVWhBxpkHVgo/uBAsGeAFYgA',
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
const codeOf = (work: () => void): string => {
  try {
    work();
    return 'none';
  } catch (error) {
    return error instanceof GatewayError ? error.code : String(error);
  }
};
const checked = (line: string, wanted: SshCertificateAsk, nowMs = FROM + 1000): string =>
  codeOf(() => requireCertificateFor('vault', parseSshCertificate('vault', line), wanted, nowMs));

test.each(Object.entries(MADE))(
  'a certificate of an %s key is read, and is the one asked for',
  (type, { key, certificate }) => {
    const read = parseSshCertificate('vault', `${certificate} comment`);
    expect(read).toMatchObject({
      certificate,
      serial: '42',
      keyId: `key of ${type}`,
      principals: ['app', 'deploy'],
      validAfterMs: FROM,
      expiresAtMs: FROM + DAY_MS,
    });
    expect([...read.criticalOptions]).toEqual([['force-command', '/bin/true']]);
    expect(read.extensions).toContain('permit-pty');
    expect(read.extensions).not.toContain('permit-port-forwarding');
    expect(checked(certificate, asked({ publicKey: key }))).toBe('none');
  },
);

test('a certificate for another key, other accounts or another time is refused', () => {
  const { certificate } = MADE.ed25519;
  const refused = 'credential.unavailable';
  expect(checked(certificate, asked({ publicKey: MADE.rsa.key }))).toBe(refused);
  expect(checked(certificate, asked({ principals: ['app'] }))).toBe(refused);
  expect(checked(certificate, asked({ principals: ['app', 'deploy', 'root'] }))).toBe(refused);
  expect(checked(certificate, asked({ ttlMs: DAY_MS / 2 }))).toBe(refused);
  expect(checked(certificate, asked(), FROM + DAY_MS)).toBe(refused);
  expect(checked(certificate, asked(), FROM - 600_000)).toBe(refused);
  expect(checked(FOR_ALL, asked({ principals: [] }))).toBe(refused);
  expect(checked(FOR_ALL, asked())).toBe(refused);
  expect(codeOf(() => parseSshCertificate('vault', OF_A_HOST))).toBe(refused);
});

test('a certificate that is cut anywhere, longer, or of a type it does not name is refused', () => {
  const [type = '', base64 = ''] = MADE.ed25519.certificate.split(' ');
  const blob = Buffer.from(base64, 'base64');
  const read = (bytes: Buffer, as = type): string =>
    codeOf(() => parseSshCertificate('vault', `${as} ${bytes.toString('base64')}`));
  expect(read(blob)).toBe('none');
  for (let length = 0; length < blob.length; length++)
    expect(read(blob.subarray(0, length)), String(length)).toBe('credential.unavailable');
  expect(read(Buffer.concat([blob, Buffer.of(0)]))).toBe('credential.unavailable');
  expect(read(blob, 'ssh-rsa-cert-v01@openssh.com')).toBe('credential.unavailable');
  expect(read(blob, 'ssh-ed25519')).toBe('credential.unavailable');
  expect(read(Buffer.concat([blob, Buffer.alloc(20_000)]))).toBe('credential.unavailable');
  expect(codeOf(() => parseSshCertificate('vault', ''))).toBe('credential.unavailable');
});
