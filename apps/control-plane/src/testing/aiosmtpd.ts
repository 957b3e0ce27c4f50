/**
 * A mail server nobody here wrote for tests: aiosmtpd from Debian, which takes mail by STARTTLS from who signs in and from no
 * one else. Refuses to deliver anything: what it took is read from its output.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

const PYTHON = '/usr/bin/python3';
export const HAS_AIOSMTPD = existsSync(PYTHON) && existsSync('/usr/lib/python3/dist-packages/aiosmtpd/smtp.py');
/** Of this host, and not one of the names to which mail may go in clear. */
export const MAIL_HOST = '127.0.0.2';

const SERVER = `
import json, ssl, sys
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
host, port, cert, key, user, password = sys.argv[1:]
say = lambda what: print(json.dumps(what), flush=True)
class Keep:
    refusals = 1
    async def handle_DATA(self, server, session, envelope):
        if "[later]" in envelope.content.decode() and self.refusals > 0:
            self.refusals -= 1
            return "451 come back later"
        say({"to": envelope.rcpt_tos, "tls": session.ssl is not None, "authenticated": session.authenticated,
             "text": envelope.content.decode()})
        return "250 kept"
def sign_in(server, session, envelope, mechanism, data):
    return AuthResult(success=data.login == user.encode() and data.password == password.encode())
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(cert, key)
Controller(Keep(), hostname=host, port=int(port), tls_context=context, require_starttls=True, auth_required=True,
    authenticator=sign_in).start()
say("ready")
sys.stdin.read()
`;

export interface TakenMail {
  readonly to: readonly string[];
  readonly tls: boolean;
  readonly authenticated: boolean;
  readonly text: string;
}
export interface MailServer {
  readonly port: number;
  /** PEM that its certificate is trusted by. */
  readonly ca: string;
  readonly mails: readonly TakenMail[];
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, MAIL_HOST, resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function startMailServer(user: string, password: string): Promise<MailServer> {
  const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-mail-'));
  const [cert, key] = [path.join(dir, 'cert.pem'), path.join(dir, 'key.pem')];
  const names = `subjectAltName=IP:${MAIL_HOST}`;
  execFileSync(
    'openssl',
    `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=mail -addext ${names} -keyout ${key} -out ${cert}`.split(
      ' ',
    ),
    { stdio: 'ignore' },
  );
  const port = await freePort();
  const child: ChildProcess = spawn(PYTHON, ['-c', SERVER, MAIL_HOST, String(port), cert, key, user, password], {
    // A client that goes away in the middle is a traceback to it.
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const mails: TakenMail[] = [];
  await new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`aiosmtpd ended with ${code}`)));
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const said = JSON.parse(line) as TakenMail | 'ready';
      if (said === 'ready') resolve();
      else mails.push(said);
    });
  });
  return {
    port,
    ca: readFileSync(cert, 'utf8'),
    mails,
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill();
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
