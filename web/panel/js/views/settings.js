// Settings of this browser, which save at once; and for owners the keys of all users.
import { agents, me, may, preference, scope, session, setPreference } from '../lib/store.js';
import { api, isAbort } from '../lib/api.js';
import { buttons, confirm, modal } from '../parts/dialogs.js';
import { chooseLanguage, currentLanguage, label, t } from '../lib/i18n.js';
import { dateTime, instant } from '../lib/time.js';
import { done, obstacle, report } from '../lib/actions.js';
import { emptyState, errorState, loading } from '../parts/chips.js';
import { field, isFilled, needs, select, showKey, submit } from '../parts/forms.js';
import { applyLook } from '../lib/look.js';
import { fill, h } from '../lib/dom.js';
import { hasNotifications, ring, showNotification } from '../lib/notify.js';
import { plainTable, rowButton } from '../parts/table.js';
import { toast } from '../parts/toast.js';

export const open = route => route.view === 'keys' ? openKeys(route) : openSettings(route);

const again = () => dispatchEvent(new CustomEvent('leadpipe-language'));

async function speak(language) {
  try { await chooseLanguage(language); } catch (problem) { report(problem); }
  again();
}

function openSettings({ outlet }) {
  const life = scope();
  const heading = h('h1', { tabindex: '-1' }, t('nav.settings'));
  const line = (name, control) => h('label', { class: 'setting' }, h('span', null, t(`settings.${name}`)), control);
  const choice = (name, values, chosen, text, run) => {
    const control = select(values, chosen, text);
    control.addEventListener('change', () => run(control.value));
    return line(name, control);
  };
  const store = (name, then) => value => { setPreference(name, value); then?.(); };
  const onOff = (name, standard, run) => choice(name, ['on', 'off'], preference(name, standard) ? 'on' : 'off',
    value => t(`switch.${value}`), value => run(value === 'on'));
  const who = h('div');
  const drawWho = () => {
    const { agent } = session.get();
    fill(who, agent ? h('p', { class: 'setting' }, h('span', null, t('settings.agent')),
      h('span', null, t('settings.agentFixed', { name: agent.name })))
      : choice('agent', ['', ...agents.get().map(one => one.id)], me() ?? '', value => value
        ? agents.get().find(one => one.id === value).name : t('settings.notSaid'), value =>
        setPreference('agent', value || null)));
  };
  async function notifications(isOn) {
    const isGranted = !isOn || await Notification.requestPermission() === 'granted';
    setPreference('notifications', isOn && isGranted);
    if (!isOn) return;
    // The first one shows at once how they look, or that this browser has none.
    const isShown = isGranted && showNotification(t('notify.on'));
    if (isShown) return;
    again();
    toast(t(isGranted ? 'notify.unsupported' : 'settings.refused'), { isError: true });
  }
  const { name, rights, expiresAt, version } = session.get();
  fill(outlet, h('div', { class: 'view-head' }, heading), h('div', { class: 'settings' },
    h('section', { class: 'card stack' }, h('p', { class: 'secondary' }, t('settings.intro')), who,
      choice('language', ['en', 'ar'], currentLanguage(), value => ({ en: 'English', ar: 'العربية' })[value],
        speak),
      currentLanguage() === 'ar' && choice('digits', ['latn', 'arab'], preference('digits', 'latn'), value =>
        t(`digits.${value}`), value => { setPreference('digits', value); speak('ar'); }),
      choice('theme', ['auto', 'light', 'dark'], preference('theme', 'auto'), value => t(`theme.${value}`),
        store('theme', applyLook)),
      choice('density', ['default', 'compact'], preference('density', 'default'), value => t(`density.${value}`),
        store('density', applyLook)),
      onOff('keys', true, store('keys')),
      onOff('sound', false, store('sound', () => { if (preference('sound')) ring(); })),
      hasNotifications() && onOff('notifications', false, notifications)),
    h('section', { class: 'card stack' }, h('h2', null, t('settings.session')),
      h('p', null, h('bdi', { dir: 'auto' }, name), ' · ', label('rights', rights)), expiresAt
        && h('p', { class: 'secondary' }, t('settings.ends', { time: dateTime(expiresAt) })),
      version && h('p', { class: 'secondary' }, t('settings.version', { version })))));
  drawWho();
  life.add(agents.subscribe(() => { if (!who.contains(document.activeElement)) drawWho(); }));
  return { title: t('nav.settings'), heading, leave() { life.end(); } };
}

