// Elements and lists. Text is only ever set as text; no function here parses HTML.

const SVG = 'http://www.w3.org/2000/svg';
const PROPERTIES = new Set(['value', 'checked', 'indeterminate', 'disabled', 'hidden', 'selected', 'htmlFor', 'open']);

/** Returns the address if a link may lead there: this site, http, https, tel or mailto. Otherwise returns null. */
export function safeHref(address) {
  if (/^\/(?!\/)/.test(address) || address.startsWith('#')) return address;
  return /^(https?|tel|mailto):/i.test(address) ? address : null;
}

function setAll(node, properties) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false && !PROPERTIES.has(name)) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2).toLowerCase(), value);
    else if (name === 'class') node.setAttribute('class', value);
    else if (name === 'data') Object.assign(node.dataset, value);
    else if (name === 'href') { if (safeHref(value)) node.setAttribute('href', value); }
    else if (name === 'style') throw new TypeError('The Content-Security-Policy forbids style attributes');
    else if (PROPERTIES.has(name)) node[name] = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
}

/** Returns a new HTML element. Children are nodes, text, arrays of them, or null. */
export function h(tag, properties, ...children) {
  const node = document.createElement(tag);
  append(node, children);
  setAll(node, properties);
  return node;
}

/** Returns a new SVG element. */
export function svg(tag, properties, ...children) {
  const node = document.createElementNS(SVG, tag);
  setAll(node, properties);
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === '') continue;
    node.append(child instanceof Node ? child : String(child));
  }
}

/** Returns the icon with this name from the symbols in index.html. `flips` mirrors it in Arabic. */
export function icon(name, flips = false) {
  return svg('svg', { class: flips ? 'icon flips' : 'icon', 'aria-hidden': 'true', focusable: 'false' },
    svg('use', { href: `#i-${name}` }));
}

/** Sets the text of a node if it differs, so that an unchanged row changes nothing in the document. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets or removes an attribute if it differs. */
export function setAttribute(node, name, value) {
  if (value === null || value === false) { if (node.hasAttribute(name)) node.removeAttribute(name); }
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Replaces all children. */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

const drawn = new WeakMap();

/** Calls `draw` unless it has drawn `node` for the same `key` before, so that an event takes no focus or selection. */
export function once(node, key, draw) {
  const text = JSON.stringify(key);
  if (drawn.get(node) === text) return;
  drawn.set(node, text);
  draw();
}

const keyed = new WeakMap();

/**
 * Makes the children of `list` correspond to `rows`, in their order. Rows are matched by id: `make(row)` creates a
 * node, `patch(node, row)` updates it. A node with the focus is never moved; its neighbours are moved around it.
 */
export function render(list, rows, make, patch) {
  if (!keyed.has(list)) keyed.set(list, new Map());
  const nodes = keyed.get(list);
  const wanted = new Set(rows.map(row => row.id));
  for (const [id, node] of nodes) if (!wanted.has(id)) { node.remove(); nodes.delete(id); }
  let place = list.firstChild;
  for (const row of rows) {
    let node = nodes.get(row.id);
    if (!node) { node = make(row); nodes.set(row.id, node); }
    patch?.(node, row);
    if (node === place) { place = place.nextSibling; continue; }
    if (node.contains(document.activeElement)) {
      while (place !== node) { const next = place.nextSibling; list.append(place); place = next; }
      place = node.nextSibling;
    } else list.insertBefore(node, place);
  }
}
