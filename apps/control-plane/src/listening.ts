/**
 * Where this process really listens, once ports are bound, and how others reach it.
 * Each server reports its address here; boot writes them to ready.json. Refuses to know what is spoken there.
 */
import { Injectable } from '@nestjs/common';
import { Config, type HostPort } from './config.ts';

export type ListenerName = 'http' | 'link' | 'enroll' | 'demo-idp';

const text = ({ host, port }: HostPort): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

@Injectable()
export class Listening {
  readonly #addresses = new Map<ListenerName, HostPort>();
  readonly #config: Config;
  constructor(config: Config) {
    this.#config = config;
  }

  report(name: ListenerName, address: HostPort): void {
    this.#addresses.set(name, address);
  }

  /** `host:port` as bound; before that, as configured. */
  address(name: ListenerName): string {
    const configured = {
      http: this.#config.http,
      link: this.#config.link,
      enroll: this.#config.enroll,
      'demo-idp': this.#config.demoIdpListen,
    };
    return text(this.#addresses.get(name) ?? configured[name]);
  }

  /** Base URL of REST and browser pages, without a slash at its end. */
  publicUrl(): string {
    return (
      this.#config.publicUrl || `${this.#config.httpTls === undefined ? 'http' : 'https'}://${this.address('http')}`
    );
  }

  /** `host:port` list that agents dial. */
  publicLink(): readonly string[] {
    return this.#config.publicLink.length > 0 ? this.#config.publicLink : [this.address('link')];
  }

  publicEnroll(): readonly string[] {
    return this.#config.publicEnroll.length > 0 ? this.#config.publicEnroll : [this.address('enroll')];
  }
}
