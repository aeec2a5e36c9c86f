// Modal dialogs for decisions: confirm, choose between two versions, pick from a list.
import { fill, h, icon, setAttribute } from '../lib/dom.js';
import { nodes, t } from '../lib/i18n.js';
import { dateTime } from '../lib/time.js';

let counter = 0;

/**
 * Opens a modal dialog with a heading and returns {dialog, closed, close(value)}. `closed` resolves to the value; to
 * undefined if the visitor closed it. The focus returns to where it was, or to the page if that is gone.
 */
export function modal({ title, body, size = '', isAlert = false }) {
  const opener = document.activeElement;
  const id = `dialog-${counter += 1}`;
  let value;
  const dialog = h('dialog', { class: `dialog ${size}`, 'aria-labelledby': id, role: isAlert ? 'alertdialog' : null },
    h('header', { class: 'dialog-head' }, h('h2', { id }, title),
      h('button', { class: 'icon-button', type: 'button', 'aria-label': t('close'), onClick: () => dialog.close() },
        icon('close'))),
    body);
  document.body.append(dialog);
  const closed = new Promise(resolve => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      const target = opener?.isConnected && opener !== document.body ? opener : document.getElementById('main');
      target?.focus({ preventScroll: true });
      resolve(value);
    });
  });
  const close = next => { value = next; dialog.close(); };
  // A click beside the dialog closes it, unless that would lose what was typed.
  let isTyped = false;
  dialog.addEventListener('input', event => { isTyped ||= !event.target.matches('[role=combobox]'); });
  dialog.addEventListener('click', event => { if (event.target === dialog && !isTyped) dialog.close(); });
  // Ctrl+Enter saves in every dialog that has a form.
  dialog.addEventListener('keydown', event => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (!event.repeat) dialog.querySelector('form')?.requestSubmit();
    }
  });
  dialog.showModal();
  return { dialog, closed, close };
}

/** A row of buttons at the foot of a dialog: Cancel, and the one that submits the form. */
export const buttons = (yes, { isDanger = false, cancel = t('cancel'), onCancel } = {}) =>
  h('footer', { class: 'dialog-foot' },
  h('button', { type: 'button', class: 'button', onClick: onCancel ?? (event =>
    event.target.closest('dialog').close()) }, cancel),
  h('button', { type: 'submit', class: isDanger ? 'button danger' : 'button primary' }, yes));

/** Asks a question and returns whether the answer is yes. `typed` is a text that must be typed first. */
export async function confirm({ title, text, yes, isDanger = false, typed = null }) {
  const field = typed && h('input', { type: 'text', autocomplete: 'off', 'aria-label': t('confirm.typeLabel'),
    dir: 'auto' });
  const fault = h('p', { class: 'fault', role: 'alert' });
  const form = h('form', { class: 'stack', onSubmit: event => {
    event.preventDefault();
    if (typed && field.value.trim() !== typed) { fill(fault, t('confirm.differs')); field.focus(); return; }
    box.close(true);
  } },
  text && h('p', null, text),
  typed && h('label', { class: 'field' }, h('span', null, nodes('confirm.type', { text: typed })), field), typed
    && fault,
  buttons(yes, { isDanger }));
  const box = modal({ title, body: form, isAlert: true, size: 'narrow' });
  (field ?? form.querySelector('[type=submit]')).focus();
  return await box.closed === true;
}

/**
 * Shows two versions of fields: [{label, before, theirs, mine}]. Returns true to keep mine, false to keep theirs.
 * Closing it keeps theirs.
 */
