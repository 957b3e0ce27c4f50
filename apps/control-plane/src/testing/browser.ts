/** A browser without scripts, for tests of sign-in: cookies by origin, redirects by hand, each hop remembered. */
export interface Page {
  readonly url: string;
  readonly status: number;
  readonly html: string;
  readonly headers: Headers;
}

let browsers = 0;

export class Browser {
  /** Of its own, where the control plane believes a proxy about addresses: limits count by address. */
  readonly #address = `10.7.${(browsers >> 8) & 255}.${browsers++ & 255}`;
  readonly #cookies = new Map<string, Map<string, string>>();
  readonly hops: string[] = [];

  cookies(url: string): Map<string, string> {
    const { origin } = new URL(url);
    const jar = this.#cookies.get(origin) ?? new Map<string, string>();
    this.#cookies.set(origin, jar);
    return jar;
  }

  /** @param stopAt a redirect to this prefix is not followed: its address is the answer's */
  async open(start: string, form?: Readonly<Record<string, string>>, stopAt?: string): Promise<Page> {
    let url = start;
    let body = form;
    for (let hops = 0; hops < 20; hops++) {
      const jar = this.cookies(url);
      const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
      const response = await fetch(url, {
        redirect: 'manual',
        headers: {
          cookie,
          'x-forwarded-for': this.#address,
          ...(body === undefined ? {} : { origin: new URL(url).origin }),
        },
        ...(body === undefined ? {} : { method: 'POST', body: new URLSearchParams(body) }),
      });
      for (const line of response.headers.getSetCookie()) {
        const [name, value] = line.split(';')[0]!.split(/=(.*)/s) as [string, string];
        if (/max-age=0|expires=thu, 01[- ]jan[- ]1970/i.test(line)) jar.delete(name);
        else jar.set(name, value);
      }
      const location = response.headers.get('location');
      const { status, headers } = response;
      if (location === null) return { url, status, html: await response.text(), headers };
      url = new URL(location, url).href;
      this.hops.push(url);
      if (stopAt !== undefined && url.startsWith(stopAt)) return { url, status, html: '', headers };
      body = undefined;
    }
    throw new Error('too many redirects');
  }
}

/** Names and values of a page's form fields, and where it goes. */
export function formOf(
  html: string,
  base: string,
): { readonly action: string; readonly fields: Record<string, string> } {
  const entity = (text: string): string =>
    text.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&amp;', '&');
  const form = /<form[^>]*>[\s\S]*?<\/form>/i.exec(html)?.[0] ?? '';
  const attribute = (tag: string, name: string): string | undefined =>
    new RegExp(`\\b${name}\\s*=\\s*"([^"]*)"`, 'i').exec(tag)?.[1];
  const fields = [...form.matchAll(/<input[^>]*>/gi)].flatMap(([tag]) => {
    const name = attribute(tag, 'name');
    return name === undefined ? [] : [[name, entity(attribute(tag, 'value') ?? '')] as const];
  });
  return { action: new URL(entity(attribute(form, 'action') ?? ''), base).href, fields: Object.fromEntries(fields) };
}
