// Ctrl+K: every command with its key. ?: the sheet of keys.
import { commands } from '../lib/keys.js';
import { h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { modal, pick } from './dialogs.js';

const SCOPES = { global: 'keys.everywhere', banner: 'keys.everywhere', view: 'keys.here' };

/** Lets the visitor pick a command by its name. */
export async function openPalette() {
  if (document.querySelector('dialog[open]')) return;
  const items = commands().reverse().flatMap(({ list }) => list).map((command, index) =>
    ({ id: String(index), label: command.label, key: spoken(command.key), command }));
  const item = await pick({ title: t('palette.title'), items, placeholder: t('palette.placeholder') });
  item?.command.run();
}

const spoken = key => key?.length === 1 && key !== key.toLowerCase() ? `Shift ${key}`
  : key?.toUpperCase().replace('ENTER', 'Enter');

/** Shows the keys of this view and of all views. */
export function openSheet() {
  if (document.querySelector('dialog[open]')) return;
  const groups = new Map();
  for (const { scope, list } of commands()) {
    const name = SCOPES[scope];
    groups.set(name, [...groups.get(name) ?? [], ...list.filter(command => command.key)]);
  }
  modal({ title: t('keys.title'), size: 'wide', body: h('div', { class: 'keysheet' },
    [...groups].map(([name, list]) => h('section', null, h('h3', null, t(name)),
    h('dl', null, list.map(command => h('div', null, h('dt', null, command.label),
      h('dd', null, spoken(command.key).split(' ').map(one => h('kbd', null, one)))))))),
  h('p', { class: 'secondary' }, t('keys.more'))) });
}
