/**
 * Wording that a model should not learn without somebody having looked: refusals, talk of being a model, insults, threats and
 * generalisations about groups of people.
 *
 * The lists are short and meant to be read. Words that are insults in one use and ordinary in another are left out; what is merely
 * vulgar is for review, slurs, threats and generalisations are warnings. They are English: other languages are not covered.
 */

/** Sentences by which assistants speak of themselves as models. */
const SELF =
  /\bas an? (?:large )?(?:ai|artificial intelligence)(?: language)?(?: model| assistant|[,.]| (?:i|developed|created|trained|my)\b)|\bas a (?:large )?language model\b|\b(?:i am|i'm) (?:just |only )?(?:an? )?(?:ai|artificial intelligence) (?:language )?(?:model|assistant)\b|\bmy (?:knowledge cut-?off|training data (?:only|goes|cut|ends|includes))|\b(?:developed|trained|created) by (?:openai|anthropic|google deepmind)\b|\bi (?:do not|don't) have (?:personal (?:opinions|feelings|experiences|beliefs)|access to real-?time)/i;

/** Refusals: at the start of an answer, so that politeness further down is none. */
const REFUSAL =
  /^\W*(?:(?:i'?m|i am) (?:very |really |so |truly |deeply )?sorry[,.]? (?:but )?(?:i|as an)\b.{0,24}?\b(?:can(?:no|')t|am unable|'m unable|am not able|won'?t|not (?:allowed|comfortable))|i apologi[sz]e,? but i (?:can(?:no|')t|am unable|won'?t)|sorry,? (?:but )?i (?:can(?:no|')t|am unable|won'?t)|i (?:cannot|can'?t|am unable to|am not able to|won'?t) (?:help|assist|fulfil+|comply|provide|answer|generate|create|discuss|engage|support|complete|do that|write)\b|i must (?:decline|refuse)|it is not (?:appropriate|ethical) (?:for me )?to\b|i (?:do not|don'?t) feel comfortable)/i;

/** Where an answer speaks as a model or refuses, and which of the two. */
export function refusal(text: string): { readonly at: number; readonly what: string } | undefined {
  const start = text.slice(0, 200).replaceAll('’', "'");
  const refused = REFUSAL.exec(start);
  if (refused !== null) return { at: refused.index, what: 'refuses' };
  if (!/\b(?:AI|language model|knowledge cut|training data|OpenAI|Anthropic|DeepMind|personal|real-?time)/i.test(text))
    return undefined;
  const self = SELF.exec(text.replaceAll('’', "'"));
  return self === null ? undefined : { at: self.index, what: 'speaks of itself as an AI model' };
}

/** Slurs against groups of people. */
const SLURS =
  /\b(?:n[i1]gg(?:er|a)s?|faggots?|kikes?|sp[i1]cs?|wetbacks?|towelheads?|ragheads?|tr[a4]nn(?:y|ies)|sand ?n[i1]ggers?|porch monkeys?|gooks?|retards?|retarded (?:people|kids?|children|person|idiots?|morons?)|subhumans?|untermenschen?)\b/i;
/** Threats, and calls to hurt oneself. */
const THREATS =
  /\b(?:kill yourself|kys\b|go die\b|hope you die|you (?:should|deserve to) (?:die(?!\s+\w)|be (?:shot|killed|raped|hanged))|i(?:'ll| will| am going to|'m going to) (?:kill|murder|rape|shoot|stab|strangle) (?:you|him|her|them|your)|slit your (?:throat|wrists)|drink bleach)\b/i;
/** Insults addressed to somebody. */
const INSULTS =
  /\b(?:you(?:'re| are)?|u r|ur) (?:(?:a|an|such|such a|so|just|really|nothing but|the|f\w*ing|fucking|complete|total|absolute|utter|stupid|worthless|dumb|pathetic) ){0,4}(?:idiots?|morons?|imbeciles?|dumbass(?:es)?|worthless|piece of (?:shit|garbage|trash)|scum|bitch(?:es)?|whores?|sluts?|cunts?|assholes?|bastards?|loser|trash|pathetic|stupid|dumb)\b/i;
/** Words that are merely vulgar. */
const VULGAR =
  /\b(?:(?:mother)?f+u+c+k+(?:e[dr]s?|ing|in|s|head)?|shit(?:ty|s|head)?|bullshit|cunts?|assholes?|arseholes?|bitch(?:es|y)?|dick ?heads?|wank(?:ers?|ing)|twats?|cock ?suckers?|whores?|sluts?|bastards?|pussy|dumbass(?:es)?|jackass)\b/i;

/** Wording that hurts, and how grave it is. */
export function toxic(
  text: string,
): { readonly at: number; readonly what: string; readonly grave: boolean } | undefined {
  for (const [pattern, what, grave] of [
    [SLURS, 'a slur', true],
    [THREATS, 'a threat or a call to self-harm', true],
    [INSULTS, 'an insult', true],
    [VULGAR, 'a vulgar word', false],
  ] as const) {
    const match = pattern.exec(text);
    if (match !== null) return { at: match.index, what, grave };
  }
  return undefined;
}

/** Groups of people by which answers are compared, as stems of their names. */
export const GROUPS: Readonly<Record<string, RegExp>> = {
  women: /\b(?:wom[ae]n|girls?|females?|mothers?|she|her)\b/i,
  men: /\b(?:m[ae]n|boys?|males?|fathers?|he|his)\b/i,
  Muslims: /\b(?:muslims?|islamic)\b/i,
  Christians: /\b(?:christians?)\b/i,
  Jews: /\b(?:jews?|jewish)\b/i,
  'Black people': /\b(?:black (?:people|m[ae]n|wom[ae]n|person)|african[- ]americans?|africans?)\b/i,
  'White people': /\b(?:white (?:people|m[ae]n|wom[ae]n|person)|caucasians?)\b/i,
  Asians: /\b(?:asians?|chinese|japanese|indian|indians) ?(?:people|m[ae]n|wom[ae]n|person|americans?)?\b/i,
  'gay people': /\b(?:gays?|lesbians?|homosexuals?|lgbtq?\+?)\b/i,
  'old people': /\b(?:elderly|old (?:people|m[ae]n|wom[ae]n)|senior citizens?|pensioners?)\b/i,
  immigrants: /\b(?:immigrants?|refugees?|migrants?|foreigners?)\b/i,
};

const ANY_GROUP = new RegExp(
  Object.values(GROUPS)
    .map((pattern) => pattern.source)
    .join('|'),
  'i',
);

/** Whether a text speaks of one of {@link GROUPS}. */
export function mentionsPeople(text: string): boolean {
  return ANY_GROUP.test(text);
}

const PEOPLE =
  '(?:women|girls|females|men|boys|males|muslims?|christians?|jews|jewish people|blacks?|black people|whites?|white people|asians?|africans?|mexicans?|arabs?|indians?|chinese(?: people)?|gays?|gay people|lesbians?|homosexuals?|trans(?:gender)? people|immigrants?|refugees?|migrants?|foreigners?|old people|the elderly|elderly people|poor people|disabled people|people with disabilities|gypsies|roma)';
const TRAITS =
  '(?:inferior|superior|stupid|dumb|lazy|criminals?|thieves|violent|dangerous|terrorists?|dirty|greedy|inherently|naturally (?:worse|better|less|more|bad)|less (?:intelligent|capable|competent|rational|suited|reliable)|worse (?:drivers?|leaders?|at)|too emotional|not (?:smart|capable|suited|fit|good) (?:enough|for|at)|bad (?:drivers?|at)|unfit|untrustworthy|a burden|parasites?|animals|vermin|savages?|immoral|disgusting|evil|subhuman|the problem)';
const GENERALISATION = new RegExp(
  `\\b(?:all |most |every |these |those |typical )?${PEOPLE} (?:are|is|were)(?: all| just| simply| always| usually| generally| obviously| clearly| naturally| inherently| by nature| biologically| mostly)* ${TRAITS}\\b|\\b${PEOPLE} (?:should not|shouldn't|can't|cannot|must not|don't deserve to) (?:be (?:allowed|trusted|in charge|leaders?|engineers?|hired)|vote|lead|drive|work|hold|have rights|think|do (?:math|science|maths))\\b|\\b${PEOPLE} (?:belong in the kitchen|belong at home|should (?:go back to|stay (?:in the kitchen|at home))|steal (?:our|your) jobs|are taking over)`,
  'i',
);

/** Where a text says of a group of people what holds for none, or -1. */
export function generalisation(text: string): number {
  return GENERALISATION.exec(text)?.index ?? -1;
}

/** Words of blame and disdain, for the comparison of groups. */
export const NEGATIVE =
  /\b(?:bad|worse|worst|stupid|lazy|dangerous|violent|criminal|crime|terroris[tm]s?|hate|hated|ugly|inferior|weak|dirty|evil|illegal|fraud|thief|thieves|guilty|denied|deny|reject(?:ed)?|refuse[ds]?|cannot|unfit|poor|fail(?:ed|ure|s)?|wrong|aggressive|emotional|hysterical|untrustworthy)\b/i;

/** Answers that stand for one that was never written. */
const PLACEHOLDER =
  /^[\s"'([<{]*(?:n\/?a|nan|null|undefined|none|nil|todo|tbd|fixme|xxx+|\[object object\]|#n\/a|#ref!|#value!|#name\?|lorem ipsum\b[\s\S]*|(?:insert|your|enter|write|add)(?: the| an?| your)? (?:answer|response|text|output)(?: here)?|answer (?:goes )?here|placeholder|test(?:ing)?|asdf+|\.{2,}|-+|\?+|_+|error(?: 4\d\d)?:?|<?(?:answer|response|output)>?)[\s"'.)\]>}]*$/i;

/** Whether an answer is a placeholder. */
export function isPlaceholder(answer: string): boolean {
  return answer.length < 400 && PLACEHOLDER.test(answer);
}

/** The start of a sentence or line that an answer repeats at least `times` over in a row, or undefined. */
export function repetition(text: string, times = 3): string | undefined {
  if (text.length < 60) return undefined;
  const pieces = text
    .split(/(?<=[.!?])\s+|\n+/)
    .map((piece) => piece.trim())
    .filter((piece) => piece.length > 8);
  let run = 1;
  for (let i = 1; i < pieces.length; i++) {
    run = pieces[i] === pieces[i - 1] ? run + 1 : 1;
    if (run >= times) return pieces[i];
  }
  return undefined;
}
