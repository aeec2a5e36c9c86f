// Starts the panel: language, session, frame, router, live feed.
import { agents, may, preference, scope, session, setPreference, urgent } from './lib/store.js';
import { api, connection, onUnauthorized, Problem } from './lib/api.js';
import { bind, start as startKeys } from './lib/keys.js';
import { chooseLanguage, currentLanguage, preferredLanguage, setLanguage, t } from './lib/i18n.js';
import { fill, h, icon, setAttribute } from './lib/dom.js';
import * as actions from './lib/actions.js';
import * as bulk from './lib/bulk.js';
import * as drafts from './lib/drafts.js';
import * as live from './lib/live.js';
import * as router from './lib/router.js';
import { applyLook } from './lib/look.js';
import { clock, onTick } from './lib/time.js';
import { logInAgain } from './parts/forms.js';
import { openPalette, openSheet } from './parts/palette.js';
import { errorState } from './parts/chips.js';
import { say } from './parts/toast.js';
import { setTitle, startBanner } from './views/sla.js';
import { showLogin, tryToEnter } from './views/login.js';
import * as inbox from './views/inbox.js';

// The other views are loaded when they are opened first.
const LOADERS = {
  conversation: () => import('./views/conversation.js'), 'follow-ups': () => import('./views/followups.js'),
  overview: () => import('./views/overview.js'), deliveries: () => import('./views/deliveries.js'),
  agents: () => import('./views/agents.js'), newsletter: () => import('./views/newsletter.js'),
  keys: () => import('./views/settings.js'), settings: () => import('./views/settings.js'),
};
const MENU = [['inbox', 'inbox', 'g i'], ['follow-ups', 'calendar', 'g f'], ['overview', 'chart', 'g o'],
  ['deliveries', 'send', 'g d'],
  ['agents', 'people', 'g a'], ['newsletter', 'mail', 'g n'], ['keys', 'key', 'g k'], ['settings', 'settings', 'g s']];
const ON_PHONE = 3;

const app = document.getElementById('app');
const loaded = { inbox };
let life = null;
let banner = null;
let outlet = null;
let offlineBar = null;

