// The texts of the chatbot, in English and Arabic. The forms add theirs (form-texts.js).

const EN = {
  open: 'Chat with us', title: 'How can we help?', close: 'Close', send: 'Send', skip: 'Skip', change: 'Change',
  changeAnswer: 'Change: {text}', next: 'Continue', again: 'New request', retry: 'Try now', country: 'Country', number: 'Phone number',
  answer: 'Your answer', skipped: 'Skipped', yes: 'Yes', no: 'No', log: 'Conversation', you: 'You', bot: 'Assistant',
  cancel: 'Keep my answer', required: 'Please answer this.', nameShort: 'Please write your name with at least two letters.',
  tooLong: 'This is too long.', emailFault: 'Please check this email address.', phoneEmpty: 'Please write your phone number.',
  phoneLetters: 'Please use digits only: 050 123 4567.', phoneShort: 'This number is too short. Please check it.',
  phoneLong: 'This number is too long. Please check it.', phoneRefused: 'We cannot call this number. Please check it and its country.',
  refused: 'We could not accept this: {text}', sending: 'Sending…', saved: 'We have your request. Reference: {reference}',
  thanks: 'Thank you, {name}. We have your request and will contact you soon. Your reference is {reference}.',
  offline: 'You are offline. Your answers are kept on this device, and are sent as soon as you are online.',
  unreachable: 'Our server does not answer. Nothing is lost: your answers are kept on this device, and we try again by ourselves.',
  busy: 'Our server is busy. Nothing is lost: your answers are sent again by themselves in {seconds} seconds.',
  limited: 'Too many requests came from your connection. Nothing is lost: yours is sent again by itself in {seconds} seconds.',
  failed: 'Your request could not be delivered (error {status}). It is kept on this device. Please call us too.',
  fragile: 'This browser keeps nothing: please leave this page open until it is sent.', call: 'Call {number}',
  welcome: 'Hello! A few questions, and the right agent will call you.', askName: 'What is your name?',
  askPhone: 'On which number can we reach you?',
};

const AR = {
  open: 'تحدث معنا', title: 'كيف يمكننا مساعدتك؟', close: 'إغلاق', send: 'إرسال', skip: 'تخطي', change: 'تغيير',
  changeAnswer: 'تغيير: {text}', next: 'متابعة', again: 'طلب جديد', retry: 'حاول الآن', country: 'البلد', number: 'رقم الهاتف',
  answer: 'إجابتك', skipped: 'تم التخطي', yes: 'نعم', no: 'لا', log: 'المحادثة', you: 'أنت', bot: 'المساعد', cancel: 'إبقاء إجابتي',
  required: 'يرجى الإجابة عن هذا.', nameShort: 'يرجى كتابة اسمك بحرفين على الأقل.', tooLong: 'النص طويل جداً.',
  emailFault: 'يرجى التحقق من البريد الإلكتروني.', phoneEmpty: 'يرجى كتابة رقم هاتفك.',
  phoneLetters: 'يرجى استخدام الأرقام فقط، مثل 0501234567.', phoneShort: 'الرقم قصير جداً. يرجى التحقق منه.',
  phoneLong: 'الرقم طويل جداً. يرجى التحقق منه.', phoneRefused: 'لا يمكننا الاتصال بهذا الرقم. يرجى التحقق منه ومن البلد.',
  refused: 'لم نتمكن من قبول هذا: {text}', sending: 'جارٍ الإرسال…', saved: 'وصلنا طلبك. الرقم المرجعي: {reference}',
  thanks: 'شكراً {name}. وصلنا طلبك وسنتصل بك قريباً. رقمك المرجعي هو {reference}.',
  offline: 'أنت غير متصل بالإنترنت. إجاباتك محفوظة على هذا الجهاز وستُرسل فور عودة الاتصال.',
  unreachable: 'خادمنا لا يستجيب. لن يضيع شيء: إجاباتك محفوظة على هذا الجهاز وسنعيد المحاولة تلقائياً.',
  busy: 'خادمنا مشغول. لن يضيع شيء: ستُرسل إجاباتك تلقائياً بعد {seconds} ثانية.',
  limited: 'وصلت طلبات كثيرة من اتصالك. لن يضيع شيء: سيُرسل طلبك تلقائياً بعد {seconds} ثانية.',
  failed: 'تعذر إرسال طلبك (خطأ {status}). هو محفوظ على هذا الجهاز. يرجى الاتصال بنا أيضاً.',
  fragile: 'هذا المتصفح لا يحفظ شيئاً: يرجى ترك هذه الصفحة مفتوحة حتى يتم الإرسال.', call: 'اتصل على {number}',
  welcome: 'مرحباً! بضعة أسئلة وسيتصل بك الوكيل المناسب.', askName: 'ما اسمك؟', askPhone: 'على أي رقم يمكننا الاتصال بك؟',
};

const ALL = { en: EN, ar: AR };

/** The visitor's language: the one that is named, else that of the page, else of the browser; `en` or `ar`. */
export function languageOf(named) {
  const wanted = [named, document.documentElement.lang, ...navigator.languages ?? []];
  return wanted.map(tag => tag?.slice(0, 2).toLowerCase()).find(tag => ALL[tag]) ?? 'en';
}

export function directionOf(language) { return language === 'ar' ? 'rtl' : 'ltr'; }

/** Adds texts: {en, ar}. */
export function addTexts(more) { for (const language of Object.keys(ALL)) Object.assign(ALL[language], more[language]); }

/** Returns t(key, values). Values are isolated, so that a Latin word does not turn an Arabic sentence round. */
export function translator(language) {
  return (key, values = {}) => {
    const text = ALL[language]?.[key] ?? EN[key];
    if (text === undefined) throw new RangeError(`no text ${key}`);
    return text.replace(/\{(\w+)\}/g, (_, name) => `\u2068${values[name] ?? ''}\u2069`);
  };
}

/** What to tell about a record of the outbox: the truth about where it is. */
export function stateText(t, record, isDurable) {
  if (!record) return '';
  const seconds = Math.max(1, Math.ceil((record.nextAt - Date.now()) / 1000));
  const told = {
    offline: () => t('offline'), unreachable: () => t('unreachable'), failed: () => t('failed', { status: record.status }),
    busy: () => t(record.status === 429 ? 'limited' : 'busy', { seconds }),
  }[record.state];
  if (!told) return record.state === 'sent' ? t('saved', { reference: reference(record.id) }) : record.state === 'refused' ? '' : t('sending');
  return isDurable ? told() : `${t('fragile')} ${record.state === 'offline' ? '' : told()}`;
}

/** The reference of a conversation, as in the receipt by mail. */
export function reference(id) { return id.slice(0, 8).toUpperCase(); }

/** Our text for a fault that the server found in a field. */
export function faultText(t, { path, code, message }) {
  if (/phone/i.test(path) || code === 'invalid_phone') return t('phoneRefused');
  if (/email/i.test(path)) return t('emailFault');
  if (/name$/i.test(path)) return t('nameShort');
  return t('refused', { text: message ?? code });
}
