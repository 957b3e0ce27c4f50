/** The links that end at this replica, by agent. Refuses to know messages: features say what to send. */
import { Injectable } from '@nestjs/common';
import type { ControlMessage } from '@sallyport/contract';
import { GatewayError } from '@sallyport/core';
import { Gauge } from 'prom-client';
import { Metrics } from '../http/metrics.ts';
import type { Link } from './link.ts';

@Injectable()
export class Links {
  readonly #byAgent = new Map<string, Set<Link>>();
  constructor(metrics: Metrics) {
    new Gauge({
      name: 'sallyport_links',
      help: 'Agents connected to this replica.',
      registers: [metrics.registry],
      collect: (() => {
        const count = (): number => this.#byAgent.size;
        return function (this: Gauge) {
          this.set(count());
        };
      })(),
    });
  }

  add(link: Link): void {
    const links = this.#byAgent.get(link.agent.id) ?? new Set();
    links.add(link);
    this.#byAgent.set(link.agent.id, links);
  }

  remove(link: Link): void {
    const links = this.#byAgent.get(link.agent.id);
    links?.delete(link);
    if (links?.size === 0) this.#byAgent.delete(link.agent.id);
  }

  has(agentId: string): boolean {
    return this.#byAgent.has(agentId);
  }

  /** To every process of the agent: the one it concerns knows. @returns whether one of them is here */
  send(agentId: string, message: ControlMessage): boolean {
    let sent = false;
    for (const link of this.#byAgent.get(agentId) ?? []) sent = link.send(message) || sent;
    return sent;
  }

  /** To one process of the agent, for what must be done once. @returns whether one of them is here */
  sendOne(agentId: string, message: ControlMessage): boolean {
    for (const link of this.#byAgent.get(agentId) ?? []) if (link.send(message)) return true;
    return false;
  }

  /** Agents that are connected here. */
  agentIds(): readonly string[] {
    return [...this.#byAgent.keys()];
  }

  /** To the process of the agent that holds the statement. */
  answer(agentId: string, requestId: string, signed: string): void {
    for (const link of this.#byAgent.get(agentId) ?? []) link.answer(requestId, signed);
  }

  all(): readonly Link[] {
    return [...this.#byAgent.values()].flatMap((links) => [...links]);
  }

  /** Cuts an agent off. */
  cut(agentId: string): void {
    for (const link of this.#byAgent.get(agentId) ?? [])
      link.end(new GatewayError('auth.failed', { reason: 'revoked' }));
  }
}
