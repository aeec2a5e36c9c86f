// A script of its own, so that the page says something if a module cannot be loaded, and loads again by itself.
(() => {
  const WAIT = 10_000;
  addEventListener('error', event => {
    if (!(event.target instanceof HTMLScriptElement)) return;
    const app = document.getElementById('app');
    if (!app || app.classList.contains('is-failed') || app.querySelector('main')) return;
    const isArabic = navigator.language.startsWith('ar');
    const text = document.createElement('p');
    text.setAttribute('role', 'alert');
    text.textContent = isArabic ? 'تعذّر تحميل الصفحة. ستُحمَّل مرة أخرى بعد قليل.'
      : 'The page could not be loaded. It loads again in a moment.';
    const button = document.createElement('button');
    button.textContent = isArabic ? 'تحميل الآن' : 'Load now';
    button.addEventListener('click', () => location.reload());
    document.documentElement.dir = isArabic ? 'rtl' : 'ltr';
    app.className = 'is-failed state';
    app.replaceChildren(text, button);
    setTimeout(() => location.reload(), WAIT);
  }, true);
})();
