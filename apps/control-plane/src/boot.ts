/**
 * Brings a control plane up and down: database (our own or a given one), migrations, keys, Nest, listeners, ready.json.
 * Refuses to read the environment or signals; main.ts does. Tests start real control planes through this.
 */
import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { StandardSchemaValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Secret, shortId } from '@sallyport/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import helmet from 'helmet';
import { AppModule } from './app.module.ts';
import { Bootstrap } from './bootstrap.ts';
import type { Config } from './config.ts';
import { DatabaseUrl } from './db/database.ts';
import { migrate } from './db/migrate.ts';
import { holdsKeys, openDatabase } from './db/open-database.ts';
import { fieldProblems, InvalidRequest } from './http/invalid-request.ts';
import { Metrics } from './http/metrics.ts';
import { refuseNul } from './http/no-nul.ts';
import { serveOpenApi } from './http/openapi.ts';
import { answerUnrouted, type Log } from './http/problem.filter.ts';
import { ConfiguredProviders } from './identity/configured-providers.ts';
import { Envelope } from './keys/envelope.ts';
import { httpsOptions } from './keys/https-options.ts';
import { KeyRing } from './keys/key-ring.ts';
import { Keys } from './keys/keys.ts';
import { kekSources } from './keys/kms-keks.ts';
import { Listening } from './listening.ts';
import { nestLogger, ProcessLog } from './nest-log.ts';
import { keepRawBody } from './slack/raw-body.ts';
import { SystemClock } from './time.ts';

const BODY_BYTES_MAX = 4 * 1024 * 1024;

export interface ReadyFile {
  readonly pid: number;
  /** Base URL of REST. */
  readonly http: string;
  /** `host:port`. */
  readonly link: string;
  readonly enroll: string;
  /** File with the root certificate (PEM). */
  readonly ca: string;
  readonly demoIdp?: string;
}

export interface ControlPlane {
  readonly app: NestFastifyApplication;
  readonly ready: ReadyFile;
  /** Set when this start made the first admin. */
  readonly adminTokenFile: string | undefined;
  /** The first administrator's one-time link, when this start made them. It is a secret: printed, never logged. */
  readonly adminLink: string | undefined;
  stop(): Promise<void>;
}

async function createApp(
  config: Config,
  databaseUrl: string,
  log: Log,
  clock: SystemClock,
): Promise<NestFastifyApplication> {
  const sources = kekSources(config, databaseUrl, () => clock.nowMs());
  const ring = await KeyRing.open(sources, !(await holdsKeys(databaseUrl)));
  const adapter = new FastifyAdapter({
    ...httpsOptions(config.httpTls),
    bodyLimit: BODY_BYTES_MAX,
    // A stream that somebody watches must not hold up a stop.
    forceCloseConnections: true,
    // A proxy in front is only believed where the operator said there is one, and only about its own client: what
    // stands further left in X-Forwarded-For is that client's word, and limits count by address.
    trustProxy: config.behindProxy && ((_address: string, hop: number): boolean => hop === 0),
    frameworkErrors: answerUnrouted,
    genReqId: () => shortId('req', randomBytes(10)),
  } as ConstructorParameters<typeof FastifyAdapter>[0]);
  const given = {
    config,
    databaseUrl: new DatabaseUrl(new Secret(databaseUrl)),
    envelope: new Envelope(ring),
    log,
    clock,
  };
  const app = await NestFactory.create<NestFastifyApplication>(AppModule.register(given), adapter, {
    logger: nestLogger(log),
    abortOnError: false,
  });
  const headers = helmet({
    contentSecurityPolicy: {
      directives: {
        defaultSrc: ["'self'"],
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:'],
        // Over plain HTTP (loopback, or behind a proxy) the proxy's answer decides, not an upgrade by the browser.
        ...(config.httpTls === undefined ? { upgradeInsecureRequests: null } : {}),
      },
    },
  });
  const metrics = app.get(Metrics);
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRequest', (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) =>
    headers(request.raw, reply.raw, (error) => done(error as Error | undefined)),
  );
  fastify.addHook('onRequest', (request: FastifyRequest, reply: FastifyReply, done: () => void) => {
    void reply.header('x-request-id', request.id);
    done();
  });
  fastify.addHook('onResponse', (request: FastifyRequest, reply: FastifyReply, done: () => void) => {
    const route = request.routeOptions.url ?? 'none';
    metrics.requests.observe(
      { method: request.method, route, status: String(reply.statusCode) },
      reply.elapsedTime / 1000,
    );
    done();
  });
  refuseNul(fastify);
  keepRawBody(fastify);
  // What SCIM clients send (RFC 7644 §3.1) is JSON like any other; some name the type with no body at all.
  const parseJson = fastify.getDefaultJsonParser('error', 'error');
  fastify.addContentTypeParser('application/scim+json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined);
    else void parseJson(request, body as string, done);
  });
  app.useGlobalPipes(
    new StandardSchemaValidationPipe({
      exceptionFactory: (issues) => new InvalidRequest(fieldProblems(issues)),
    }),
  );
  serveOpenApi(app);
  return app;
}

