// Short messages at the foot of the page. Errors and messages with a button stay until the next one or until closed.
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
  if (!isError && !action) timer = setTimeout(hide, 6000);
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
