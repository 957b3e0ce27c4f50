/** The tool call_api: one request to an HTTP resource; the agent puts its credential in. Refuses headers that sign in. */
import type { Context } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import type { WayInOptions } from '../proxy/way-in.ts';
import { type ApiAnswer, openAgentHttp } from './agent-http.ts';
import type { Held, Outcome } from './held-calls.ts';
import { cut, failed } from './results.ts';

export interface ApiCall {
  readonly resource: string;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** What is no text is sent as JSON. */
  readonly body?: string | object | undefined;
}

/** Characters of a body; what is longer goes by `sallyport run`. */
export const BODY_MAX = 1_000_000;

const NOT_THE_CALLERS = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'prefer',
  'upgrade',
]);

export async function callApi(
  context: Context,
  options: WayInOptions,
  call: ApiCall,
  held: (what: Held) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  try {
    const send = await openAgentHttp(context, call.resource, ['http'], options);
    const given = Object.entries(call.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value] as const);
    const headers = Object.fromEntries(given.filter(([name]) => !NOT_THE_CALLERS.has(name)));
    const body = typeof call.body === 'object' ? JSON.stringify(call.body) : call.body;
    if ((body?.length ?? 0) > BODY_MAX)
      throw new CliError('usage', `A body has at most ${BODY_MAX} characters here.`, 'Send it in parts.');
    const hasType = headers['content-type'] !== undefined || body === undefined;
    const typed = hasType
      ? headers
      : { ...headers, 'content-type': looksLikeJson(body) ? 'application/json' : 'text/plain' };
    return told(await send({ method: call.method, path: call.path, headers: typed, body }, held, signal));
  } catch (error) {
    return failed(error);
  }
}

/** Status, type and body; a refusal of ours in its own words. */
export function told(answer: ApiAnswer): Outcome {
  const refusal = answer.type.startsWith('application/problem+json') ? refusalIn(answer.text) : undefined;
  if (refusal !== undefined) return { text: refusal, isError: true };
  const rest = answer.isCut ? '\n… (the rest is left out: ask for less)' : '';
  return { text: cut(`HTTP ${answer.status} ${answer.type}\n\n${answer.text}${rest}`), isError: answer.status >= 400 };
}

function refusalIn(text: string): string | undefined {
  try {
    const { title, sallyport } = JSON.parse(text) as {
      readonly title?: string;
      readonly sallyport?: Readonly<Record<string, string>>;
    };
    if (sallyport === undefined) return undefined;
    const lines = [
      `Sallyport: ${title ?? ''}`,
      ...Object.entries(sallyport).map(([name, value]) => `${name}: ${value}`),
    ];
    if (sallyport['reason'] === 'approval.required')
      lines.push(
        'A person has to approve this first. Ask with check_approval; once it is approved, send exactly the same request again.',
      );
    return lines.join('\n');
  } catch {
    // A service's own problem is shown as it is.
    return undefined;
  }
}

const looksLikeJson = (text: string): boolean => /^\s*[[{]/.test(text);
