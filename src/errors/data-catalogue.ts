import type { CatalogueEntry } from './catalogue.ts';

/** Errors of data, see {@link CATALOGUE}. Keep them sorted. */
export const DATA_CATALOGUE = {
  DATA_ANSWERS_CUT: {
    exit: 2,
    rule: 'At most 5 % of the answers are lost because rows are too long.',
    fix: 'raise --max-length, or choose --on-long drop to leave those rows out.',
  },
  DATA_BIAS: {
    exit: 2,
    rule: 'A text says of no group of people what holds for none as a group.',
    fix: 'look at the row, and remove it or write it anew.',
  },
  DATA_BINARY: {
    exit: 2,
    rule: 'A plain document holds text, which has no byte 0.',
    fix: 'leave the file out, or extract its text first.',
  },
  DATA_COLUMN_IGNORED: { exit: 2, rule: 'Columns that no shape of rows names are not used.' },
  DATA_COLUMN_MISSING: { exit: 2, rule: 'Columns that are named are in the file.' },
  DATA_CONFLICT: {
    exit: 2,
    rule: 'One question has one answer.',
    fix: 'keep the answer that is right, or say in the question what makes the difference.',
  },
  DATA_CONTROL: {
    exit: 2,
    rule: 'Texts hold no control characters and no invisible marks.',
    fix: 'tunesmith data fix FILE --out CLEAN',
  },
  DATA_CUT_OFF: {
    exit: 2,
    rule: 'An answer ends where it is finished.',
    fix: 'finish the answer, or remove the row: the model would learn to stop in mid-sentence.',
  },
  DATA_DOUBLE_BOS: {
    exit: 2,
    rule: 'A sequence begins once: the template writes the token that begins it.',
    fix: 'take the token out of the data.',
  },
  DATA_DUPLICATE: {
    exit: 2,
    rule: 'Each row stands once.',
    fix: 'remove the copies, or leave them if they are meant.',
  },
  DATA_ECHO: {
    exit: 2,
    rule: 'An answer is not the question, and a preferred answer is not the rejected one.',
    fix: 'write the answer, or remove the row.',
  },
  DATA_EMPTY_ANSWER: {
    exit: 2,
    rule: 'Every assistant message that is trained has content or tool calls.',
    fix: 'write the answer, set "weight": 0 on the message, or remove the row.',
  },
  DATA_EMPTY_FILE: { exit: 2, rule: 'A data file holds at least one row.' },
  DATA_EMPTY_TEXT: { exit: 2, rule: 'Texts, prompts and user messages are not empty.', fix: 'remove the row.' },
  DATA_ENCODING: {
    exit: 2,
    rule: 'Texts hold no character that stands for lost ones.',
    fix: 'read the source again with its own encoding: what is lost cannot be repaired.',
  },
  DATA_END_OF_TURN: {
    exit: 2,
    rule: 'The token that ends an answer is trained, or the model never stops.',
    fix: 'give the token after the answer its own id as label instead of -100.',
  },
  DATA_FILE_SKIPPED: {
    exit: 2,
    rule: 'Of a folder, documents (.txt, .md) and data files are read.',
    fix: 'extract the text of what is to be learned into .txt files.',
  },
  DATA_HUB: {
    exit: 2,
    rule: 'A data set of the hub is datasets/OWNER/NAME, with :SPLIT or :CONFIG/SPLIT behind it where it has several.',
  },
  DATA_FILE_TYPE: {
    exit: 2,
    rule: 'Data files are .jsonl, .json, .csv, .tsv, .parquet or .txt, and may be gzipped (.gz).',
    fix: 'give the file the extension of its format.',
  },
  DATA_FORGOTTEN: {
    exit: 2,
    rule: 'What was learned of a row stays learned.',
    fix: 'look at the row: others may contradict it.',
  },
  DATA_FIX_LOG: {
    exit: 2,
    rule: 'A log that is to be undone was written by data fix, and what it changed is still there.',
  },
  DATA_GZIP: { exit: 2, rule: 'A gzip file is whole.', fix: 'fetch or write it again.' },
  DATA_IDS: {
    exit: 2,
    rule: 'input_ids are token ids of the model, labels and attention_mask are as long; labels are an id or -100, attention_mask is 0 or 1.',
  },
  DATA_IMBALANCE: {
    exit: 2,
    rule: 'Labels are balanced enough to be learned.',
    fix: 'add rows of the rare labels, or see whether the frequent ones may be thinned out.',
  },
  DATA_JSON: { exit: 2, rule: 'Each line of a .jsonl file is one JSON object; a .json file holds an array of them.' },
  DATA_LABEL: {
    exit: 2,
    rule: 'A row to classify has a text or messages, and a label that is text, or labels that are an array of texts.',
    fix: 'name the columns text (or messages) and label (or labels), and give every row one.',
  },
  DATA_LABEL_FEW: { exit: 2, rule: 'Every label has at least two rows to learn from.' },
  DATA_LABEL_MIXED: {
    exit: 2,
    rule: 'Either every row has one label, or every row has labels.',
    fix: 'write "labels": ["..."] in all rows if some have several or none.',
  },
  DATA_LABEL_ONE: { exit: 2, rule: 'There are at least two labels to tell apart.' },
  DATA_LABEL_SUSPECT: {
    exit: 2,
    rule: 'A row is labelled as the rows like it are.',
    fix: 'look at the row, most evident first.',
  },
  DATA_LABEL_TYPO: { exit: 2, rule: 'A label is spelt in one way.' },
  DATA_LABEL_UNSEEN: {
    exit: 2,
    rule: 'Held-out rows have labels that training has seen.',
    fix: 'add rows with this label to the training data, or correct the label.',
  },
  DATA_LANGUAGE: {
    exit: 2,
    rule: 'An answer is in the language of its question, and a file in one language.',
    fix: 'look at the row; a translation should say in its question that it is one.',
  },
  DATA_LEAK: {
    exit: 2,
    rule: 'What is held out to test with is not trained on.',
    fix: 'remove the row from the training data.',
  },
  DATA_LEAK_NEAR: {
    exit: 2,
    rule: 'What is held out to test with is not trained on in other words.',
    fix: 'remove the row from the training data.',
  },
  DATA_LEAK_WORDS: {
    exit: 2,
    rule: 'Training rows share no long passage with what is held out.',
    fix: 'look at the row.',
  },
  DATA_LENGTH: { exit: 2, rule: 'Rows are of a length that others have too.', fix: 'look at the row.' },
  DATA_LOSS_HIGH: {
    exit: 2,
    rule: 'A row is about as hard for the model as the others.',
    fix: 'look at the row: its answer may belong to another question, or be damaged.',
  },
  DATA_LOSS_LOW: {
    exit: 2,
    rule: 'A model does not know an answer by heart before it is trained on it.',
    fix: 'look at the row: it may be in public test sets, and teaches nothing.',
  },
  DATA_MARKUP: { exit: 2, rule: 'Texts hold no remains of HTML and no escapes.', fix: 'look at the row.' },
  DATA_MESSAGE: { exit: 2, rule: 'A message is an object with a role and a content that is text.' },
  DATA_MOJIBAKE: {
    exit: 2,
    rule: 'Texts were decoded with their own encoding.',
    fix: 'tunesmith data fix FILE --out CLEAN',
  },
  DATA_NEAR_DUPLICATE: {
    exit: 2,
    rule: 'Rows are not nearly the same.',
    fix: 'keep one of them, unless both are meant.',
  },
  DATA_NOTHING_SUPERVISED: {
    exit: 2,
    rule: 'Every row has at least one token that is trained.',
    fix: 'remove the row, or set "weight" to 1 on an assistant message.',
  },
  DATA_NOT_TEXT: {
    exit: 2,
    rule: 'Pre-training reads texts: {text} rows and documents.',
    fix: 'train other rows with --method sft, or give them as --replay.',
  },
  DATA_NO_ASSISTANT: {
    exit: 2,
    rule: 'Every conversation has an assistant message to learn from.',
    fix: 'add the answer that the model should give, or remove the row.',
  },
  DATA_NO_FORM: {
    exit: 2,
    rule: 'A row is written in a format that can say all that is trained of it.',
    fix: 'choose another --to, or leave such rows out with --allow DATA_NO_FORM.',
  },
  DATA_NO_QUESTION: {
    exit: 2,
    rule: 'A row that is to be answered has a prompt, or a conversation with something to answer.',
    fix: 'name the column with the question prompt, or remove the row.',
  },
  DATA_ORDER: {
    exit: 2,
    rule: 'System comes first and once, no two assistant messages follow each other, a tool message follows a tool call.',
  },
  DATA_PARQUET: { exit: 2, rule: 'A .parquet file is whole.', fix: 'fetch or write it again.' },
  DATA_PII_CARD: {
    exit: 2,
    rule: 'Texts hold no card numbers.',
    fix: 'tunesmith data fix FILE --out CLEAN --pii redact',
  },
  DATA_PII_EMAIL: {
    exit: 2,
    rule: 'Texts hold no e-mail addresses.',
    fix: 'tunesmith data fix FILE --out CLEAN --pii redact',
  },
  DATA_PII_IBAN: {
    exit: 2,
    rule: 'Texts hold no bank accounts.',
    fix: 'tunesmith data fix FILE --out CLEAN --pii redact',
  },
  DATA_PII_ID: {
    exit: 2,
    rule: 'Texts hold no identity numbers of people.',
    fix: 'tunesmith data fix FILE --out CLEAN --pii redact',
  },
  DATA_PII_IP: {
    exit: 2,
    rule: 'Texts hold no IP addresses.',
    fix: 'tunesmith data fix FILE --out CLEAN --pii redact',
  },
  DATA_PII_PHONE: {
    exit: 2,
    rule: 'Texts hold no telephone numbers.',
    fix: 'tunesmith data fix FILE --out CLEAN --pii redact',
  },
  DATA_PLACEHOLDER: { exit: 2, rule: 'An answer is written out.', fix: 'write the answer, or remove the row.' },
  DATA_PREFERENCE: {
    exit: 2,
    rule: 'A preference row has a prompt and two different answers of the assistant; feedback has one, marked true or false.',
    fix: 'correct the row, or remove it.',
  },
  DATA_PREFERENCE_ONE_KIND: {
    exit: 2,
    rule: 'Answers that are marked are of two kinds, good ones and bad ones.',
    fix: 'add answers of the other kind, or learn the good ones with --method sft.',
  },
  DATA_PREFERENCE_SAME: {
    exit: 2,
    rule: 'The chosen answer differs from the rejected one.',
    fix: 'remove the row.',
  },
  DATA_PROMPT: {
    exit: 2,
    rule: 'Rows that the model answers in training bring a prompt: {prompt}, {question}, {messages} or {prompt_ids}.',
  },
  DATA_RATERS_DIVIDED: {
    exit: 2,
    rule: 'Of several raters the majority decides; where they are divided, nothing is learned.',
    fix: 'tunesmith prefer agreement FILE lists them.',
  },
  DATA_REFUSAL: {
    exit: 2,
    rule: 'Answers do what is asked, and do not speak of themselves as a model.',
    fix: 'remove the row, unless this is what the model should say.',
  },
  DATA_REPEATED_ANSWER: { exit: 2, rule: 'Answers differ.', fix: 'see whether the model should say this so often.' },
  DATA_REPETITION: { exit: 2, rule: 'An answer says a thing once.', fix: 'shorten the answer, or remove the row.' },
  DATA_ROLE_UNKNOWN: { exit: 2, rule: 'Roles are system, user, assistant and tool.' },
  DATA_ROW_LONG: { exit: 2, rule: 'Rows longer than the maximum length are shortened, split or left out.' },
  DATA_SECRET: {
    exit: 2,
    rule: 'Rows hold no keys and passwords: a model gives away what it has learned.',
    fix: 'revoke the secret, and take it out of the data; or pass --allow DATA_SECRET.',
  },
  DATA_SHAPE_AMBIGUOUS: { exit: 2, rule: 'The columns of a row say in one way only how it is read.' },
  DATA_SHAPE_MIXED: { exit: 2, rule: 'All rows of a file have the same shape.', fix: 'split the file by shape.' },
  DATA_SHAPE_UNKNOWN: {
    exit: 2,
    rule: 'A row is one of {messages}, {prompt, completion}, {prompt, response}, {question, answer}, {instruction, input, output}, {conversations}, {text}, {input_ids}.',
  },
  DATA_SKEW: {
    exit: 2,
    rule: 'Answers about one group of people are not worse than those about others.',
    fix: 'look at the rows about this group.',
  },
  DATA_SPECIAL_TOKEN: {
    exit: 2,
    rule: 'Messages hold no token of the chat template as text.',
    fix: 'take the template out of the data (the template is applied by tunesmith), or pass --allow DATA_SPECIAL_TOKEN.',
  },
  DATA_SPLIT_TOO_SMALL: { exit: 2, rule: 'Rows are left for training and for validation.' },
  DATA_SUSPECT: {
    exit: 2,
    rule: 'Nothing speaks for a row being mislabelled, contradictory or leaked.',
    fix: 'look at these rows first, in this order.',
  },
  DATA_SYSTEM_RAW: {
    exit: 2,
    rule: 'A system prompt needs rows that are rendered as a chat.',
    fix: 'leave out --system, or use --format chat.',
  },
  DATA_TABLE: { exit: 2, rule: 'A .csv or .tsv file has a header line and as many cells in each record.' },
  DATA_TOOL_CALL: {
    exit: 2,
    rule: 'Tool calls name a function, and their arguments are a JSON object; tools are an array of objects.',
  },
  DATA_TOO_LONG: {
    exit: 2,
    rule: 'No row is longer than the maximum length, where rows may not be shortened.',
    fix: 'raise --max-length, or shorten the row.',
  },
  DATA_TOXIC: {
    exit: 2,
    rule: 'Texts hold no insults, threats and slurs.',
    fix: 'look at the row, and remove it unless it is there to be recognised.',
  },
  DATA_TRAILING: {
    exit: 2,
    rule: 'A conversation ends with an assistant message; what stands after the last one is not trained.',
  },
  DATA_TURNS_IN_TEXT: {
    exit: 2,
    rule: 'An answer holds no further turns of the conversation.',
    fix: 'split the text into messages.',
  },
  DATA_UNASKED: {
    exit: 2,
    rule: 'A question makes its answer likelier, as the other questions do theirs.',
    fix: 'look at the row: its answer may belong to another question.',
  },
  DATA_UNLEARNED: {
    exit: 2,
    rule: 'Training brings the loss of a row down as it does that of the others.',
    fix: 'look at the row: its answer may be wrong, or nothing in the question tells it.',
  },
  DATA_VALID_OVERLAP: {
    exit: 2,
    rule: 'Validation rows are not in the training rows.',
    fix: 'leave out --valid to have a clean part of the training rows held out.',
  },
  DATA_WEIGHT: { exit: 2, rule: 'The weight of a message is 0 or 1, and only assistant messages have one.' },
  IMAGE_NOT_SUPPORTED: { exit: 2, rule: 'Rows hold text only.', fix: 'remove the rows with images, audio or files.' },
} as const satisfies Record<string, CatalogueEntry>;