const KEYS = '/api/admin/keys';

function openKeys({ outlet }) {
  const life = scope();
  const heading = h('h1', { tabindex: '-1' }, t('nav.keys'));
  const region = h('div');
  const table = plainTable(t('nav.keys'), [
    { key: 'name', text: t('keys.name'), cell: row => [h('strong', null, h('bdi', { dir: 'auto' }, row.name)),
      row.isCurrent && h('span', { class: 'state-word' }, t('keys.current'))] },
    { key: 'rights', text: t('keys.rights'), cell: row => label('rights', row.rights) },
    { key: 'agent', text: t('keys.agent'), cell: row => h('bdi', { dir: 'auto' }, row.agent?.name ?? '–') },
    { key: 'used', text: t('keys.lastUsed'), cell: row => row.lastUsedAt ? dateTime(row.lastUsedAt) : t('never') },
    { key: 'made', text: t('keys.madeAt'), cell: row => dateTime(row.createdAt) },
    { key: 'expires', text: t('keys.expires'), cell: row => row.expiresAt ? dateTime(row.expiresAt) : t('never') },
    { key: 'actions', cell: row => rowButton(t('keys.revoke'), obstacle('owner'), () => revoke(row)) },
  ]);
  if (!may('owner')) {
    fill(outlet, h('div', { class: 'view-head' }, heading), emptyState(t('keys.ownersOnly'),
      h('a', { class: 'button', href: '/admin/inbox' }, t('nav.inbox'))));
    return { title: t('nav.keys'), heading, leave() {} };
  }
  fill(outlet, h('div', { class: 'view-head' }, heading, h('button',
    { type: 'button', class: 'button primary', onClick: create }, t('keys.new'))), region);

  async function load() {
    const end = loading(region);
    try {
      const { data } = await api('GET', KEYS, { kind: 'keys' });
      if (life.isOver) return;
      end();
      if (!data.data.length) fill(region, emptyState(t('keys.empty'), null));
      else { table.update(data.data); if (table.node.parentNode !== region) fill(region, table.node); }
    } catch (problem) {
      end();
      if (!isAbort(problem) && !life.isOver) fill(region, errorState(problem, load));
    }
  }

  function create() {
    const fault = h('p', { class: 'fault', role: 'alert' });
    const form = h('form', { class: 'stack', novalidate: true, onSubmit: async event => {
      event.preventDefault();
      if (!isFilled(form)) return;
      const given = Object.fromEntries(new FormData(form));
      const body = { name: given.name.trim(), rights: given.rights, ...given.agentId ? { agentId: given.agentId } : {},
        ...given.expires ? { expiresAt: new Date(instant(`${given.expires}T23:59`)).toISOString() } : {} };
      let made = null;
      if (!await submit(form, fault, async () => { made = (await api('POST', KEYS, { body })).data; })) return;
      box.close(true);
      await box.closed;
      await showKey(made.name, made.key);
      load();
    } }, needs(), field(t('keys.name'), h('input', { type: 'text', name: 'name', required: true, maxlength: '100',
      dir: 'auto', autocomplete: 'off' })),
    field(t('keys.rights'), select(['read', 'write', 'owner'], 'write', value => label('rights', value),
      { name: 'rights' })),
    field(t('keys.agent'), select(['', ...agents.get().map(one => one.id)], '', value => value
      ? agents.get().find(one => one.id === value).name : '–', { name: 'agentId' })),
    field(t('keys.expires'), h('input', { type: 'date', name: 'expires' })), fault, buttons(t('keys.create')));
    const box = modal({ title: t('keys.new'), body: form, size: 'narrow' });
    form.elements.name.focus();
  }

  async function revoke(row) {
    if (!await confirm({ title: t('keys.revokeTitle', { name: row.name }), text: t('keys.revokeText'),
      yes: t('keys.revoke'), isDanger: true, typed: row.name })) return;
    try {
      await api('DELETE', `${KEYS}/${row.id}`);
      done(t('keys.revoked'));
      load();
    } catch (problem) { report(problem); }
  }

  life.listen(window, 'focus', () => load());
  life.add(() => { life.isOver = true; });
  load();
  return { title: t('nav.keys'), heading, leave() { life.end(); } };
}
