// Charts as SVG, each with a table of the same numbers behind it. No animation; colours from the theme.
import { fill, h, setAttribute, setText, svg } from '../lib/dom.js';
import { number, t } from '../lib/i18n.js';

/** A card with a chart and a button that shows its numbers as a table. `rows` are [name, value, more…]. */
export function chartCard({ title, heads, rows, chart }) {
  const region = h('div');
  const button = h('button', { type: 'button', class: 'link', 'aria-pressed': 'false', onClick: () => {
    const isTable = button.getAttribute('aria-pressed') !== 'true';
    setAttribute(button, 'aria-pressed', String(isTable));
    setText(button, t(isTable ? 'overview.chart' : 'overview.table'));
    fill(region, isTable ? table() : chart());
  } }, t('overview.table'));
  const table = () => h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': title },
    h('table', { class: 'plain' }, h('caption', { class: 'sr' }, title),
    h('thead', null, h('tr', null, heads.map(head => h('th', { scope: 'col' }, head)))),
    h('tbody', null, rows.map(([name, ...values]) => h('tr', null,
      h('th', { scope: 'row' }, h('bdi', { dir: 'auto' }, name)),
      values.map(value => h('td', { class: 'tabular' }, typeof value === 'number' ? number(value) : value)))))));
  fill(region, chart());
  return h('section', { class: 'card chart' }, h('header', null, h('h2', null, title), button), region);
}

/** Horizontal bars: [name, value, text, href]. */
export function bars(rows) {
  const most = Math.max(1, ...rows.map(row => row[1]));
  return h('ul', { class: 'stack' }, rows.map(([name, value, text, href]) => {
    const part = h('div', { class: 'fill' });
    part.style.setProperty('--part', `${100 * value / most}%`);
    const words = h('bdi', { dir: 'auto' }, name);
    return h('li', { class: 'hbar' }, href ? h('a', { href }, words) : h('span', null, words),
      h('div', { class: 'track', 'aria-hidden': 'true' }, part), h('b', null, text ?? number(value)));
  }));
}

/** Vertical bars for days or hours: [name, value]. Names are shown where they have room. */
export function columns(rows, title) {
  const [width, height, base] = [600, 180, 150];
  const most = Math.max(1, ...rows.map(row => row[1]));
  const step = width / Math.max(1, rows.length);
  const every = Math.ceil(rows.length / 8);
  const sum = rows.reduce((total, row) => total + row[1], 0);
  return svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `${title}: ${number(sum)}` },
    svg('line', { class: 'grid', x1: 0, x2: width, y1: base, y2: base }), svg('text', { x: 0, y: 12 }, number(most)),
    rows.map(([name, value], index) => {
      const tall = (base - 20) * value / most;
      return [svg('rect', { class: 'bar-fill', x: (index * step + step * 0.12).toFixed(1),
        y: (base - tall).toFixed(1), width: (step * 0.76).toFixed(1), height: tall.toFixed(1), rx: 2 },
        svg('title', null, `${name}: ${number(value)}`)),
        index % every === 0 && svg('text', { x: (index * step + step / 2).toFixed(1), y: base + 18,
          'text-anchor': 'middle' }, name)];
    }));
}
