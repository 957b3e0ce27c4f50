/**
 * The local MCP server: tools for what its principal may reach, and nothing that a grant and the rules would not allow to the
 * same principal at a terminal. Holds answer at once with what they wait for. Refuses to keep state between calls but that.
 */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { collect } from '../context.ts';
import type { WayInOptions } from '../proxy/way-in.ts';
import { VERSION } from '../version.ts';
import { BODY_MAX, callApi } from './call-api.ts';
import { type HeldCalls, heldCalls, type Outcome } from './held-calls.ts';
import { kubeGet } from './kube-get.ts';
import { failed } from './results.ts';
import { runCommand } from './run-command.ts';
import { ROWS_DEFAULT, runSql } from './run-sql.ts';

const TOOL_OF: Readonly<Record<string, string>> = {
  postgres: 'run_sql',
  ssh: 'run_command',
  http: 'call_api',
  kubernetes: 'kube_get',
  mcp: 'its own MCP endpoint',
};
const CHECK_WAIT_S_MAX = 50;

const INSTRUCTIONS = [
  'Databases, hosts, APIs and clusters through Sallyport. Begin with list_resources.',
  'Every call is judged and recorded. A refusal says why and whether to try again; do not try to get around it.',
  'A call that waits for a person says so at once: tell your user, do other work, and ask with check_approval.',
].join(' ');

const Resource = z.string().min(1).max(63).describe('Name of the resource, from list_resources.');

/** @param options whose rights, and why: for every call */
export function mcpServer(context: Context, options: WayInOptions): { readonly server: McpServer; close(): void } {
  const server = new McpServer({ name: 'sallyport', version: VERSION }, { instructions: INSTRUCTIONS });
  const calls = heldCalls();
  server.registerTool(
    'list_resources',
    {
      description: 'What you may reach, of which type, and which tool goes with it.',
      annotations: { readOnlyHint: true },
    },
    async () => shown(await listResources(context)),
  );
  server.registerTool(
    'run_sql',
    {
      description: `Run SQL on a PostgreSQL resource. Each call is a session of its own. At most ${ROWS_DEFAULT} rows are shown unless max_rows says more.`,
      inputSchema: {
        resource: Resource,
        sql: z.string().min(1).max(200_000).describe('One or more statements.'),
        database: z.string().max(63).optional(),
        max_rows: z.number().int().min(1).max(5_000).optional(),
      },
    },
    async (call, by) =>
      shown(await calls.run((held, signal) => runSql(context, options, call, held, signal), by.signal)),
  );
  server.registerTool(
    'run_command',
    {
      description: 'Run one command on an SSH host, without a terminal and without standard input.',
      inputSchema: {
        resource: Resource,
        command: z.string().min(1).max(100_000).describe('As for the host’s shell.'),
        timeout_seconds: z.number().int().min(1).max(3_600).optional(),
      },
    },
    async (call, by) =>
      shown(await calls.run((held, signal) => runCommand(context, options, call, held, signal), by.signal)),
  );
  server.registerTool(
    'call_api',
    {
      description: 'Send one request to an HTTP resource. Its credential is put in on the way: send none.',
      inputSchema: {
        resource: Resource,
        // A tunnel has no answer.
        method: z
          .string()
          .regex(/^(?!CONNECT$)[A-Z]{1,20}$/)
          .default('GET'),
        path: z.string().min(1).max(8_000).describe('From /, with its query.'),
        headers: z
          .record(
            z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/),
            z
              .string()
              .regex(/^[\t\x20-\x7e\x80-\uffff]*$/)
              .max(8_000),
          )
          .optional(),
        body: z
          .union([z.string().max(BODY_MAX), z.record(z.string(), z.unknown()), z.array(z.unknown())])
          .optional()
          .describe('Text, or an object or a list to send as JSON.'),
      },
    },
    async (call, by) =>
      shown(await calls.run((held, signal) => callApi(context, options, call, held, signal), by.signal)),
  );
  server.registerTool(
    'kube_get',
    {
      description: 'Read objects of a Kubernetes cluster, as `kubectl get -o json` does.',
      annotations: { readOnlyHint: true },
      inputSchema: {
        resource: Resource,
        kind: z.string().min(1).max(253).describe('`pods`, `deploy`, `ingresses.networking.k8s.io`, …'),
        name: z.string().max(253).optional(),
        namespace: z.string().max(63).optional(),
        all_namespaces: z.boolean().optional(),
        label_selector: z.string().max(1_000).optional(),
      },
    },
    async (call, by) =>
      shown(await calls.run((held, signal) => kubeGet(context, options, call, held, signal), by.signal)),
  );
  server.registerTool(
    'check_approval',
    {
      description:
        'Ask what became of a call that waits for approval. When it was approved and has run, its result comes here, once.',
      annotations: { readOnlyHint: true },
      inputSchema: {
        approval_id: z.string().regex(/^[A-Za-z0-9-]{1,64}$/),
        wait_seconds: z
          .number()
          .int()
          .min(0)
          .max(CHECK_WAIT_S_MAX)
          .optional()
          .describe('Wait so long for an answer; 0 by default.'),
      },
    },
    async ({ approval_id, wait_seconds = 0 }) => shown(await check(context, calls, approval_id, wait_seconds * 1000)),
  );
  return { server, close: () => calls.close() };
}

const shown = ({ text, isError = false }: Outcome) => ({ content: [{ type: 'text' as const, text }], isError });

async function listResources(context: Context): Promise<Outcome> {
  try {
    await context.requireToken();
    const items = await collect(context.api.resources.list({ reachable: true }));
    const list = items.map(({ name, type, description, labels, effects, databases, logins, endpoints }) => ({
      name,
      type,
      tool: TOOL_OF[type] ?? '',
      you_may: effects,
      ...(description === '' ? {} : { description }),
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
      ...(databases.length === 0 ? {} : { databases }),
      ...(logins === undefined ? {} : { logins }),
      ...(endpoints.length === 0 ? { unavailable: 'no agent is connected' } : {}),
    }));
    return {
      text:
        list.length === 0
          ? 'You may reach nothing. A person can be asked for a grant.'
          : JSON.stringify(list, undefined, 1),
    };
  } catch (error) {
    return failed(error);
  }
}

/** Of a call of this process its outcome; of any other what the control plane knows. */
async function check(context: Context, calls: HeldCalls, approvalId: string, waitMs: number): Promise<Outcome> {
  try {
    const outcome = await calls.check(approvalId, waitMs);
    if (outcome !== undefined) return outcome;
    await context.requireToken();
    const request = await context.api.approvals.get(approvalId);
    const { state, rule, resource, expiresAt } = request;
    const next = state === 'approved' ? ' Send exactly the same again: it passes once.' : '';
    return {
      text: `Approval ${approvalId} on ${resource} (rule ${rule}) is ${state}; it expires ${expiresAt}.${next}`,
    };
  } catch (error) {
    return failed(error);
  }
}
