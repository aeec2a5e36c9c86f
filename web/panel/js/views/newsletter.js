// The subscribers of the newsletter.
import { api, isAbort } from '../lib/api.js';
import { confirm } from '../parts/dialogs.js';
import { day } from '../lib/time.js';
import { done, obstacle, report } from '../lib/actions.js';
import { emptyState, errorState, loading } from '../parts/chips.js';
import { fill, h } from '../lib/dom.js';
import { label, t } from '../lib/i18n.js';
import { may, scope } from '../lib/store.js';
import { plainTable, rowButton } from '../parts/table.js';
import { queryString } from '../lib/filters.js';
import { rewrite } from '../lib/router.js';

export function open({ query, outlet }) {
  const life = scope();
  let rows = [];
  let cursor = null;
  let timer = null;
  const heading = h('h1', { tabindex: '-1' }, t('nav.newsletter'));
  const search = h('input', { type: 'search', value: query.get('q') ?? '', placeholder: t('newsletter.search'),
    'aria-label': t('newsletter.search'), dir: 'ltr',
    onInput: () => { clearTimeout(timer); timer = setTimeout(() => load(), 250); } });
  const status = h('select', { 'aria-label': t('newsletter.status'), onChange: () => load() },
    ['active', 'unsubscribed', 'spam', ''].map(value =>
    h('option', { value, selected: value === (query.get('status') ?? 'active') },
      label('subscriber', value || 'all'))));
  const region = h('div');
  const more = h('button', { type: 'button', class: 'button', hidden: true, onClick: () => load(cursor) }, t('more'));
  const table = plainTable(t('nav.newsletter'), [
    { key: 'email', text: t('newsletter.email'), cell: row => h('bdi', { dir: 'ltr' }, row.email) },
    { key: 'status', text: t('newsletter.status'), cell: row => label('subscriber', row.status) },
    { key: 'source', text: t('newsletter.source'), cell: row => h('bdi', { dir: 'auto' }, row.source ?? '–') },
    { key: 'date', text: t('newsletter.date'), cell: row => day(row.subscribedAt) },
    { key: 'actions', cell: row => may('owner') && rowButton(t('newsletter.delete'), obstacle('owner'), () =>
      remove(row)) },
  ]);
  fill(outlet, h('div', { class: 'view-head' }, heading, h('div', { class: 'searchbox' }, search), status), region,
    more);

  async function load(from = null) {
    rewrite(`/admin/newsletter?${queryString({ status: status.value, q: search.value.trim() || null })}`);
    const end = loading(region);
    try {
      const wanted = queryString({ status: status.value || null, query: search.value.trim() || null, limit: 50,
        cursor: from });
      const { data } = await api('GET', `/api/newsletter/subscribers?${wanted}`, { kind: 'newsletter' });
      if (life.isOver) return;
      end();
      rows = from ? [...rows, ...data.data] : data.data;
      cursor = data.nextCursor;
      more.hidden = cursor === null;
      if (!rows.length) fill(region, emptyState(t(search.value.trim() ? 'newsletter.none' : 'newsletter.empty'), null));
      else { table.update(rows); if (table.node.parentNode !== region) fill(region, table.node); }
    } catch (problem) {
      end();
      if (!isAbort(problem) && !life.isOver) fill(region, errorState(problem, () => load()));
    }
  }

  async function remove(row) {
    if (!await confirm({ title: t('newsletter.deleteTitle'), text: t('newsletter.deleteText'),
      yes: t('newsletter.delete'), isDanger: true, typed: row.email })) return;
    try {
      await api('DELETE', `/api/newsletter/subscribers/${row.id}`);
      done(t('newsletter.deleted'));
      load();
    } catch (problem) { report(problem); }
  }

  life.add(() => { clearTimeout(timer); life.isOver = true; });
  load();
  return { title: t('nav.newsletter'), heading, leave() { life.end(); } };
}
