/** What browsers are asked to keep, and what counts as kept: under https only what this very host has set. */
import { expect, test } from 'vitest';
import { Listening } from '../listening.ts';
import { Cookies, SESSION_COOKIE, STATE_COOKIE } from './cookies.ts';

const at = (url: string): Cookies =>
  new Cookies(Object.assign(Object.create(Listening.prototype) as Listening, { publicUrl: () => url }));
const read = (cookies: Cookies, cookie: string | undefined) => cookies.read({ headers: { cookie } }, SESSION_COOKIE);

test('under https every cookie is bound to the host: prefix, Secure, path /, no domain', () => {
  const cookies = at('https://sallyport.example');
  for (const name of [SESSION_COOKIE, STATE_COOKIE] as const) {
    const text = cookies.write(name, 'v', 60);
    expect(text).toBe(`__Host-${name}=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure`);
    expect(text.toLowerCase()).not.toContain('domain');
  }
});

test('under https a cookie without the prefix, which a sibling host could have set, does not count', () => {
  const cookies = at('https://sallyport.example');
  expect(read(cookies, 'sallyport_session=planted')).toBeUndefined();
  expect(read(cookies, 'sallyport_session=planted; __Host-sallyport_session=ours')).toBe('ours');
  expect(read(cookies, 'x__Host-sallyport_session=planted')).toBeUndefined();
  expect(read(cookies, '__host-sallyport_session=planted')).toBeUndefined();
  expect(read(cookies, undefined)).toBeUndefined();
});

test('on plain http, as on loopback, the names are plain, since browsers would not keep the others', () => {
  const cookies = at('http://127.0.0.1:7400');
  expect(cookies.write(SESSION_COOKIE, 'v', 0)).toBe('sallyport_session=v; Path=/; Max-Age=0; HttpOnly; SameSite=Lax');
  expect(read(cookies, 'a=b; sallyport_session=ours; sallyport_session=second')).toBe('ours');
});
