// Times in the office's zone, ages and deadlines, and the only timer of the page.
import { format, t } from './i18n.js';
import { session } from './store.js';

let offset = 0;

/** Learns how far this computer's clock is off, from the Date header of a reply. Less than two seconds is ignored. */
export function noteServerTime(date) {
  const difference = Date.parse(date ?? '') - Date.now();
  if (Number.isFinite(difference)) offset = Math.abs(difference) < 2000 ? 0 : difference;
}

/** The time of the server in milliseconds. */
export const now = () => Date.now() + offset;

export const zone = () => session.get()?.timeZone ?? 'Asia/Dubai';

/** "4 Mar 2026, 18:20" */
export const dateTime = time => time === null ? '–' : format('DateTimeFormat',
  { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23',
    timeZone: zone() })
  .format(new Date(time));

/** "4 Mar 2026" */
export const day = time => time === null ? '–' : format('DateTimeFormat',
  { day: 'numeric', month: 'short', year: 'numeric', timeZone: zone() }).format(new Date(time));

/** "18:20", or with seconds "18:20:14" */
export const clock = (time, hasSeconds = false) => format('DateTimeFormat',
  { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone: zone(), ...hasSeconds ? { second: '2-digit' }
    : {} })
  .format(new Date(time));

/** "18:20" today, otherwise "4 Mar", or with a year if it is another year. */
export function brief(time, at = now()) {
  if (time === null) return '–';
  const [a, b] = [localDay(time), localDay(at)];
  if (a === b) return clock(time);
  const sameYear = a.slice(0, 4) === b.slice(0, 4);
  return format('DateTimeFormat', { day: 'numeric', month: 'short', ...sameYear ? {} : { year: 'numeric' },
    timeZone: zone() })
    .format(new Date(time));
}

const numericParts = new Map();

function parts(time, timeZone) {
  if (!numericParts.has(timeZone)) {
    numericParts.set(timeZone, new Intl.DateTimeFormat('en-CA-u-nu-latn', {
      year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit',
      hourCycle: 'h23', timeZone }));
  }
  return Object.fromEntries(numericParts.get(timeZone).formatToParts(new Date(time)).map(part =>
    [part.type, part.value]));
}

/** The day in the office's zone as 2026-03-04. */
export function localDay(time, timeZone = zone()) {
  const p = parts(time, timeZone);
  return `${p.year}-${p.month}-${p.day}`;
}

/** The value of an <input type=datetime-local> for a time. */
export function localInput(time, timeZone = zone()) {
  const p = parts(time, timeZone);
  return `${p.year}-${p.month}-${p.day}T${p.hour}:${p.minute}`;
}

/** The time at which the office's clocks show `2026-03-04T10:00`, in milliseconds. */
export function instant(local, timeZone = zone()) {
  const wanted = Date.parse(`${local}Z`);
  let time = wanted;
  // Twice, because the first guess may be on the other side of a change of summer time.
  for (let round = 0; round < 2; round += 1) time += wanted - Date.parse(`${localInput(time, timeZone)}Z`);
  return time;
}

/** `days` after a local day, as 2026-03-04. */
export function addDays(localDate, days) {
  const date = new Date(`${localDate}T12:00:00Z`);
  date.setUTCDate(date.getUTCDate() + days);
  return date.toISOString().slice(0, 10);
}

/** "12 min", "3 h", "2 d": the length of a span of milliseconds in its largest unit, rounded down. */
export function span(milliseconds) {
  const minutes = Math.floor(Math.abs(milliseconds) / 60_000);
  if (minutes < 60) return t('span.minutes', { count: minutes });
  if (minutes < 48 * 60) return t('span.hours', { count: Math.floor(minutes / 60) });
  return t('span.days', { count: Math.floor(minutes / 1440) });
}

export const isOpen = row => row.status === 'new' || row.status === 'in-progress';

/**
 * Returns {state, text} of a response deadline. `warning` depends on office hours and comes from the server; `breached`
 * begins at the deadline by this clock.
 */
export function deadline(row, at = now()) {
  if (row.firstResponseAt) {
    return row.slaBreached ? { state: 'late', text: t('sla.answeredLate') } : { state: 'met', text: t('sla.answered') };
  }
  if (!isOpen(row) || !row.slaResponseDeadline) return { state: 'none', text: '–' };
  const left = Date.parse(row.slaResponseDeadline) - at;
  if (left <= 0 || row.slaState === 'breached') return { state: 'breached', text: t('sla.late', { span: span(left) }) };
  return { state: row.slaState === 'warning' ? 'warning' : 'ok', text: t('sla.left', { span: span(left + 59_999) }) };
}

const tickers = new Set();
let timer = null;

/** Calls a function every ten seconds, and when the page becomes visible again. Returns what ends it. */
export function onTick(ticker) {
  tickers.add(ticker);
  timer ??= setInterval(tick, 10_000);
  return () => tickers.delete(ticker);
}

function tick() {
  if (!document.hidden) for (const ticker of [...tickers]) ticker();
}

document.addEventListener('visibilitychange', tick);
