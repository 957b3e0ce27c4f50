/** HTTP services and MCP servers as resources: what the HTTPS listener's driver asks of these kinds. */
import type { HttpDialect } from '@sallyport/http-session';
import { classifyRequest, isAnsweredByToken, renamesFields, withoutTokens } from './classify.ts';
import { denyRequest } from './deny.ts';
import { maskableRequest, maskedAnswer } from './mask.ts';
import { isWebSocket, openWebSocket } from './websocket.ts';

export const httpDialect: HttpDialect = {
  protocol: 'http',
  repeats: true,
  gathers: () => true,
  classify: classifyRequest,
  recorded: withoutTokens,
  forward: (request, _body, session, masks) => maskableRequest(request, session, masks, renamesFields),
  answer: (request, response, session, masks) =>
    maskedAnswer(request, response, session, masks, isAnsweredByToken(request)),
  upgrades: (request, session) => isWebSocket(request) && session.resource.http?.websocket !== false,
  upgrade: (_request, response, session, masks, host) => openWebSocket(response, session, masks, host),
  deny: denyRequest,
};

export { createMcpDialect } from './mcp/dialect.ts';
export { type ToolMemory, toolMemory } from './mcp/tools.ts';
