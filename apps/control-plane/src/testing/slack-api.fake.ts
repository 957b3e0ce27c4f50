/**
 * A fake of Slack's Web API: Slack itself cannot run here. It checks what Slack checks of what it gets (token, content type,
 * block kinds and their limits, an update of a message that is there) and answers as Slack does.
 */
import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export const BOT_TOKEN = 'xoxb-1-of-these-tests';
export const SIGNING_SECRET = '8f742231b10e8888abcd99yyyzzz85a5';

export interface SlackPost {
  readonly method: string;
  readonly channel: string;
  readonly text: string;
  readonly blocks: readonly Block[];
  readonly ts: string;
  readonly user?: string;
}
interface Block {
  readonly type: string;
  readonly block_id?: string;
  readonly text?: { readonly type: string; readonly text: string };
  readonly elements?: readonly { readonly action_id: string; readonly value: string }[];
}

function problemOf(blocks: readonly Block[]): string | undefined {
  if (blocks.length > 50) return 'invalid_blocks';
  for (const block of blocks) {
    if (!['section', 'input', 'actions'].includes(block.type)) return 'invalid_blocks';
    if (block.type === 'section' && !((block.text?.text.length ?? 0) >= 1 && block.text!.text.length <= 3_000))
      return 'invalid_blocks';
    for (const element of block.elements ?? [])
      if (element.value.length > 2_000 || element.action_id.length > 255) return 'invalid_blocks';
  }
  return undefined;
}

export class FakeSlack {
  readonly posts: SlackPost[] = [];
  /** Calls that are refused, so many. */
  rateLimited = 0;
  readonly #server: Server;
  #serial = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<FakeSlack> {
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const { status, body } = slack.#answer(request.url ?? '', request.headers, Buffer.concat(parts).toString());
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    });
    const slack = new FakeSlack(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return slack;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/api`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(url: string, headers: NodeJS.Dict<string | string[]>, text: string): { status: number; body: object } {
    const no = (error: string) => ({ status: 200, body: { ok: false, error } });
    if (this.rateLimited-- > 0) return { status: 429, body: {} };
    if (headers['authorization'] !== `Bearer ${BOT_TOKEN}`) return no('invalid_auth');
    if (!String(headers['content-type']).startsWith('application/json; charset=utf-8')) return no('invalid_post_type');
    const method = url.replace('/api/', '');
    const sent = JSON.parse(text) as Partial<SlackPost>;
    const { channel, blocks = [], user } = sent;
    if (channel === undefined || channel === '') return no('channel_not_found');
    if (sent.text === undefined || sent.text === '') return no('no_text');
    const problem = problemOf(blocks);
    if (problem !== undefined) return no(problem);
    if (method === 'chat.update' && !this.posts.some((post) => post.ts === sent.ts && post.channel === channel))
      return no('message_not_found');
    if (method === 'chat.postEphemeral' && user === undefined) return no('user_not_in_channel');
    if (!['chat.postMessage', 'chat.update', 'chat.postEphemeral'].includes(method)) return no('unknown_method');
    const ts = method === 'chat.update' ? sent.ts! : `1700000000.${String(++this.#serial).padStart(6, '0')}`;
    const where = channel.startsWith('#') ? 'C0APPROVALS' : channel;
    this.posts.push({ method, channel: where, text: sent.text, blocks, ts, ...(user === undefined ? {} : { user }) });
    return { status: 200, body: { ok: true, channel: where, ts } };
  }
}

/** The form that Slack sends when `user` presses a button, and its headers. */
export function pressed(
  post: SlackPost,
  user: string,
  answer: 'approve' | 'deny',
  more: { readonly reason?: string; readonly at?: number; readonly secret?: string; readonly value?: string } = {},
): { readonly body: string; readonly headers: Record<string, string> } {
  const value = more.value ?? post.blocks.find((block) => block.type === 'actions')!.elements![0]!.value;
  const payload = {
    type: 'block_actions',
    team: { id: 'T0CORP', domain: 'corp' },
    user: { id: user, username: user.toLowerCase(), name: user.toLowerCase(), team_id: 'T0CORP' },
    api_app_id: 'A0SALLY',
    channel: { id: post.channel, name: 'approvals' },
    message: { ts: post.ts },
    actions: [{ action_id: answer, block_id: 'answer', type: 'button', value, action_ts: '1700000001.000000' }],
    state: { values: { reason: { reason: { type: 'plain_text_input', value: more.reason ?? null } } } },
  };
  const body = new URLSearchParams({ payload: JSON.stringify(payload) }).toString();
  const at = more.at ?? Math.floor(Date.now() / 1000);
  const hmac = createHmac('sha256', more.secret ?? SIGNING_SECRET)
    .update(`v0:${at}:${body}`)
    .digest('hex');
  return {
    body,
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      'x-slack-request-timestamp': String(at),
      'x-slack-signature': `v0=${hmac}`,
    },
  };
}