async function begin() {
  applyLook();
  // Meanwhile the texts come.
  const entering = tryToEnter();
  try { await setLanguage(preferredLanguage()).catch(() => setLanguage('en')); } catch {
    // Without any texts, boot.js has a sentence of its own.
    dispatchEvent(new CustomEvent('leadpipe-unavailable'));
    return;
  }
  startKeys(openPalette);
  addEventListener('leadpipe-logout', () => leave());
  // Another person may have logged in, here or in another tab.
  addEventListener('leadpipe-login', () => {
    if (!app.classList.contains('is-panel')) { enter(); return; }
    const { name, rights } = session.get();
    if (shownFor === `${name} ${rights}`) return;
    checkPerson();
    frame();
  });
  // A page that the browser kept from before a log-out.
  addEventListener('pageshow', event => { if (event.persisted && !session.get()) location.reload(); });
  addEventListener('hashchange', () => { if (/[#&]token=/.test(location.hash)) location.reload(); });
  addEventListener('leadpipe-language', () => { if (session.get()) frame(); });
  const problem = await entering;
  if (problem) askForKey(problem); else enter();
}

function askForKey(problem) {
  setAttribute(app, 'class', 'is-login');
  const main = h('main', { id: 'main', tabindex: '-1' });
  fill(app, main);
  showLogin(main, problem, enter);
}

function enter() {
  onUnauthorized(logInAgain);
  checkPerson();
  drafts.prune();
  if (location.pathname.replace(/\/$/, '') === '/admin/login') history.replaceState(history.state, '', '/admin/inbox');
  live.start();
  frame();
  api('GET', '/api/admin/agents').then(({ data }) => agents.set(data.data), () => {});
}

/** Forgets what another person has left in this browser: drafts, saved searches, and who "Mine" is. */
function checkPerson() {
  const { name } = session.get();
  if (preference('user', name) !== name) {
    drafts.forget();
    for (const mine of ['views', 'agent']) setPreference(mine, null);
  }
  setPreference('user', name);
}

/** Builds the frame around the views, and the view of the current address. */
function frame() {
  life?.end();
  banner?.end();
  life = scope();
  setAttribute(app, 'class', 'is-panel');
  const menu = MENU.filter(([view]) => view !== 'keys' || may('owner'));
  const link = ([view, symbol]) => h('a', { href: `/admin/${view}`, data: { view } }, icon(symbol),
    h('span', null, t(`nav.${view}`)));
  const more = h('details', { class: 'nav-more' }, h('summary', null, icon('more'), h('span', null, t('nav.more'))),
    h('div', { class: 'nav-sheet' }, menu.slice(ON_PHONE).map(link),
      h('button', { type: 'button', onClick: logOut }, icon('exit'), h('span', null, t('logout')))));
  more.addEventListener('click', event => { if (event.target.closest('a, button')) more.open = false; });
  more.addEventListener('keydown',
    event => { if (event.key === 'Escape') { more.open = false; more.firstChild.focus(); } });
  outlet = h('main', { id: 'main', tabindex: '-1' });
  const bannerNode = h('aside', { class: 'banner', hidden: true, 'aria-label': t('banner.label') });
  offlineBar = h('div', { class: 'bar', role: 'status', hidden: true });
  const { name, agent, rights } = session.get();
  shownFor = `${name} ${rights}`;
  fill(app,
    h('a', { class: 'skip', href: '#main', onClick: event => { event.preventDefault(); outlet.focus(); } }, t('skip')),
    h('nav', { class: 'side', 'aria-label': t('nav.label') },
      h('a', { class: 'brand', href: '/admin/inbox' }, icon('logo'), h('span', null, 'Leadpipe')),
      h('div', { class: 'nav-list' }, menu.slice(0, ON_PHONE).map(link),
        h('div', { class: 'nav-rest' }, menu.slice(ON_PHONE).map(link)), more),
      h('div', { class: 'side-foot' },
        h('button', { type: 'button', class: 'link', onClick: openPalette }, icon('search'),
          h('span', null, t('palette.title')), h('kbd', null, 'Ctrl K')),
        h('button', { type: 'button', class: 'link', onClick: openSheet }, icon('keyboard'),
          h('span', null, t('keys.title')), h('kbd', null, '?')),
        h('p', { class: 'who' }, h('bdi', { dir: 'auto' }, agent?.name ?? name),
          h('button', { type: 'button', class: 'icon-button', 'aria-label': t('logout'), onClick: logOut },
          icon('exit', true))))),
    // Both have a place of their own, so that nothing moves when they come and go.
    h('div', { class: 'page' }, h('div', { class: 'strip' }, bannerNode, offlineBar), outlet));
  life.add(bind('global', [
    ...menu.map(([view, , key]) => ({ key, label: t(`nav.${view}`), group: 'go', run: () =>
      router.navigate(`/admin/${view}`) })),
    { key: 'z', label: t('undo'), run: actions.undoLast }, { key: '?', label: t('keys.title'), run: openSheet },
    { label: t('palette.language'), run: () => changeLanguage(currentLanguage() === 'en' ? 'ar' : 'en') },
      { label: t('logout'), run: logOut },
  ]));
  banner = startBanner(bannerNode);
  life.add(connection.subscribe(showBars));
  life.add(onTick(showBars));
  showBars();
  if (isStarted) router.reopen(); else { isStarted = true; router.start(openView); }
}
let isStarted = false;
let shownFor = null;

function showBars() {
  const { isOnline, since, waitsUntil } = connection.get();
  const left = Date.parse(session.get()?.expiresAt ?? '') - Date.now();
  const [text, action] = !isOnline ? [t('bar.offline', { time: clock(since) }), null]
    : waitsUntil ? [t('bar.waits', { count: Math.max(1, Math.ceil((waitsUntil - Date.now()) / 1000)) }), null]
      : left < 600_000 ? [t('bar.expires', { count: Math.max(1, Math.ceil(left / 60_000)) }),
        h('button', { type: 'button', class: 'button small', onClick: logInAgain }, t('login.button'))]
        : [null, null];
  if (offlineBar.dataset.text === (text ?? '')) return;
  offlineBar.dataset.text = text ?? '';
  offlineBar.hidden = text === null;
  setAttribute(offlineBar, 'class', isOnline ? 'bar' : 'bar is-offline');
  fill(offlineBar, text && icon(isOnline ? 'clock' : 'offline'), text && h('span', null, text), action);
  document.body.classList.toggle('is-offline', !isOnline);
}

// While nothing else asks, one small request every few seconds finds out when the server is back.
setInterval(() => {
  if (!connection.get().isOnline && session.get()) api('GET', '/api/admin/session', { asks: false }).catch(() => {});
}, 4000);
addEventListener('offline', () => connection.set(old => old.isOnline ? { ...old, isOnline: false, since: Date.now() }
  : old));

function openView(route, memory) {
  for (const link of app.querySelectorAll('nav [data-view]')) {
    setAttribute(link, 'aria-current', link.dataset.view === (route.view === 'conversation' ? 'inbox' : route.view)
      ? 'page' : null);
  }
  const current = { view: null, isLeft: false };
  const show = module => {
    if (current.isLeft) return;
    fill(outlet);
    setAttribute(outlet, 'class', `view-${route.view}`);
    current.view = module.open({ ...route, outlet, memory });
    setTitle(current.view.title);
    if (isFirstView) isFirstView = false;
    else {
      if (!current.view.keepsFocus) current.view.heading?.focus({ preventScroll: true });
      say(current.view.title);
    }
  };
  if (route.view === 'login') router.rewrite('/admin/inbox');
  const name = route.view === 'login' ? 'inbox' : route.view;
  if (loaded[name]) show(loaded[name]);
  else if (LOADERS[name]) {
    setAttribute(outlet, 'aria-busy', 'true');
    LOADERS[name]().then(module => { loaded[name] = module; show(module); }, error => {
      // After an update of the server the old files are gone; the new page has the new addresses. Once, because a file
      // may be missing for another reason.
      const isNew = sessionStorage.getItem('leadpipe.reloaded') !== location.href;
      sessionStorage.setItem('leadpipe.reloaded', location.href);
      if (isNew && navigator.onLine && connection.get().isOnline && !current.isLeft) { location.reload(); return; }
      console.error(error);
      show({ open: unavailable });
    }).finally(() => setAttribute(outlet, 'aria-busy', null));
  } else show({ open: notFound });
  return { leave() { current.isLeft = true; return current.view?.leave?.(); } };
}
let isFirstView = true;

function unavailable() {
  fill(outlet, errorState(new Problem(0), () => location.reload()));
  return { title: t('error.offline') };
}

function notFound() {
  const heading = h('h1', { tabindex: '-1' }, t('notFound.title'));
  fill(outlet, h('div', { class: 'state' }, heading, h('p', null, t('notFound.text')),
    h('a', { class: 'button', href: '/admin/inbox' }, t('nav.inbox'))));
  return { title: t('notFound.title'), heading };
}

async function changeLanguage(language) {
  try { await chooseLanguage(language); } catch (problem) { actions.report(problem); return; }
  dispatchEvent(new CustomEvent('leadpipe-language'));
}

async function logOut() {
  try { await api('DELETE', '/api/admin/session',
    { asks: false }); } catch (problem) { if (problem.status !== 401) { actions.report(problem); return; } }
  drafts.forget();
  live.announce('logout');
  leave();
}

function leave() {
  live.stop();
  router.forget();
  actions.forget();
  bulk.forget();
  onUnauthorized(null);
  for (const [one, empty] of [[session, null], [agents, []], [urgent,
    { rows: [], total: 0, at: null }]]) one.set(empty);
  // Saved searches contain names and numbers, and the agent is a person.
  for (const name of ['views', 'agent']) setPreference(name, null);
  document.body.replaceChildren();
  // A fresh page holds nothing of the last session.
  location.replace('/admin/login');
}

begin();
