// The texts that only the forms need.
import { addTexts } from './texts.js';

addTexts({
  en: {
    name: 'Your name', phone: 'Your phone number', email: 'Your email address', message: 'Your message', subject: 'Subject (optional)',
    propertyType: 'Type of property', propertyAddress: 'Address of the property', expectedPrice: 'Price you expect (AED)',
    urgency: 'When do you want to sell?', propertyDescription: 'About the property (optional)', budget: 'Your budget in AED (optional)',
    contact: 'Contact us', inquiry: 'Ask about this property', sell: 'Sell your property', newsletter: 'Newsletter', subscribe: 'Subscribe',
    emailOrPhone: 'An email address or a phone number, so that we can answer you.', apartment: 'Apartment', villa: 'Villa',
    townhouse: 'Townhouse', penthouse: 'Penthouse', office: 'Office', land: 'Land', choose: 'Choose', now: 'As soon as possible',
    months: 'In the next three months', later: 'Later', neither: 'Please give an email address or a phone number.',
    check: 'Please check the fields with a message.', thanksForm: 'Thank you. We have your request and will contact you soon.',
    thanksNewsletter: 'Thank you. You are on the list.',
  },
  ar: {
    name: 'اسمك', phone: 'رقم هاتفك', email: 'بريدك الإلكتروني', message: 'رسالتك', subject: 'الموضوع (اختياري)', propertyType: 'نوع العقار',
    propertyAddress: 'عنوان العقار', expectedPrice: 'السعر المتوقع (درهم)', urgency: 'متى تريد البيع؟',
    propertyDescription: 'عن العقار (اختياري)', budget: 'ميزانيتك بالدرهم (اختياري)', contact: 'اتصل بنا', inquiry: 'اسأل عن هذا العقار',
    sell: 'بع عقارك', newsletter: 'النشرة البريدية', subscribe: 'اشترك', emailOrPhone: 'بريد إلكتروني أو رقم هاتف كي نتمكن من الرد عليك.',
    apartment: 'شقة', villa: 'فيلا', townhouse: 'تاون هاوس', penthouse: 'بنتهاوس', office: 'مكتب', land: 'أرض', choose: 'اختر',
    now: 'في أقرب وقت', months: 'خلال ثلاثة أشهر', later: 'لاحقاً', neither: 'يرجى كتابة بريد إلكتروني أو رقم هاتف.',
    check: 'يرجى التحقق من الحقول المشار إليها.', thanksForm: 'شكراً لك. وصلنا طلبك وسنتواصل معك قريباً.',
    thanksNewsletter: 'شكراً لك. أنت الآن في القائمة.',
  },
});
