/** The connection to the mail server: the only reader of its password. TLS, but to this machine itself. */
import { createTransport, type Transporter } from 'nodemailer';
import type { SmtpConfig } from '../../config.ts';

const CONNECT_MS = 5_000;
const SILENT_MS = 9_000;

export const openMailTransport = (smtp: SmtpConfig): Transporter =>
  createTransport({
    host: smtp.host,
    port: smtp.port,
    secure: smtp.implicitTls,
    requireTLS: !smtp.implicitTls && !smtp.loopback,
    ...(smtp.user === undefined ? {} : { auth: { user: smtp.user, pass: smtp.password?.reveal() ?? '' } }),
    connectionTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    socketTimeout: SILENT_MS,
  });
