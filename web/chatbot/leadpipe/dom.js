// Elements in a shadow tree. Text is only ever set as text, so pages with Trusted Types need no policy for it.

const PROPERTIES = new Set(['value', 'checked', 'disabled', 'hidden', 'selected', 'noValidate', 'htmlFor', 'textContent']);
const SVG = 'http://www.w3.org/2000/svg';

/** Returns a new element. Children are nodes, text, or null. `onclick` and the like are listeners. */
export function h(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) node[name] = value;
    else if (value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(3).filter(child => child !== null && child !== undefined && child !== false));
  return node;
}

/** Returns an icon that is drawn with one line. */
export function icon(path) {
  const drawing = document.createElementNS(SVG, 'svg');
  for (const [name, value] of Object.entries({ viewBox: '0 0 24 24', width: 24, height: 24, 'aria-hidden': 'true', focusable: 'false' })) drawing.setAttribute(name, value);
  const line = document.createElementNS(SVG, 'path');
  for (const [name, value] of Object.entries({ d: path, fill: 'none', stroke: 'currentColor', 'stroke-width': 2, 'stroke-linecap': 'round', 'stroke-linejoin': 'round' })) line.setAttribute(name, value);
  drawing.append(line);
  return drawing;
}

/** Returns a style sheet for adoptedStyleSheets, which a page's Content-Security-Policy does not block. */
export function sheet(text) {
  const made = new CSSStyleSheet();
  made.replaceSync(text);
  return made;
}

/** The field in which no person types anything: hidden from eyes, screen readers, the keyboard and autofill. */
export function honeypot() {
  return h('div', { class: 'aside', 'aria-hidden': 'true' },
    h('label', {}, 'Website', h('input', { name: 'website2', type: 'text', autocomplete: 'off', tabindex: '-1' })));
}

/** Tells the page what happened. Events bubble to document; they name the lead, and contain no personal data. */
export function announce(node, name, detail = {}) {
  node.dispatchEvent(new CustomEvent(`leadpipe:${name}`, { bubbles: true, composed: true, detail }));
}

/** Colours and type of chatbot and forms. Each pair of text and background has at least the contrast of WCAG 2.2 AA. */
export const BASE = sheet(`
*, ::before, ::after { box-sizing: border-box; }
[hidden] { display: none !important; }
.root {
  --accent: var(--leadpipe-accent, #1d5bb8); --on-accent: var(--leadpipe-on-accent, #fff); --page: var(--leadpipe-background, #fff);
  --text: var(--leadpipe-text, #1a1f29); --soft: var(--leadpipe-soft, #eef1f6); --secondary: var(--leadpipe-secondary, #535c6b);
  --line: var(--leadpipe-line, #78828f); --danger: #a81e14; --radius: var(--leadpipe-radius, 10px);
  font: 400 16px/1.5 var(--leadpipe-font, system-ui, "Segoe UI", "Noto Sans", "Noto Sans Arabic", sans-serif);
  color: var(--text); text-align: start; color-scheme: light; letter-spacing: normal; text-transform: none; white-space: normal;
}
.root:lang(ar) { line-height: 1.7; }
p, h2, fieldset { margin: 0; padding: 0; border: 0; min-width: 0; }
button, input, select, textarea { font: inherit; color: inherit; margin: 0; }
button { cursor: pointer; min-height: 44px; padding: 8px 16px; border-radius: var(--radius); border: 1px solid var(--accent); background: var(--page); color: var(--accent); }
button.main { background: var(--accent); color: var(--on-accent); font-weight: 600; }
button:disabled { opacity: .6; cursor: default; }
button.link { border: 0; background: none; padding: 4px; min-height: 32px; text-decoration: underline; font-size: 14px; color: inherit; }
input:not([type=checkbox]), select, textarea { width: 100%; min-height: 44px; padding: 8px 12px; border: 1px solid var(--line); border-radius: var(--radius); background: var(--page); }
input[type=checkbox] { width: 20px; height: 20px; margin-inline-end: 8px; flex: none; accent-color: var(--accent); }
[aria-invalid=true] { border-color: var(--danger) !important; border-width: 2px !important; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
label { display: block; }
label.check { display: flex; align-items: flex-start; gap: 4px; }
.fault { color: var(--danger); font-size: 14px; }
.fault:empty { display: none; }
.hint { color: var(--secondary); font-size: 14px; }
.phone { display: flex; gap: 8px; }
.phone select { flex: 0 1 44%; min-width: 0; }
.phone input { flex: 1 1 56%; min-width: 0; direction: ltr; }
:dir(rtl) .phone input { text-align: end; }
.aside { position: absolute !important; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
@media (prefers-reduced-motion: reduce) { * { animation: none !important; transition: none !important; } }
@media (forced-colors: active) { button { border: 1px solid ButtonText; } }
`);
