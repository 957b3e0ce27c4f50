/**
 * The script of the two sign-in pages, served as a file of our own so that no page needs one inline (CSP: script-src 'self').
 * What a link carries stands behind its `#` and is taken out of the address bar before anything else. Refuses to write HTML.
 */
export const LOGIN_SCRIPT = String.raw`'use strict';
const page = document.querySelector('main');
const message = document.getElementById('message');
const say = (text) => { message.textContent = text; };
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
const named = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));

async function post(path, body) {
  const answer = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const value = await answer.json().catch(() => ({}));
  if (answer.ok) return value;
  const first = (value.errors || [])[0];
  throw new Error(first ? first.field + ': ' + first.message : value.title || 'It did not work. Try again.');
}
const guarded = (work) => async (event) => {
  event.preventDefault();
  say('');
  const button = event.submitter || event.currentTarget;
  button.disabled = true;
  try {
    await work(event);
  } catch (error) {
    say(error.name === 'NotAllowedError' ? 'The passkey was not used.' : error.message);
  } finally {
    button.disabled = false;
  }
};
const done = (answer) => location.assign(answer.returnTo);

function assertion(credential) {
  const { response } = credential;
  return {
    id: credential.id, rawId: text(credential.rawId), type: credential.type, clientExtensionResults: {},
    response: {
      clientDataJSON: text(response.clientDataJSON), authenticatorData: text(response.authenticatorData), signature: text(response.signature),
      ...(response.userHandle ? { userHandle: text(response.userHandle) } : {}),
    },
  };
}
function attestation(credential) {
  const { response } = credential;
  return {
    id: credential.id, rawId: text(credential.rawId), type: credential.type, clientExtensionResults: {},
    response: {
      clientDataJSON: text(response.clientDataJSON), attestationObject: text(response.attestationObject),
      transports: response.getTransports ? response.getTransports() : [],
    },
  };
}

function signIn() {
  const { returnTo, project } = page.dataset;
  const common = { return_to: returnTo, ...(project ? { project } : {}) };
  document.getElementById('password').addEventListener('submit', guarded(async (event) => {
    const fields = Object.fromEntries(new FormData(event.target));
    done(await post('/v1/login/local/password', { ...fields, ...common }));
  }));
  const passkey = document.getElementById('passkey');
  if (!passkey) return;
  if (!window.PublicKeyCredential) { passkey.hidden = true; return; }
  passkey.addEventListener('click', guarded(async () => {
    const options = await post('/v1/login/local/passkey/begin', common);
    const credential = await navigator.credentials.get({
      publicKey: { ...options, challenge: bytes(options.challenge), allowCredentials: named(options.allowCredentials) },
    });
    done(await post('/v1/login/local/passkey', { ...common, response: assertion(credential) }));
  }));
}

async function setUp() {
  const token = location.hash.slice(1);
  history.replaceState(null, '', location.pathname);
  let given;
  try {
    given = await post('/v1/login/link/begin', { token });
  } catch {
    say('This link is used, has run out, or is not whole. Ask for another one.');
    return;
  }
  document.getElementById('name').textContent = given.name;
  document.getElementById('secret').textContent = given.totp.secret.replace(/(.{4})/g, '$1 ').trim();
  document.getElementById('app').href = given.totp.uri;
  document.getElementById('ways').hidden = false;
  const passkey = document.getElementById('passkey');
  if (!given.passkey || !window.PublicKeyCredential) passkey.hidden = true;
  passkey.addEventListener('click', guarded(async () => {
    const options = given.passkey;
    const credential = await navigator.credentials.create({
      publicKey: {
        ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) },
        excludeCredentials: named(options.excludeCredentials),
      },
    });
    await post('/v1/login/link/passkey', { token, response: attestation(credential) });
    document.getElementById('ways').hidden = true;
    say('The passkey is set up, and you are signed in.');
  }));
  document.getElementById('password').addEventListener('submit', guarded(async (event) => {
    const { password, code } = Object.fromEntries(new FormData(event.target));
    const answer = await post('/v1/login/link/password', { token, password, code });
    document.getElementById('ways').hidden = true;
    document.getElementById('codes').textContent = answer.recoveryCodes.join('\n');
    document.getElementById('recovery').hidden = false;
    say('The password is set up, and you are signed in.');
  }));
}

if (page.dataset.page === 'link') setUp(); else signIn();
`;
