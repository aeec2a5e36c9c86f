// Short messages at the foot of the page. Errors stay until the next message or until closed. Messages with a button
// stay for half a minute, so that a keyboard reaches it.
import { fill, h, icon } from '../lib/dom.js';
import { t } from '../lib/i18n.js';

let timer = null;
const polite = () => document.getElementById('toast');

/** Shows a message. `action`: {label, key, run}. `more`: a second, smaller line. */
export function toast(text, { isError = false, action = null, more = null } = {}) {
  clearTimeout(timer);
  const region = polite();
  const close = () => {
    if (region.contains(document.activeElement)) document.getElementById('main')?.focus();
    hide();
  };
  fill(region, h('div', { class: isError ? 'toast is-error' : 'toast', role: isError ? 'alert' : 'status' },
    h('p', null, text, more && h('small', { dir: 'auto' }, more)),
    action && h('button', { class: 'button small', type: 'button', onClick: () => { hide(); action.run(); } },
      action.label, action.key && h('kbd', null, action.key)),
    h('button', { class: 'icon-button', type: 'button', 'aria-label': t('close'), onClick: close }, icon('close'))));
  if (isError) return;
  const end = () => {
    // Not while somebody is about to use it.
    if (region.matches(':hover') || region.contains(document.activeElement)) timer = setTimeout(end, 3000);
    else hide();
  };
  timer = setTimeout(end, action ? 30_000 : 6000);
}

export function hide() {
  clearTimeout(timer);
  polite()?.replaceChildren();
}

/** Says something to screen readers only. */
export function say(text) {
  const region = document.getElementById('say');
  if (region) region.textContent = text;
}
