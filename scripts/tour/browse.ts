/** A browser without scripts: cookies by origin, redirects followed, forms sent as they are. */
export type Jars = Map<string, Map<string, string>>;
export interface Page {
  readonly url: string;
  readonly status: number;
  readonly html: string;
}

/** @param form sent by POST; without one the page is fetched. @returns the last page */
export async function browse(jars: Jars, start: string, form?: Readonly<Record<string, string>>): Promise<Page> {
  let url = start;
  let body = form;
  for (let hops = 0; hops < 15; hops++) {
    const { origin } = new URL(url);
    const jar = jars.get(origin) ?? new Map<string, string>();
    jars.set(origin, jar);
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(body === undefined ? {} : { method: 'POST', body: new URLSearchParams(body) }),
    });
    for (const line of response.headers.getSetCookie()) {
      const [name = '', value = ''] = (line.split(';')[0] ?? '').split(/=(.*)/s);
      jar.set(name, value);
    }
    const location = response.headers.get('location');
    if (location === null) return { url, status: response.status, html: await response.text() };
    url = new URL(location, url).href;
    body = undefined;
  }
  throw new Error('too many redirects');
}

/** The first form of a page: where it goes, and its fields. */
export function formOf({ url, html }: Page): { readonly action: string; readonly fields: Record<string, string> } {
  const action = /<form[^>]* action="([^"]+)"/.exec(html)?.[1] ?? '';
  const fields = [...html.matchAll(/<input[^>]* name="([^"]+)" value="([^"]*)"/g)].map(([, name, value]) => [
    name,
    value,
  ]);
  return { action: new URL(action, url).href, fields: Object.fromEntries(fields) as Record<string, string> };
}
