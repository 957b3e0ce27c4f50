/** What `npm start` prints: exact commands to copy. Refuses to print a token: commands read it from where it is kept. */
import path from 'node:path';
import { ROOT } from './build.ts';
import type { DevFile } from './dev-file.ts';

/**
 * Commands work from the checkout's folder. `./sallyport --as NAME` reads that principal's token from dev.json.
 * @param end how to end it, in a sentence
 */
export function whatToTry(dev: DevFile, devFile: string, end: string): string {
  const file = path.relative(ROOT, devFile);
  // `./sallyport` looks where `npm start` keeps its stack when it is not told otherwise.
  const elsewhere = file === path.join('.sallyport', 'dev.json') ? '' : `\n\n     export SALLYPORT_DEV_FILE=${devFile}`;
  return `
Sallyport is running.  REST ${dev.rest}   API docs ${dev.rest}/docs   PostgreSQL listener 127.0.0.1:${dev.agent.postgres} (TLS)   SSH listener 127.0.0.1:${dev.agent.ssh}   HTTPS listener 127.0.0.1:${dev.agent.https}
Tokens of the demo principals: ${file} (readable by you alone)

Five things to try, in this folder:${elsewhere}

  1. Read, masked (you are Carla, an analyst):
     ./sallyport --as carla sql payments-db -c "select name, email, national_id, card_number from customers limit 3"

  2. A DROP is denied, with its reason (you are the payments bot):
     ./sallyport --as payments-bot sql payments-db -c "drop table payments"

  3. A DELETE waits for somebody else. It holds this terminal until step 4 answers:
     ./sallyport --as payments-bot sql payments-db -c "delete from payments where status = 'refunded'"

  4. In a second terminal, Ana from the dba group looks and approves:
     ./sallyport --as ana approvals ls
     ./sallyport --as ana approvals approve <id>
     (A change sent by a driver, or after BEGIN, can be approved with what differs in values alone:
      approvals approve <id> --shape --minutes 30 --rows 10)

  5. See what happened, replay it, and verify the record offline:
     ./sallyport --as admin sessions ls
     ./sallyport --as admin sessions replay <id>
     ./sallyport --as admin trail export -o trail.export && ./sallyport trail verify trail.export --root ${path.relative(ROOT, dev.ca)}

An API behind a key that nobody is given (you are the payments bot):
     ./sallyport --as payments-bot run payments-api -- sh -c 'curl -s "$SALLYPORT_PAYMENTS_API_URL/v1/customers?limit=2"'
     curl --cacert ${path.relative(ROOT, dev.ca)} -u "token:$(./sallyport --as carla token payments-api)" "https://127.0.0.1:${dev.agent.https}/r/payments-api/v1/customers?limit=2"

Sign in with a browser, by a passkey or a password (you are Ana; the link is good once):
     ./sallyport --as admin accounts link ana

With psql, the token is the password and the resource is the user:
     ./sallyport --as carla connect payments-db
     PGPASSWORD=$(./sallyport --as carla token payments-db) psql "host=127.0.0.1 port=${dev.agent.postgres} user=payments-db dbname=payments sslmode=verify-full sslrootcert=${path.relative(ROOT, dev.ca)}"

${end}  The whole story, checked step by step: npm run tour
`;
}