function writeReady(file: string, value: ReadyFile): void {
  // Who waits for the file reads it as soon as it is there: it has to be whole then.
  const beside = `${file}.tmp`;
  writeFileSync(beside, `${JSON.stringify(value, undefined, 2)}\n`, { mode: 0o600 });
  chmodSync(beside, 0o600);
  renameSync(beside, file);
}

/**
 * Starts everything; resolves when it serves.
 * @throws GatewayError `config.invalid` with what to do, after stopping what was already started
 */
export async function startControlPlane(
  config: Config,
  writeLog: (line: string) => void = (line) => void process.stderr.write(line),
  clock: SystemClock = new SystemClock(),
): Promise<ControlPlane> {
  mkdirSync(config.dataDir, { recursive: true, mode: 0o711 });
  const readyFile = path.join(config.dataDir, 'ready.json');
  rmSync(readyFile, { force: true });
  const log = new ProcessLog(config.logLevel, writeLog, clock);
  const database = await openDatabase(config);
  let app: NestFastifyApplication | undefined;
  const stop = async (): Promise<void> => {
    rmSync(readyFile, { force: true });
    await app?.close();
    await database.stop();
  };
  try {
    const applied = await migrate(database.url, clock.now());
    if (applied.length > 0) log.info('migrations were applied', { applied });
    app = await createApp(config, database.url, log, clock);
    const bootstrap = app.get(Bootstrap);
    const { adminTokenFile, adminId } = await bootstrap.run();
    await app.listen(config.http.port, config.http.host);
    const listening = app.get(Listening);
    const bound = app.getHttpServer().address() as { address: string; port: number };
    listening.report('http', {
      host: config.http.host === '0.0.0.0' || config.http.host === '::' ? '127.0.0.1' : config.http.host,
      port: bound.port,
    });
    await app.get(ConfiguredProviders, { strict: false }).start();
    const adminLink = adminId === undefined ? undefined : (await bootstrap.firstLink(adminId)).url;
    const ca = path.join(config.dataDir, 'ca.pem');
    writeFileSync(ca, await app.get(Keys).root());
    const demo = config.demoIdp ? { demoIdp: `http://${listening.address('demo-idp')}` } : {};
    const ready: ReadyFile = {
      pid: process.pid,
      http: listening.publicUrl(),
      link: listening.address('link'),
      enroll: listening.address('enroll'),
      ca,
      ...demo,
    };
    writeReady(readyFile, ready);
    log.info('ready', { ...ready });
    return { app, ready, adminTokenFile, adminLink, stop };
  } catch (error) {
    await stop().catch((failure: unknown) => log.error('the stop after a failed start failed', { error: failure }));
    throw error;
  }
}
