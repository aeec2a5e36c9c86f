// A plain table that becomes one card for each row on phones.
import { fill, h, render, setAttribute } from '../lib/dom.js';
import { t } from '../lib/i18n.js';

const shown = new WeakMap();
const FIELDS = 'input, select, textarea';
const controls = row => [...row.querySelectorAll(`a, button, ${FIELDS}`)];

/**
 * Returns {node, body, update(rows)}. Columns are [{key, text, cell(row)}]; a cell returns nodes or text. The first
 * column is the header of its row. A row is drawn again only if it is another object, and not while one of its fields
 * has the focus; a button keeps its focus.
 */
export function plainTable(caption, columns) {
  const body = h('tbody', { role: 'rowgroup' });
  const node = h('table', { class: 'rows', role: 'table' }, h('caption', { class: 'sr' }, caption),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, columns.map(({ text, key }) =>
      h('th', { scope: 'col', role: 'columnheader' }, key === 'actions' ? h('span', { class: 'sr' }, t('column.menu'))
        : text)))), body);
  const draw = (tr, row) => fill(tr, columns.map(({ key, text, cell }) =>
    h('td', { role: 'cell', class: key === 'actions' ? 'actions' : null, 'data-label': key === 'actions' ? ''
      : text }, cell(row))));
  return { node, body, update(rows) {
    render(body, rows, row => h('tr', { role: 'row', data: { id: row.id } }), (tr, row) => {
      if (shown.get(tr) === row) return;
      const active = document.activeElement;
      const index = controls(tr).indexOf(active);
      if (index >= 0 && active.matches(FIELDS)) return;
      shown.set(tr, row);
      draw(tr, row);
      if (index >= 0) (controls(tr)[index] ?? document.getElementById('main')).focus({ preventScroll: true });
    });
  } };
}

/** Moves the focus to the first control of the row before or after the one with the focus: J and K. */
export function step(body, by) {
  const rows = [...body.children];
  const index = rows.indexOf(document.activeElement?.closest('tr'));
  const next = rows[index < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, index + by))];
  (next?.querySelector('a.lead-name') ?? next?.querySelector('a, button'))?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}

/** A button of a row that is disabled, with the reason as its title, while `reason` is a text. */
export function rowButton(text, reason, run, key) {
  const button = h('button', { type: 'button', class: 'button small', 'aria-keyshortcuts': key,
    onClick: () => { if (!reason) run(button); } }, text);
  setAttribute(button, 'aria-disabled', reason ? 'true' : null);
  setAttribute(button, 'title', reason);
  return button;
}
