/** What a person does in a browser to confirm a device's code: signs in at the demo's provider, answers. Cookies by origin. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { DevFile } from '../../scripts/stack/dev-file.ts';

/** Of the demo's provider, by person. */
export const demoPasswords = (dev: DevFile): Readonly<Record<string, string>> =>
  (
    JSON.parse(readFileSync(path.join(dev.controlPlane.dataDir, 'demo-idp.json'), 'utf8')) as {
      persons: Record<string, string>;
    }
  ).persons;

/** @param address the link that the device shows */
export async function confirmDevice(address: string, name: string, password: string): Promise<void> {
  const jars = new Map<string, Map<string, string>>();
  const open = async (from: string, form?: Record<string, string>): Promise<{ url: string; html: string }> => {
    let url = from;
    let body = form;
    for (let hops = 0; hops < 15; hops++) {
      const jar = jars.get(new URL(url).origin) ?? new Map<string, string>();
      jars.set(new URL(url).origin, jar);
      const response = await fetch(url, {
        redirect: 'manual',
        headers: { cookie: [...jar].map(([key, value]) => `${key}=${value}`).join('; ') },
        ...(body === undefined ? {} : { method: 'POST', body: new URLSearchParams(body) }),
      });
      for (const line of response.headers.getSetCookie()) {
        const [key, value] = line.split(';')[0]!.split(/=(.*)/s) as [string, string];
        jar.set(key, value);
      }
      const location = response.headers.get('location');
      if (location === null) return { url, html: await response.text() };
      url = new URL(location, url).href;
      body = undefined;
    }
    throw new Error('too many redirects');
  };
  const { origin, pathname, search } = new URL(address);
  const signIn = await open(`${origin}/v1/login?return_to=${encodeURIComponent(pathname + search)}`);
  const page = await open(signIn.url, { name, password });
  const field = (key: string): string => new RegExp(`name="${key}" value="([^"]+)"`).exec(page.html)?.[1] ?? '';
  await open(`${origin}/device`, { user_code: field('user_code'), proof: field('proof'), answer: 'approve' });
}
