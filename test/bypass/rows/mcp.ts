/**
 * Ways past a rule about an MCP server's tools: the same call in another message, spelling or envelope. Rows never leave.
 * `refused` = before any rule was asked. Rules: `drop_all` is denied, `pay` of more than 100 is held; `find_*` is `read`, which
 * is all that is granted besides `exec` for the tools named here.
 */
export interface McpRow {
  readonly name: string;
  /** The body: an object, or the text itself. */
  readonly body: unknown;
  readonly headers?: readonly (readonly [string, string])[];
  readonly expect: 'refused' | 'deny' | 'hold' | 'allow';
}

const call = (name: unknown, args: unknown = {}, more: object = {}): object => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name, arguments: args },
  ...more,
});
const named = (method: string): object => call('drop_all', {}, { method });

const OPEN = { type: 'ref/prompt', name: 'open' };

export const MCP: Readonly<Record<string, readonly McpRow[]>> = {
  'a tool that nobody may call': [
    { name: 'plainly', body: call('drop_all'), expect: 'deny' },
    { name: 'and one that anybody may', body: call('find_people', { q: 'ada' }), expect: 'allow' },
    { name: 'its name in full width', body: call('ｄrop_all'), expect: 'refused' },
    { name: 'its name with a space behind it', body: call('drop_all '), expect: 'refused' },
    { name: 'its name with a line break before it', body: call('\ndrop_all'), expect: 'refused' },
    { name: 'its name with a character of no width', body: call('drop\u{200b}_all'), expect: 'refused' },
    { name: 'its name with a character that turns text round', body: call('\u{202e}drop_all'), expect: 'refused' },
    { name: 'its name with a NUL', body: call('drop_all\0'), expect: 'refused' },
    { name: 'its name escaped', body: JSON.stringify(call('#')).replace('#', '\\u0064rop_all'), expect: 'deny' },
    { name: 'its name in another case', body: call('Drop_All'), expect: 'refused' },
    { name: 'its name with a dash', body: call('drop-all'), expect: 'refused' },
    { name: 'its name in letters that look alike', body: call('drop_аll'), expect: 'refused' },
    { name: 'a name that no list has, which a pattern would let pass', body: call('find_PEOPLE'), expect: 'refused' },
    { name: 'its name in a list', body: call(['drop_all']), expect: 'refused' },
    { name: 'no name', body: call(''), expect: 'refused' },
    { name: 'its name twice, the first one harmless', body: twice('find_people', 'drop_all'), expect: 'deny' },
    { name: 'its name under another spelling of the key', body: keyed('Name'), expect: 'refused' },
    { name: 'its name under a key in full width', body: keyed('ｎame'), expect: 'refused' },
    { name: 'without an id', body: call('drop_all', {}, { id: undefined }), expect: 'deny' },
    { name: 'with no id', body: call('drop_all', {}, { id: null }), expect: 'refused' },
    { name: 'with an object for an id', body: call('drop_all', {}, { id: {} }), expect: 'refused' },
    { name: 'in a batch', body: [call('drop_all')], expect: 'refused' },
    { name: 'in a batch behind a harmless one', body: [call('find_people'), call('drop_all')], expect: 'refused' },
    { name: 'with a result, as if it were an answer', body: call('drop_all', {}, { result: {} }), expect: 'deny' },
    { name: 'with no method and a result, as an answer is', body: answer(call('drop_all')), expect: 'allow' },
    { name: 'as an answer without an id', body: { jsonrpc: '2.0', result: call('drop_all') }, expect: 'refused' },
    { name: 'with two methods', body: methods('tools/list', 'tools/call'), expect: 'deny' },
    { name: 'with a method in another key', body: call('drop_all', {}, { Method: 'tools/list' }), expect: 'refused' },
    { name: 'in capitals', body: named('Tools/Call'), expect: 'refused' },
    { name: 'with a doubled slash', body: named('tools//call'), expect: 'refused' },
    { name: 'with a dot', body: named('tools.call'), expect: 'refused' },
    { name: 'with a slash at the end', body: named('tools/call/'), expect: 'refused' },
    { name: 'with a space in the method', body: named('tools/call '), expect: 'refused' },
    { name: 'of an older protocol', body: call('drop_all', {}, { jsonrpc: '1.0' }), expect: 'refused' },
    { name: 'with params in a list', body: call('x', {}, { params: ['drop_all'] }), expect: 'refused' },
    { name: 'behind a byte order mark', body: `\u{feff}${JSON.stringify(call('drop_all'))}`, expect: 'refused' },
    { name: 'in two documents', body: `${JSON.stringify(call('find_people'))}{}`, expect: 'refused' },
    { name: 'as lines', body: JSON.stringify(call('drop_all')).replaceAll(',', ',\r\n'), expect: 'deny' },
  ],
  'an amount that has to be approved': [
    { name: 'plainly', body: call('pay', { amount: 500 }), expect: 'hold' },
    { name: 'a small one', body: call('pay', { amount: 5 }), expect: 'allow' },
    { name: 'as a text', body: call('pay', { amount: '500' }), expect: 'hold' },
    { name: 'under a name in another case', body: call('pay', { Amount: 500 }), expect: 'hold' },
    { name: 'in another notation', body: text('"amount":5e2'), expect: 'hold' },
    { name: 'twice, the first one small', body: text('"amount":5,"amount":500'), expect: 'hold' },
    { name: 'under an escaped key', body: text('"\\u0061mount":500'), expect: 'hold' },
    { name: 'in arguments that are a text', body: call('pay', '{"amount":500}'), expect: 'refused' },
    { name: 'in arguments that are a list', body: call('pay', [{ amount: 500 }]), expect: 'refused' },
    { name: 'in arguments that are a number', body: text('').replace('{}', '5e2'), expect: 'refused' },
    {
      name: 'in other arguments',
      body: call('pay', {}, { params: { name: 'pay', arguments: { amount: 5 }, Arguments: { amount: 500 } } }),
      expect: 'refused',
    },
    { name: 'deeper than is read', body: call('pay', deep(200)), expect: 'refused' },
  ],
  'somebody else’s session': [
    { name: 'that was never given', body: call('find_people'), headers: [['mcp-session-id', 'x']], expect: 'refused' },
    {
      name: 'that was given to another principal',
      body: call('find_people'),
      headers: [['mcp-session-id', 'of-ana']],
      expect: 'refused',
    },
    {
      name: 'behind one’s own',
      body: call('find_people'),
      headers: [
        ['mcp-session-id', 'of-bot'],
        ['mcp-session-id', 'of-ana'],
      ],
      expect: 'refused',
    },
    { name: 'one’s own', body: call('find_people'), headers: [['mcp-session-id', 'of-bot']], expect: 'allow' },
  ],
  'a resource that nobody may read': [
    { name: 'plainly', body: about('resources/read', 'file:///secret/key'), expect: 'deny' },
    { name: 'and one that anybody may', body: about('resources/read', 'file:///open/key'), expect: 'allow' },
    { name: 'a host that anybody may', body: about('resources/read', 'https://open.example'), expect: 'allow' },
    { name: 'with escapes that are needed', body: about('resources/read', 'file:///open/%C3%A4%20b'), expect: 'allow' },
    { name: 'written as it is', body: about('resources/read', 'note://Häuser/a b'), expect: 'allow' },
    { name: 'of a scheme without a host', body: about('resources/read', 'urn:isbn:42'), expect: 'allow' },
    { name: 'as a subscription', body: about('resources/subscribe', 'file:///secret/key'), expect: 'deny' },
    { name: 'by a scheme in capitals', body: about('resources/read', 'FILE:///secret/key'), expect: 'refused' },
    { name: 'by a dot segment', body: about('resources/read', 'file:///open/../secret/key'), expect: 'refused' },
    { name: 'by a dot segment of one', body: about('resources/read', 'file:///./secret/key'), expect: 'refused' },
    {
      name: 'by an escaped dot segment',
      body: about('resources/read', 'file:///open/%2E%2E/secret'),
      expect: 'refused',
    },
    {
      name: 'by a dot segment with parameters',
      body: about('resources/read', 'file:///a/..;x/secret'),
      expect: 'refused',
    },
    { name: 'by an escaped letter', body: about('resources/read', 'file:///%73ecret/key'), expect: 'refused' },
    { name: 'by an escaped slash', body: about('resources/read', 'file:///secret%2Fkey'), expect: 'refused' },
    { name: 'by an escape in lower case', body: about('resources/read', 'file:///open%2fkey'), expect: 'refused' },
    { name: 'by a doubled escape', body: about('resources/read', 'file:///%2573ecret/key'), expect: 'refused' },
    { name: 'by a doubled slash', body: about('resources/read', 'file:////secret/key'), expect: 'refused' },
    { name: 'by a doubled slash within', body: about('resources/read', 'file:///x//secret/key'), expect: 'refused' },
    { name: 'by one slash', body: about('resources/read', 'file:/secret/key'), expect: 'refused' },
    { name: 'by a host of its own', body: about('resources/read', 'file://localhost/secret/key'), expect: 'refused' },
    { name: 'by a backslash', body: about('resources/read', 'file:///secret\\key'), expect: 'refused' },
    { name: 'by a NUL', body: about('resources/read', 'file:///open%00/../secret'), expect: 'refused' },
    { name: 'by a host in capitals', body: about('resources/read', 'https://VAULT.example/k'), expect: 'refused' },
    {
      name: 'by a port that is the usual one',
      body: about('resources/read', 'https://vault.example:443/k'),
      expect: 'refused',
    },
    { name: 'by a closing dot', body: about('resources/read', 'https://vault.example./k'), expect: 'refused' },
    { name: 'by a user’s name', body: about('resources/read', 'https://x@vault.example/k'), expect: 'refused' },
    {
      name: 'by a completion of its template',
      body: completion({ type: 'ref/resource', uri: 'file:///secret/{name}' }),
      expect: 'deny',
    },
  ],
  'a prompt that nobody may have': [
    { name: 'plainly', body: { ...call('root'), method: 'prompts/get' }, expect: 'deny' },
    { name: 'by a completion', body: completion({ type: 'ref/prompt', name: 'root' }), expect: 'deny' },
    { name: 'another one by a completion', body: completion({ type: 'ref/prompt', name: 'open' }), expect: 'allow' },
    {
      name: 'by a completion whose key is spelt otherwise',
      body: completion({ type: 'ref/prompt', name: 'open', Name: 'root' }),
      expect: 'refused',
    },
    { name: 'by a completion of nothing', body: completion('root'), expect: 'refused' },
    {
      name: 'by a completion of both',
      body: completion({ type: 'ref/prompt', name: 'root', uri: 'file:///open/x' }),
      expect: 'refused',
    },
    {
      name: 'by what is completed',
      body: completion({ type: 'ref/prompt', name: 'open' }, { name: 'owner', value: 'a' }),
      expect: 'deny',
    },
    {
      name: 'by what was completed before',
      body: completion({ type: 'ref/prompt', name: 'open' }, undefined, { arguments: { owner: 'a' } }),
      expect: 'deny',
    },
    {
      name: 'by what is completed, said twice',
      body: completion(OPEN, { name: 'x', value: 'a' }, { arguments: { x: 'b' } }),
      expect: 'refused',
    },
    {
      name: 'by what is completed, spelt otherwise',
      body: completion(OPEN, { name: 'x', value: 'a', Name: 'owner' }),
      expect: 'refused',
    },
    {
      name: 'by what is completed, without its name',
      body: completion(OPEN, { Name: 'owner', value: 'a' }),
      expect: 'refused',
    },
    {
      name: 'by what is completed, as a text',
      body: completion(OPEN, '{"name":"owner","value":"a"}'),
      expect: 'refused',
    },
    {
      name: 'by what was before, spelt otherwise',
      body: completion(OPEN, undefined, { Arguments: { owner: 'a' } }),
      expect: 'refused',
    },
    {
      name: 'by what was before, as a text',
      body: completion(OPEN, undefined, { arguments: '{"owner":"a"}' }),
      expect: 'refused',
    },
  ],
  'what is not known': [
    { name: 'a method of the server’s own', body: named('vendor/run'), expect: 'allow' },
    {
      name: 'another media type',
      body: call('find_people'),
      headers: [['content-type', 'text/plain']],
      expect: 'refused',
    },
    { name: 'a content coding', body: call('find_people'), headers: [['content-encoding', 'gzip']], expect: 'refused' },
    { name: 'more than is read', body: call('find_people', { a: 'x'.repeat(300_000) }), expect: 'refused' },
  ],
};

function twice(first: string, last: string): string {
  return JSON.stringify(call('#')).replace('"name":"#"', `"name":"${first}","name":"${last}"`);
}
function keyed(key: string): object {
  return call('x', {}, { params: { name: 'find_people', [key]: 'drop_all', arguments: {} } });
}
function methods(first: string, last: string): string {
  return JSON.stringify(named('#')).replace('"method":"#"', `"method":"${first}","method":"${last}"`);
}
function answer(result: object): object {
  return { jsonrpc: '2.0', id: 1, result };
}
function text(members: string): string {
  return JSON.stringify(call('pay', {})).replace('"arguments":{}', `"arguments":{${members}}`);
}
function about(method: string, uri: string): object {
  return { jsonrpc: '2.0', id: 1, method, params: { uri } };
}
function completion(ref: unknown, argument: unknown = { name: 'x', value: 'a' }, context?: object): object {
  return { jsonrpc: '2.0', id: 1, method: 'completion/complete', params: { ref, argument, context } };
}
function deep(levels: number): object {
  return levels === 0 ? { amount: 500 } : { a: deep(levels - 1) };
}
