// The log-in: a key in, a session out. The key is never stored by script.
import { api, openSession, sessionOf } from '../lib/api.js';
import { announce } from '../lib/live.js';
import { chooseLanguage, currentLanguage, t } from '../lib/i18n.js';
import { fill, h, icon } from '../lib/dom.js';
import { session } from '../lib/store.js';
import { describe } from '../lib/actions.js';

/** Tries the session of this browser, or the one-time token in the address. Returns the problem, or null. */
export async function tryToEnter() {
  const token = /[#&]token=([^&]+)/.exec(location.hash)?.[1];
  if (token) {
    // The token works once; it must not stay in the address or in the history.
    history.replaceState(history.state, '', location.pathname + location.search);
    try {
      await openSession({ loginToken: decodeURIComponent(token) });
      announce('login');
      return null;
    } catch (problem) { if (problem.status !== 401) return problem; }
  }
  try {
    const asked = await globalThis.askedSession?.catch(() => null);
    const { data } = await api('GET', '/api/admin/session', { asks: false, asked });
    session.set(sessionOf(data));
    return null;
  } catch (problem) {
    return token && problem.status === 401 ? Object.assign(problem, { code: 'login_token_used' }) : problem;
  }
}

const REASONS = { 401: 'login.wrong', 503: 'login.notConfigured' };

/** Shows the form in `outlet`. `entered()` is called after the log-in. `problem` says why it is shown. */
export function showLogin(outlet, problem, entered) {
  const fault = h('p', { class: 'fault', role: 'alert' });
  const key = h('input', { type: 'password', name: 'key', id: 'key', autocomplete: 'current-password', required: true,
    dir: 'ltr', spellcheck: 'false' });
  const eye = h('button', { type: 'button', class: 'button', 'aria-pressed': 'false', onClick: () => {
    const isShown = key.type === 'text';
    key.type = isShown ? 'password' : 'text';
    eye.setAttribute('aria-pressed', String(!isShown));
    fill(eye, t(isShown ? 'login.show' : 'login.hide'));
  } }, t('login.show'));
  const button = h('button', { type: 'submit', class: 'button primary wide' }, t('login.button'));
  const form = h('form', { class: 'login stack', onSubmit: async event => {
    event.preventDefault();
    button.disabled = true;
    fill(fault);
    try {
      await openSession({ key: key.value.trim() });
      announce('login');
      entered();
    } catch (failure) { tell(failure); key.focus(); }
    if (button.isConnected && !button.dataset.waits) button.disabled = false;
  } },
  h('div', { class: 'login-head' }, h('h1', { tabindex: '-1' }, icon('logo'), 'Leadpipe'),
    h('div', { class: 'switches', role: 'group', 'aria-label': t('settings.language') },
      [['en', 'English'], ['ar', 'العربية']].map(([id, text]) =>
      h('button', { type: 'button', lang: id, 'aria-pressed': String(id === currentLanguage()), onClick: async () => {
        const typed = key.value;
        try { await chooseLanguage(id); } catch (failure) { tell(failure); return; }
        showLogin(outlet, problem, entered).value = typed;
      } }, text)))),
  h('label', { class: 'field', for: 'key' }, h('span', null, t('login.key'))), h('div', { class: 'pair' }, key, eye),
    fault, button,
  h('p', { class: 'secondary' }, t('login.help')));

  function tell(failure) {
    fill(fault, REASONS[failure.status] ? t(REASONS[failure.status]) : describe(failure));
    if (failure.status !== 429) return;
    let left = failure.retryAfter || 10;
    button.dataset.waits = 'true';
    const count = () => {
      if (left <= 0) { fill(fault); delete button.dataset.waits; button.disabled = false; return; }
      fill(fault, t('login.wait', { count: left }));
      left -= 1;
      setTimeout(count, 1000);
    };
    count();
  }

  fill(outlet, form);
  document.title = `${t('login.button')} · Leadpipe`;
  if (problem?.code === 'login_token_used') fill(fault, t('login.used'));
  else if (problem && problem.status !== 401) tell(problem);
  key.focus();
  return key;
}
