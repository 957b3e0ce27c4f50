/** The few HTML pages of sign-in, without scripts. Every value goes through `escapeHtml`. */
const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (char) => ENTITIES[char]!);

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:28rem;margin:4rem auto;padding:0 1rem;color:#1a1d21}h1{font-size:1.3rem}label{display:block;margin:.8rem 0}input{font:inherit;width:100%;padding:.4rem;box-sizing:border-box}button{font:inherit;padding:.5rem 1.2rem;margin:.5rem .5rem 0 0}code{background:#eef0f2;padding:.1rem .3rem}.code{font-size:1.6rem;letter-spacing:.15em}';

/** @param body HTML that is already escaped */
export const htmlPage = (title: string, body: string): string =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><title>${escapeHtml(title)} – Sallyport</title><style>${STYLE}</style><h1>${escapeHtml(title)}</h1>${body}</html>`;

/** The policy of a page whose form may end at one more origin: browsers hold a form’s redirects to `form-action` too. */
export const formPolicy = (origin: string): string =>
  `default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' ${origin}`;
