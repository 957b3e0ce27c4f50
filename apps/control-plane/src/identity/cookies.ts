/**
 * The cookies of sign-in: HttpOnly, SameSite=Lax, and under https with the prefix `__Host-` (RFC 6265bis section 4.1.3.2),
 * so that no other host of the domain, and nobody on plain http, can plant one here. Refuses to read one without it there.
 */
import { Injectable } from '@nestjs/common';
import { Listening } from '../listening.ts';

/** The secret of a sign-in under way; the browser's session; a passkey being asked for. */
export const STATE_COOKIE = 'sallyport_sign_in';
export const SESSION_COOKIE = 'sallyport_session';
export const CEREMONY_COOKIE = 'sallyport_passkey';
type CookieName = typeof STATE_COOKIE | typeof SESSION_COOKIE | typeof CEREMONY_COOKIE;

interface CookieRequest {
  readonly headers: { readonly cookie?: string | undefined };
}

@Injectable()
export class Cookies {
  constructor(private readonly listening: Listening) {}

  /** The first of the name; another cookie's value cannot pass for it. */
  read({ headers }: CookieRequest, name: CookieName): string | undefined {
    const wanted = this.#name(name);
    for (const part of (headers.cookie ?? '').split(';')) {
      const at = part.indexOf('=');
      if (at >= 0 && part.slice(0, at).trim() === wanted) return part.slice(at + 1).trim();
    }
    return undefined;
  }

  /** Value of a `set-cookie` header. @param maxAgeS 0 removes it */
  write(name: CookieName, value: string, maxAgeS: number): string {
    const secure = this.#secure ? '; Secure' : '';
    return `${this.#name(name)}=${value}; Path=/; Max-Age=${maxAgeS}; HttpOnly; SameSite=Lax${secure}`;
  }

  #name(name: CookieName): string {
    return this.#secure ? `__Host-${name}` : name;
  }

  /** On loopback without TLS browsers would not keep the other kind. */
  get #secure(): boolean {
    return this.listening.publicUrl().startsWith('https:');
  }
}
