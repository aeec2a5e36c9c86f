// The numbers of a period, compared with the one before.
import { addDays, day, localDay, now, span as duration, zone } from '../lib/time.js';
import { api, isAbort } from '../lib/api.js';
import { bars, chartCard, columns } from '../parts/charts.js';
import { bind } from '../lib/keys.js';
import { emptyState, errorState, loading, press, switches } from '../parts/chips.js';
import { csv } from '../lib/csv.js';
import { exportList } from '../parts/forms.js';
import { fill, h, icon, setText } from '../lib/dom.js';
import { format, label, number, t } from '../lib/i18n.js';
import { onEvent } from '../lib/live.js';
import { queryString } from '../lib/filters.js';
import { rewrite } from '../lib/router.js';
import { scope } from '../lib/store.js';

const SPANS = ['today', '7d', '30d', 'month', 'year'];
const KEYS = { today: 't', '7d': 'w', '30d': 'd', month: 'm', year: 'y' };
const DAY = /^\d{4}-\d{2}-\d{2}$/;

/** Returns {from, to}, the first and the last day of a span, for the day that it is today. */
export function days(span, today) {
  if (span === '7d') return { from: addDays(today, -6), to: today };
  if (span === '30d') return { from: addDays(today, -29), to: today };
  if (span === 'month') {
    const to = addDays(`${today.slice(0, 8)}01`, -1);
    return { from: `${to.slice(0, 8)}01`, to };
  }
  if (span === 'year') return { from: `${today.slice(0, 5)}01-01`, to: today };
  return { from: today, to: today };
}

/** Returns the period of the same length that ends the day before. */
export function before({ from, to }) {
  const length = Math.round((Date.parse(to) - Date.parse(from)) / 86_400_000) + 1;
  return { from: addDays(from, -length), to: addDays(from, -1) };
}

