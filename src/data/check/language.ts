/**
 * Guesses the language of a text: by its script, and for Latin and Cyrillic letters by words that are frequent in one language and rare in
 * others. Meant to say that two long texts differ, not to name every language; undecided texts are `undefined`.
 */

const SCRIPTS: readonly (readonly [string, RegExp])[] = [
  ['ja', /[\p{Script=Hiragana}\p{Script=Katakana}]/gu],
  ['ko', /\p{Script=Hangul}/gu],
  ['zh', /\p{Script=Han}/gu],
  ['ar', /\p{Script=Arabic}/gu],
  ['he', /\p{Script=Hebrew}/gu],
  ['el', /\p{Script=Greek}/gu],
  ['hi', /\p{Script=Devanagari}/gu],
  ['th', /\p{Script=Thai}/gu],
  ['cyrillic', /\p{Script=Cyrillic}/gu],
];

const WORDS: Readonly<Record<string, string>> = {
  en: 'the of and to is you that it he was for on are with they this have from or had by but what some we can out other were all there when up use your how said an each she which their if will way about many then them would like so these her him has more could go see no than been who its now find did get come made may part the was my not as at be i do does please',
  de: 'der die das und ist nicht ich sie es ein eine einen dem den des mit auf für von zu im wir ihr war auch sich als wie oder bei nach wenn aber nur noch kann werden wird haben hat sind dass einer zum zur über durch können bitte mein ihre ihren ihnen',
  fr: "le la les des et est un une que qui dans pour pas sur avec vous nous il elle ce cette sont au aux du par plus je ne se mais ou où être avoir votre notre leur fait comme peut bien c'est ont été très vos",
  es: 'el la los las y es un una que en de del por para con no se su como más pero sus le ya o este sí porque esta entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante usted puede tiene está son',
  it: 'il lo la gli le e è un una che di del della per non con sono si come più ma anche ha nel alla dei delle questo questa sul suo loro essere ho hai nella degli può tuo tua vostro puoi abbiamo',
  pt: 'o os as e é um uma que de do da dos das em no na para com não por mais como mas foi ao ele sua ou ser quando muito há nos já está eu também só pelo pela até isso ela entre você são tem pode seu',
  nl: 'de het een en van is dat niet op te in ik je zijn met voor er maar om aan ook als dan naar heeft door bij nog wat worden wij kan deze dit uw hebben was ze u wordt over uit',
  sv: 'och att det i en är på som för av med till den har inte om ett jag var men så från kan de vi du när eller ska din mycket alla detta också vara',
  da: 'og at det i en er på som for af med til den har ikke om et jeg var men så fra kan de vi du når eller skal din meget alle dette også være blev',
  pl: 'i w na z do się nie że to jest o jak po co ale za od czy tak dla są przez może być był ich jego lub oraz które który tym jeśli proszę',
  tr: 've bir bu için ile de da çok ne var gibi daha ama olarak kadar sonra olan ben sen o biz siz onlar değil mı mi ise nasıl',
  cs: 'a je se na v že to s z do o jako i ale pro by jsem jsou si po tak jeho nebo když který už být má může jen',
  ro: 'și în de la cu nu este un o care pe din mai că să pentru sunt fi am a au ca sau dar dumneavoastră prin acest',
  hu: 'a az és hogy nem is egy ez van meg de ha csak már még mint volt vagy kell lesz azt el ezt ki',
  fi: 'ja on ei se että hän oli ovat en olen mutta kun niin tai myös kuin joka voi sen ole mitä tämä',
  id: 'yang dan di dengan untuk dari ini itu tidak pada dalam adalah akan saya anda ke bisa juga atau oleh sudah ada',
  vi: 'và của là có cho không được trong một người các những với đã tôi bạn này khi từ như để',
  ru: 'и в не на я что с он как это по но из у за от так же для вы бы все она мы был его то или если нет',
  uk: 'і в не на я що з він як це по але із у за від так же для ви би все вона ми був його та або якщо є',
};

const LANGUAGES = Object.keys(WORDS);
/** Places of the languages that are told by their words. */
const ALL = [...LANGUAGES.keys()];
const CYRILLIC = [LANGUAGES.indexOf('ru'), LANGUAGES.indexOf('uk')];
const INDEX: ReadonlyMap<string, readonly number[]> = indexWords();

function indexWords(): Map<string, number[]> {
  const index = new Map<string, number[]>();
  for (const [i, name] of LANGUAGES.entries()) {
    for (const word of new Set(WORDS[name]!.split(' '))) {
      const list = index.get(word);
      if (list === undefined) index.set(word, [i]);
      else list.push(i);
    }
  }
  return index;
}

/** All languages that {@link languageOf} tells. */
export const LANGUAGE_CODES: readonly string[] = [
  ...LANGUAGES,
  ...SCRIPTS.map(([name]) => name).filter((name) => name !== 'cyrillic'),
];

/** Characters looked at: enough to tell. */
const LOOK = 300;

/** The language of a text as its two letters, or undefined where the text is too short or says too little. */
export function languageOf(text: string): string | undefined {
  const sample = text.slice(0, LOOK);
  if (sample.length < 12) return undefined;
  if (/[\u0250-\uffff]/.test(sample)) {
    const letters = Math.max(1, sample.match(/\p{L}/gu)?.length ?? 0);
    for (const [name, pattern] of SCRIPTS) {
      const share = (sample.match(pattern)?.length ?? 0) / letters;
      if (share > (name === 'ja' ? 0.1 : 0.5)) return name === 'cyrillic' ? wordLanguage(sample, CYRILLIC) : name;
    }
  }
  return wordLanguage(sample);
}

/** The language of a row's answer, which several checks ask for. */
export function answerLanguage(row: { readonly answer: string }): string | undefined {
  if (last?.row !== row) last = { row, language: languageOf(row.answer) };
  return last.language;
}

/** The row at hand. */
let last: { readonly row: object; readonly language: string | undefined } | undefined;

function wordLanguage(sample: string, among = ALL): string | undefined {
  const lower = sample.toLowerCase();
  const words = lower.match(/[^a-z'\s!-~]/.test(lower) ? /[\p{L}\p{M}']{2,}/gu : /[a-z']{2,}/g) ?? [];
  if (words.length < 5) return undefined;
  const seen = new Set<string>();
  const scores = new Float64Array(LANGUAGES.length);
  for (const word of words) {
    const hits = INDEX.get(word);
    // A word of many languages says little about each.
    if (hits === undefined) continue;
    // Letters and abbreviations of formulas repeat; words of a language vary.
    const weight = seen.has(word) ? 0.2 : 1;
    seen.add(word);
    for (const i of hits) scores[i]! += weight / hits.length;
  }
  let best = -1;
  let second = 0;
  for (const i of among) {
    if (best < 0 || scores[i]! > scores[best]!) {
      second = best < 0 ? 0 : scores[best]!;
      best = i;
    } else second = Math.max(second, scores[i]!);
  }
  const score = scores[best] ?? 0;
  return score >= 3 && score / words.length >= 0.12 && score > 1.6 * second ? LANGUAGES[best] : undefined;
}
