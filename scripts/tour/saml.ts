/** Of the chapter `identity`: a person signs in by SAML, and the same answer opens nothing a second time. */
import { browse, formOf, type Jars } from './browse.ts';
import type { TourContext } from './context.ts';
import { startSamlIdp } from './saml-idp.ts';
import { promise, type Step } from './story.ts';

const PROVIDER = 'tour-saml';
const WHO = { name: 'dana@tour.example', displayName: 'Dana', groups: ['corp-analysts', 'corp-lunch'] };

export async function samlSignIn({ stack }: TourContext, step: Step): Promise<void> {
  const { admin, dev } = stack;
  const idp = await startSamlIdp(WHO);
  let created = '';
  try {
    await admin.call('POST', '/v1/identity-providers', {
      name: PROVIDER,
      kind: 'saml',
      config: { entityId: idp.entityId, metadata: idp.metadata, displayNameAttribute: 'displayName' },
      mapping: { prefix: 'corp-', rules: [{ match: 'analysts', group: 'analysts' }], unmapped: 'drop' },
    });
    const jars: Jars = new Map();
    let answer: ReturnType<typeof formOf> | undefined;
    await step('Dana signs in by SAML: a small provider of the tour’s own signs who she is', async () => {
      const page = await browse(jars, `${dev.rest}/v1/login?provider=${PROVIDER}&return_to=%2Fdevice`);
      answer = formOf(page);
      await browse(jars, answer.action, answer.fields);
      const session = jars.get(new URL(dev.rest).origin)?.get('sallyport_session') ?? '';
      const me = await admin.as(session).call<{ principal: { name: string }; groups: string[] }>('GET', '/v1/whoami');
      created = me.principal.name;
      promise(me.groups.join() === 'analysts', me.groups.join());
      return `${me.principal.name}, groups ${me.groups.join(', ')} of ${WHO.groups.join(', ')}`;
    });
    await step('the same answer sent again, from another browser, opens nothing', async () => {
      const thief: Jars = new Map();
      const page = await browse(thief, answer?.action ?? '', answer?.fields ?? {});
      promise(!thief.get(new URL(dev.rest).origin)?.has('sallyport_session'), 'it signed somebody in');
      return `HTTP ${page.status}, no session`;
    });
  } finally {
    await admin.call('DELETE', `/v1/identity-providers/${PROVIDER}`).catch(() => undefined);
    if (created !== '') await admin.call('DELETE', `/v1/principals/${created}`).catch(() => undefined);
    await idp.close();
  }
}