export function open({ query, outlet }) {
  const life = scope();
  let span = SPANS.includes(query.get('span')) ? query.get('span') : '7d';
  let period = DAY.test(query.get('from') ?? '') && DAY.test(query.get('to') ?? '')
    ? { from: query.get('from'), to: query.get('to') } : null;
  if (period) span = null;
  let newer = 0;
  const heading = h('h1', { tabindex: '-1' }, t('nav.overview'));
  const spans = switches(t('overview.span'), SPANS.map(id => ({ id, text: t(`span.${id}`) })), span, choose);
  const date = name => h('input', { type: 'date', 'aria-label': t(`overview.${name}`), onChange: () => {
    if (!from.value || !to.value || from.value > to.value) return;
    span = null;
    period = { from: from.value, to: to.value };
    load();
  } });
  const [from, to] = [date('from'), date('to')];
  const fresh = h('button', { type: 'button', class: 'pill', hidden: true, onClick: () => load() });
  const region = h('div');
  let exported = null;
  const exportButton = h('button', { type: 'button', class: 'button', hidden: true, onClick: exportShown,
    'aria-keyshortcuts': 'e' }, icon('download'), h('span', null, t('export.button')));
  fill(outlet, h('div', { class: 'view-head' }, heading, spans, h('div', { class: 'pair' }, from, to),
    exportButton), h('div', { class: 'pill-place' }, fresh), region);

  function choose(id) { span = id; period = null; load(); }

  async function load() {
    press(spans, span);
    const shown = period ?? days(span, localDay(now()));
    from.value = shown.from;
    to.value = shown.to;
    newer = 0;
    fresh.hidden = true;
    rewrite(`/admin/overview?${queryString(span ? { span } : shown)}`);
    const end = loading(region);
    const get = (parameters, kind) => api('GET',
      `/api/admin/analytics?${queryString({ ...parameters, timeZone: zone() })}`, { kind });
    try {
      const [{ data }, last] = await Promise.all([get(shown, 'analytics'),
        get(before(shown), 'analytics before').catch(() => null)]);
      if (life.isOver) return;
      end();
      draw(data, last?.data ?? null, shown);
    } catch (problem) {
      end();
      if (!isAbort(problem) && !life.isOver) fill(region, errorState(problem, load));
    }
  }

  function draw(data, last, shown) {
    const link = more => `/admin/inbox?${queryString({ tab: 'all', status: 'any', dateFrom: shown.from,
      dateTo: shown.to, sort: 'recent', ...more })}`;
    const change = (value, old) => {
      if (old === null || old === undefined || !old) return '';
      const part = Math.round(100 * (value - old) / old);
      return part === 0 ? t('overview.same') : t('overview.before',
        { change: format('NumberFormat', { style: 'percent', signDisplay: 'always' }).format(part / 100) });
    };
    const figure = (name, value, note, href) => h(href ? 'a' : 'div', { class: 'card figure', href },
      h('span', { class: 'secondary' }, t(`overview.${name}`)), h('strong', null, value), note
      && h('span', { class: 'secondary' }, note));
    const { sla } = data;
    const inTime = ({ met, breached }) => met + breached ? 100 * met / (met + breached) : null;
    const percent = value => number(value / 100, { style: 'percent', maximumFractionDigits: 1 });
    const median = sla.medianResponseSeconds;
    const note = h('p', { class: 'secondary pad' }, t('overview.note', { from: day(`${shown.from}T12:00:00Z`),
      to: day(`${shown.to}T12:00:00Z`), zone: zone() }));
    const figures = h('div', { class: 'figures' },
      figure('leads', number(data.totalConversations), change(data.totalConversations, last?.totalConversations),
        link()),
      figure('hot', number(data.hotLeads), change(data.hotLeads, last?.hotLeads), link({ leadQuality: 'hot' })),
      figure('won', data.totalConversations ? percent(data.conversionRate) : '–', last?.totalConversations
        ? change(data.conversionRate, last.conversionRate) : '', link({ status: 'converted' })),
      figure('response', median === null ? '–' : duration(median * 1000),
        median === null ? '' : change(median, last?.sla.medianResponseSeconds)),
      figure('sla', inTime(sla) === null ? '–' : percent(inTime(sla)),
        inTime(sla) === null || !last ? '' : change(inTime(sla), inTime(last.sla)), link({ slaState: 'breached' })));
    if (!data.totalConversations) { fill(region, figures, emptyState(t('overview.empty'),
      h('button', { type: 'button', class: 'button', onClick: () => choose('year') }, t('span.year'))),
      note); offer(null); return; }
    const shortDay = text => format('DateTimeFormat', { day: 'numeric', month: 'short',
      timeZone: 'UTC' }).format(new Date(`${text}T12:00:00Z`));
    const trend = data.conversationVolumeTrend.map(({ date: on, count }) => [shortDay(on), count]);
    const hours = data.peakHours.map(({ hour, conversations }) => [number(hour), conversations]);
    const people = data.agentPerformance.map(row => [row.agentName, row.conversations, percent(row.conversionRate),
      row.averageResponseTime === null ? '–' : duration(row.averageResponseTime * 60_000)]);
    const sources = data.leadSourceBreakdown.map(row => [label('source', row.source), row.value, null,
      link({ source: row.source })]);
    const qualities = data.leadQualityDistribution.map(row => [label('quality', row.quality), row.value, null,
      link({ leadQuality: row.quality })]);
    const stages = data.conversionFunnel.map(row => [label('stage', row.stage), row.value]);
    const agents = data.agentPerformance.map(row => [row.agentName, row.conversations, null,
      link({ assignedAgentIds: row.agentId })]);
    const numbers = rows => rows.map(row => row.slice(0, 2));
    const card = (key, head, rows, chart) => ({ title: t(`overview.${key}`), heads: [t(head), t('overview.count')],
      rows: numbers(rows), chart });
    const cards = [
      card('perDay', 'overview.day', trend, () => columns(trend, t('overview.perDay'))),
      card('funnel', 'overview.stage', stages, () => bars(stages)),
      card('sources', 'filter.source', sources, () => bars(sources)),
      card('quality', 'filter.leadQuality', qualities, () => bars(qualities)),
      card('hours', 'overview.hour', hours, () => columns(hours, t('overview.hours'))),
      { title: t('overview.agents'), heads: [t('overview.agent'), t('overview.count'), t('overview.rate'),
        t('overview.time')], rows: people, chart: () => bars(agents) }];
    fill(region, figures, h('div', { class: 'charts' }, cards.map(chartCard)), note);
    offer({ figures, cards, shown, total: data.totalConversations });
  }

  // What is shown as a file: the numbers as this page has them, or the leads behind them as the server writes them.
  function offer(now) {
    exported = now;
    exportButton.hidden = now === null;
  }

  function exportShown() {
    if (!exported) return;
    const { figures, cards, shown, total } = exported;
    const period = t('overview.note', { from: day(`${shown.from}T12:00:00Z`), to: day(`${shown.to}T12:00:00Z`),
      zone: zone() });
    const numbers = () => csv([[period], [], ...[...figures.children].map(figure =>
      [...figure.children].map(part => part.textContent)), ...cards.flatMap(({ title, heads, rows }) =>
      [[], [title], heads, ...rows])]);
    exportList({ names: [period], total, order: label('sort', 'recent'),
      filters: { dateFrom: shown.from, dateTo: shown.to, sort: 'recent' },
      numbers: { name: `overview-${shown.from}-${shown.to}.csv`, text: numbers } });
  }

  life.add(bind('view', [
    ...SPANS.map(id => ({ key: KEYS[id], label: t(`span.${id}`), run: () => choose(id) })),
    { key: 'e', label: t('export.button'), run: exportShown, isAllowed: () => exported !== null },
  ]));
  life.add(onEvent(({ name }) => {
    if (name !== 'lead.created') return;
    newer += 1;
    fresh.hidden = false;
    setText(fresh, t('overview.newer', { count: newer }));
  }));
  life.add(() => { life.isOver = true; });
  load();
  return { title: t('nav.overview'), heading, leave() { life.end(); } };
}
