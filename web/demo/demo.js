// The demo in the language of its address: /demo?language=ar. A module that comes first, so the forms see the language.
if (new URLSearchParams(location.search).get('language') === 'ar') {
  Object.assign(document.documentElement, { lang: 'ar', dir: 'rtl' });
  Object.assign(document.getElementById('other'), { href: '/demo', lang: 'en', textContent: 'English' });
}
