// The agents and how much each has to do.
import { agents, may, scope } from '../lib/store.js';
import { api, isAbort } from '../lib/api.js';
import { buttons, confirm, modal } from '../parts/dialogs.js';
import { done, obstacle, report } from '../lib/actions.js';
import { emptyState, errorState, loading } from '../parts/chips.js';
import { field, isFilled, needs, select, submit } from '../parts/forms.js';
import { fill, h } from '../lib/dom.js';
import { label, t } from '../lib/i18n.js';
import { plainTable, rowButton } from '../parts/table.js';

const PATH = '/api/admin/agents';
const STATES = ['available', 'busy', 'offline'];

export function open({ outlet }) {
  const life = scope();
  const heading = h('h1', { tabindex: '-1' }, t('nav.agents'));
  const region = h('div');
  const add = may('owner') && h('button', { type: 'button', class: 'button primary', onClick: () => edit(null) },
    t('agents.add'));
  const table = plainTable(t('nav.agents'), [
    { key: 'name', text: t('agents.name'), cell: row => h('strong', null, h('bdi', { dir: 'auto' }, row.name)) },
    { key: 'email', text: t('agents.email'), cell: row => h('bdi', { dir: 'ltr' }, row.email ?? '–') },
    { key: 'department', text: t('agents.department'), cell: row => h('bdi', { dir: 'auto' }, row.department ?? '–') },
    { key: 'status', text: t('agents.status'), cell: row => status(row) },
    { key: 'load', text: t('agents.load'), cell: row => load_(row) },
    { key: 'actions', cell: row => may('owner') && [rowButton(t('agents.edit'), obstacle('owner'), () => edit(row)),
      rowButton(t('agents.remove'), obstacle('owner'), () => remove(row))] },
  ]);
  fill(outlet, h('div', { class: 'view-head' }, heading, add), region);

  function status(row) {
    const control = select(STATES, row.status, value => label('agentStatus', value),
      { 'aria-label': t('row.menu', { name: row.name }), disabled: obstacle() !== null });
    let saved = row.status;
    control.addEventListener('change', async () => {
      const old = saved;
      try {
        await api('PATCH', `${PATH}/${row.id}`, { body: { status: control.value } });
        saved = control.value;
        done(t('agents.saved'), async () => { await api('PATCH', `${PATH}/${row.id}`,
          { body: { status: old } }); load(); });
        load();
      } catch (problem) { control.value = old; report(problem); }
    });
    return control;
  }

  function load_(row) {
    const part = h('i');
    part.style.setProperty('--part',
      `${Math.min(100, Math.round(100 * row.openConversations / Math.max(1, row.maxCapacity)))}%`);
    const link = h('a', { href: `/admin/inbox?tab=all&assignedAgentIds=${row.id}` },
      t('agent.load', { open: row.openConversations, most: row.maxCapacity }));
    return [h('span', { class: row.openConversations >= row.maxCapacity ? 'meter full' : 'meter',
      'aria-hidden': 'true' }, part), link];
  }

  async function load() {
    const end = loading(region);
    try {
      const { data } = await api('GET', PATH, { kind: 'agents' });
      if (life.isOver) return;
      end();
      agents.set(data.data);
      if (!data.data.length) fill(region, emptyState(t('agents.empty'), null));
      else { table.update(data.data); if (table.node.parentNode !== region) fill(region, table.node); }
    } catch (problem) {
      end();
      if (!isAbort(problem) && !life.isOver) fill(region, errorState(problem, load));
    }
  }

  async function edit(row) {
    const input = (name, type, more) => field(t(`agents.${name === 'maxCapacity' ? 'most' : name}`),
      h('input', { type, name, value: row?.[name] ?? (name === 'maxCapacity' ? 15 : ''), dir: type === 'text' ? 'auto'
      : 'ltr', ...more }));
    const fault = h('p', { class: 'fault', role: 'alert' });
    const form = h('form', { class: 'stack', novalidate: true, onSubmit: async event => {
      event.preventDefault();
      if (!isFilled(form)) return;
      const given = Object.fromEntries(new FormData(form));
      const body = { name: given.name.trim(), email: given.email.trim(), phone: given.phone.trim() || null,
        department: given.department.trim() || null, maxCapacity: Number(given.maxCapacity) };
      if (await submit(form, fault, () => row ? api('PATCH', `${PATH}/${row.id}`, { body })
        : api('POST', PATH, { body }))) { box.close(true); done(t('agents.saved')); load(); }
    } }, needs(), input('name', 'text', { required: true, maxlength: '200' }),
      input('email', 'email', { required: true }),
      input('phone', 'tel'), input('department', 'text'),
    input('maxCapacity', 'number', { min: '1', max: '1000', required: true }), fault, buttons(t('save')));
    const box = modal({ title: row ? row.name : t('agents.add'), body: form, size: 'narrow' });
    form.elements.name.focus();
  }

  async function remove(row) {
    if (!await confirm({ title: t('agents.removeTitle', { name: row.name }),
      text: t('agents.removeText', { count: row.openConversations }), yes: t('agents.remove'),
      isDanger: true })) return;
    try {
      await api('DELETE', `${PATH}/${row.id}?force=true`);
      done(t('agents.removed'));
      load();
    } catch (problem) { report(problem); }
  }

  life.listen(window, 'focus', () => load());
  life.add(() => { life.isOver = true; });
  load();
  return { title: t('nav.agents'), heading, leave() { life.end(); } };
}
