/**
 * /health (the process lives), /ready (it would let somebody in), /metrics (Prometheus). Plain HTTP on its own listener.
 * Refuses every other path and method, and says nothing about resources, principals or statements.
 */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { GatewayError } from '@sallyport/core';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Address } from './config.ts';

/** What can be asked at any time; cheap. */
export interface HealthView {
  ready(): boolean;
  /** Small facts for /ready. */
  facts(): Readonly<Record<string, string | number | boolean>>;
  /** Gauges by name (without prefix) and help text. */
  readonly gauges: readonly { readonly name: string; readonly help: string; readonly value: () => number }[];
  /** What only grows: by value of a label, or under '' without one. */
  readonly counters: readonly {
    readonly name: string;
    readonly help: string;
    readonly label: string | undefined;
    readonly values: () => Readonly<Record<string, number>>;
  }[];
}

export interface HealthServer {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

function registryOf(view: HealthView): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'sallyport_agent_' });
  for (const { name, help, value } of view.gauges) {
    new Gauge({
      name: `sallyport_agent_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  }
  for (const { name, help, label, values } of view.counters) {
    new Counter({
      name: `sallyport_agent_${name}`,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [registry],
      collect() {
        this.reset();
        for (const [value, count] of Object.entries(values()))
          this.inc(label === undefined ? {} : { [label]: value }, count);
      },
    });
  }
  return registry;
}

/** @throws GatewayError `config.invalid` when the address cannot be bound */
export function openHealth(address: Address, view: HealthView): Promise<HealthServer> {
  const registry = registryOf(view);
  const answer = async (
    path: string,
  ): Promise<{ readonly status: number; readonly type: string; readonly body: string }> => {
    const json = (status: number, body: object) => ({ status, type: 'application/json', body: JSON.stringify(body) });
    switch (path) {
      case '/health':
        return json(200, { status: 'ok' });
      case '/ready':
        return json(view.ready() ? 200 : 503, { status: view.ready() ? 'ready' : 'not ready', ...view.facts() });
      case '/metrics':
        return { status: 200, type: registry.contentType, body: await registry.metrics() };
      default:
        return json(404, { status: 'not found' });
    }
  };
  const server = http.createServer({ requestTimeout: 5_000, headersTimeout: 5_000 }, (request, response) => {
    if (request.method !== 'GET') {
      response.writeHead(405).end();
      return;
    }
    answer(request.url ?? '').then(
      ({ status, type, body }) => response.writeHead(status, { 'content-type': type }).end(body),
      () => response.writeHead(500).end(),
    );
  });
  server.maxConnections = 20;
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new GatewayError('config.invalid', { setting: 'SALLYPORT_HEALTH' }, { cause })),
    );
    server.listen(address.port, address.host, () => {
      const { port } = server.address() as AddressInfo;
      const close = (): Promise<void> =>
        new Promise((done) => {
          server.close(() => done());
          server.closeAllConnections();
        });
      resolve({ host: address.host, port, close });
    });
  });
}
