// A menu of actions beside a button, in the top layer. Arrow keys move, Escape closes, the focus returns.
import { fill, h, icon } from '../lib/dom.js';

let menu = null;
let opener = null;

function ensure() {
  if (menu) return menu;
  menu = h('div', { id: 'menu', class: 'menu', role: 'menu', popover: 'auto' });
  menu.addEventListener('keydown', event => {
    const items = [...menu.querySelectorAll('[role=menuitem]')];
    const index = items.indexOf(document.activeElement);
    const target = { ArrowDown: items[index + 1] ?? items[0], ArrowUp: items[index - 1] ?? items.at(-1),
      Home: items[0], End: items.at(-1) }[event.key];
    if (target) { event.preventDefault(); target.focus(); }
    if (event.key === 'Tab') menu.hidePopover();
  });
  menu.addEventListener('toggle', event => {
    opener?.setAttribute('aria-expanded', String(event.newState === 'open'));
    if (event.newState === 'closed' && (document.activeElement === document.body
      || menu.contains(document.activeElement))) opener?.focus();
  });
  document.body.append(menu);
  return menu;
}

/** Opens a menu at a button. Items: {label, icon, run} or {label, icon, href}; `isDisabled` shows a `reason`. */
export function openMenu(button, items, name) {
  ensure();
  if (menu.matches(':popover-open') && opener === button) { menu.hidePopover(); return; }
  opener = button;
  menu.setAttribute('aria-label', name);
  fill(menu, items.map(({ label, icon: symbol, href, run, reason, key }) => {
    const inside = [icon(symbol ?? 'none'), h('span', null, label, reason
      && h('small', { class: 'secondary' }, reason)), key && h('kbd', null, key)];
    const act = () => { menu.hidePopover(); run?.(); };
    return href ? h('a', { role: 'menuitem', tabindex: '-1', href, rel: 'noopener noreferrer',
      target: href.startsWith('http') ? '_blank' : null, onClick: act }, inside)
      : h('button', { role: 'menuitem', tabindex: '-1', type: 'button', 'aria-disabled': reason ? 'true' : null,
        onClick: reason ? null : act }, inside);
  }));
  menu.showPopover();
  const place = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const isRTL = document.documentElement.dir === 'rtl';
  // Measured from the start of the line: its end edge meets the button's end edge.
  const x = isRTL ? innerWidth - place.left - width : place.right - width;
  const y = place.bottom + height + 8 > innerHeight ? place.top - height - 4 : place.bottom + 4;
  menu.style.setProperty('--x', `${Math.max(8, Math.min(x, innerWidth - width - 8))}px`);
  menu.style.setProperty('--y', `${Math.max(8, y)}px`);
  menu.querySelector('[role=menuitem]')?.focus();
}
