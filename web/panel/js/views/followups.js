// What was promised: follow-ups that are overdue, due today, or planned for later.
import { addDays, dateTime, instant, localDay, now, onTick } from '../lib/time.js';
import { agents, me, scope } from '../lib/store.js';
import { api, isAbort } from '../lib/api.js';
import { bind } from '../lib/keys.js';
import { done, obstacle, report } from '../lib/actions.js';
import { emptyState, errorState, loading, press, switches } from '../parts/chips.js';
import { fill, h } from '../lib/dom.js';
import { label, t } from '../lib/i18n.js';
import { onEvent } from '../lib/live.js';
import { plainTable, rowButton, step } from '../parts/table.js';
import { queryString } from '../lib/filters.js';
import { rewrite } from '../lib/router.js';
import { askFollowUp } from '../parts/forms.js';

const TABS = ['overdue', 'today', 'later'];
const PATH = '/api/admin/follow-ups';

export function open({ query, outlet }) {
  const life = scope();
  let tab = TABS.includes(query.get('tab')) ? query.get('tab') : 'today';
  let whose = query.get('agent') ?? me() ?? '';
  let cursor = null;
  let rows = [];
  const heading = h('h1', { tabindex: '-1' }, t('nav.follow-ups'));
  const tabs = switches(t('nav.follow-ups'), TABS.map(id => ({ id, text: t(`followUps.${id}`) })), tab,
    id => { tab = id; load(); });
  const agent = h('select', { 'aria-label': t('followUps.whose'), onChange: () => { whose = agent.value; load(); } });
  const region = h('div');
  const more = h('button', { type: 'button', class: 'button', hidden: true, onClick: () => load(cursor) }, t('more'));
  const table = plainTable(t('nav.follow-ups'), [
    { key: 'due', text: t('followUps.due'), cell: row => h('time',
      { datetime: row.followUpDate, class: Date.parse(row.followUpDate) < now() ? 'is-over' : null },
      dateTime(row.followUpDate)) },
    { key: 'lead', text: t('followUps.lead'), cell: row => h('a',
      { href: `/admin/conversations/${row.conversationId}` },
      h('bdi', { dir: 'auto' }, row.customerName ?? t('lead.unnamed'))) },
    { key: 'kind', text: t('followUps.kind'), cell: row => label('channel', row.reminderType) },
    { key: 'text', text: t('followUps.text'), cell: row => h('bdi', { dir: 'auto' }, row.reminderText ?? '–') },
    { key: 'agent', text: t('followUps.agent'), cell: row =>
      h('bdi', { dir: 'auto' }, row.assignedAgentName ?? '–') },
    { key: 'actions', cell: row => [rowButton(t('followUps.nextDone'), obstacle(), () => finish(row), 'd'),
      rowButton(t('followUp.move'), obstacle(), () => move(row), 'm')] },
  ]);
  fill(outlet, h('div', { class: 'view-head' }, heading, tabs, agent), region, more);

  function drawAgents() {
    fill(agent, h('option', { value: '' }, t('tab.all')), agents.get().map(one =>
      h('option', { value: one.id }, one.id === me() ? t('tab.mine') : one.name)));
    agent.value = whose;
  }

  function parameters() {
    const tomorrow = new Date(instant(`${addDays(localDay(now()), 1)}T00:00`)).toISOString();
    const span = { overdue: { status: 'overdue' }, today: { from: new Date(now()).toISOString(), to: tomorrow },
      later: { from: tomorrow } }[tab];
    return { status: 'scheduled,in_progress', ...span, assignedAgentId: whose || null, limit: 50 };
  }

  async function load(from = null) {
    press(tabs, tab);
    rewrite(`/admin/follow-ups?${queryString({ tab, agent: whose || null })}`);
    const end = loading(region);
    try {
      const { data } = await api('GET', `${PATH}?${queryString({ ...parameters(), cursor: from })}`,
        { kind: 'follow-ups' });
      if (life.isOver) return;
      end();
      rows = from ? [...rows, ...data.data] : data.data;
      cursor = data.nextCursor;
      more.hidden = cursor === null;
      if (!rows.length) fill(region, emptyState(t(`followUps.empty${tab}`), whose
        && h('button', { type: 'button', class: 'button', onClick: () => { whose = ''; drawAgents(); load(); } },
        t('tab.all'))));
      else { table.update(rows); if (table.node.parentNode !== region) fill(region, table.node); }
    } catch (problem) {
      end();
      if (!isAbort(problem) && !life.isOver) fill(region, errorState(problem, () => load()));
    }
  }

  async function save(row, body, text, undo) {
    try {
      await api('PATCH', `${PATH}/${row.id}`, { body });
      done(text, undo);
      load();
    } catch (problem) { report(problem); }
  }
  // A completed follow-up cannot be opened again, so there is no undo.
  const finish = row => save(row, { status: 'completed' }, t('followUp.completed'), null);
  async function move(row) {
    const made = await askFollowUp({ title: t('followUp.move'), kind: row.reminderType, text: row.reminderText ?? '' });
    if (!made) return;
    const isPast = Date.parse(row.followUpDate) < now();
    await save(row, made, t('followUp.moved'), isPast ? null : async () => {
      await api('PATCH', `${PATH}/${row.id}`, { body: { followUpDate: row.followUpDate } });
      load();
    });
  }

  const focused = () => rows.find(row => row.id === document.activeElement?.closest('tr')?.dataset.id);
  const isAllowed = () => focused() !== undefined && !obstacle();
  life.add(bind('view', [
    { key: 'j', label: t('keys.down'), run: () => step(table.body, 1) },
      { key: 'k', label: t('keys.up'), run: () => step(table.body, -1) },
    { key: 'd', label: t('followUps.nextDone'), run: () => finish(focused()), isAllowed },
      { key: 'm', label: t('followUp.move'), run: () => move(focused()), isAllowed },
    ...TABS.map((id, index) => ({ key: String(index + 1), label: t(`followUps.${id}`),
      run: () => { tab = id; load(); } })),
  ]));
  let timer = null;
  life.add(onEvent(({ name, data }) => {
    if (name !== 'reset' && !data?.type?.startsWith('lead.follow_up')) return;
    clearTimeout(timer);
    timer = setTimeout(() => load(), 2000);
  }));
  life.add(agents.subscribe(drawAgents));
  life.add(onTick(() => table.update(rows)));
  life.add(() => { clearTimeout(timer); life.isOver = true; });
  drawAgents();
  load();
  return { title: t('nav.follow-ups'), heading, leave() { life.end(); } };
}