export async function choose({ title, text, at, rows }) {
  const cell = value => h('td', null, h('bdi', { dir: 'auto' }, value));
  const form = h('form', { class: 'stack', onSubmit: event => { event.preventDefault(); box.close(true); } },
    h('p', null, text, ' ', h('time', { class: 'secondary', datetime: at }, dateTime(at))),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': title },
      h('table', { class: 'plain' },
        h('thead', null, h('tr', null, ['conflict.field', 'conflict.before', 'conflict.theirs',
          'conflict.mine'].map(key =>
          h('th', { scope: 'col' }, t(key))))),
        h('tbody', null, rows.map(row => h('tr', null, h('th', { scope: 'row' }, row.label), cell(row.before),
          cell(row.theirs), cell(row.mine)))))),
    buttons(t('conflict.keepMine'), { cancel: t('conflict.keepTheirs') }));
  const box = modal({ title, body: form, isAlert: true });
  return await box.closed === true;
}

/**
 * Lets the visitor pick one of `items`: [{id, label, more, keys}] by typing a part of it. Returns the item, or
 * undefined. `create(text)` may return an item for a text that is not in the list. `later` is a promise of newer items,
 * which take the place of the first ones. `foot(close)` returns what stands below the list.
 */
export async function pick({ title, items, placeholder, empty = t('pick.none'), create = null, later = null,
  foot = null }) {
  const listId = `pick-${counter += 1}`;
  let shown = [];
  let active = 0;
  const list = h('ul', { id: listId, role: 'listbox', class: 'pick', 'aria-label': title });
  const status = h('p', { class: 'secondary', role: 'status' });
  const field = h('input', { type: 'text', role: 'combobox', autocomplete: 'off', spellcheck: 'false',
    'aria-expanded': 'true',
    'aria-controls': listId, 'aria-autocomplete': 'list', 'aria-label': placeholder ?? title,
      placeholder: placeholder ?? title, dir: 'auto' });
  const option = (item, index) => h('li', { id: `${listId}-${index}`, role: 'option', 'aria-selected': 'false',
    'aria-disabled': item.isDisabled ? 'true' : null, onClick: () => { if (!item.isDisabled) box.close(item); },
    onPointermove: () => { if (active !== index) mark(index); } },
  item.icon && icon(item.icon), h('bdi', { class: 'pick-label', dir: 'auto' }, item.label),
  item.more && h('span', { class: 'secondary' }, item.more), item.key && h('kbd', null, item.key));
  function mark(index) {
    active = index;
    for (const [position, node] of [...list.children].entries()) node.setAttribute('aria-selected',
      String(position === index));
    setAttribute(field, 'aria-activedescendant', shown.length ? `${listId}-${index}` : null);
    list.children[index]?.scrollIntoView({ block: 'nearest' });
  }
  function update() {
    const words = field.value.trim().toLocaleLowerCase().split(/\s+/).filter(Boolean);
    const hit = item => words.every(word => `${item.label} ${item.keywords ?? ''}`.toLocaleLowerCase().includes(word));
    const begins = item => item.label.toLocaleLowerCase().startsWith(words[0] ?? '');
    shown = items.filter(hit).sort((a, b) => words.length ? begins(b) - begins(a) : 0).slice(0, 100);
    const made = create?.(field.value.trim());
    if (made && !shown.some(item => item.label === made.label)) shown.push(made);
    fill(list, shown.map(option));
    fill(status, shown.length ? '' : items.length ? t('pick.none') : empty);
    mark(Math.max(0, shown.findIndex(item => !item.isDisabled)));
  }
  field.addEventListener('input', update);
  field.addEventListener('keydown', event => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && shown.length) { event.preventDefault(); mark((active + step + shown.length) % shown.length); }
  });
  const form = h('form', { class: 'stack', onSubmit: event => {
    event.preventDefault();
    if (shown[active] && !shown[active].isDisabled) box.close(shown[active]);
  } }, field, list, status);
  const box = modal({ title, body: form, size: 'narrow' });
  const below = foot ? [foot(item => box.close(item))].flat().filter(Boolean) : [];
  if (below.length) form.append(h('div', { class: 'chips' }, below));
  update();
  field.focus();
  later?.then(newer => {
    if (!box.dialog.open) return;
    const chosen = shown[active]?.id;
    items = newer;
    update();
    const index = shown.findIndex(item => item.id === chosen);
    if (index > 0) mark(index);
  });
  return box.closed;
}
