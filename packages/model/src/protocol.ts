/** The protocols an agent speaks: one word in statements, sessions, resources, endpoints and adapters. */
export const PROTOCOLS = ['postgres', 'ssh', 'http', 'kubernetes', 'mcp'] as const;
export type Protocol = (typeof PROTOCOLS)[number];
