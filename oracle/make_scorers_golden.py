"""Makes test/golden/scorers.json: what sacrebleu, rouge_score and SQuAD's evaluation give for pairs of texts.

pip install sacrebleu==2.6.0 rouge_score==0.1.2
"""
import collections, json, random, re, string, sys
from sacrebleu.metrics import BLEU, CHRF
from rouge_score import rouge_scorer

def normalize(s):
    s = ''.join(c for c in s.lower() if c not in set(string.punctuation))
    return ' '.join(re.sub(r'\b(a|an|the)\b', ' ', s).split())

def squad_f1(answer, reference):
    a, b = normalize(answer).split(), normalize(reference).split()
    if not a or not b:
        return float(a == b)
    same = sum((collections.Counter(a) & collections.Counter(b)).values())
    if same == 0:
        return 0.0
    p, r = same / len(a), same / len(b)
    return 2 * p * r / (p + r)

ANSWERS = [
    ('The cat sat on the mat.', ['The cat is on the mat.', 'A cat sat on a mat']),
    ('The cat', ['The cat sat on the mat.']),
    ('', ['something']),
    ('the', ['a']),
    ('Completely different words', ['Nothing shared here at all']),
    ('It costs $1,234.50 (approx.), i.e. 3-4 times as much!', ['It costs $1,234.50, i.e. 3-4 times more.']),
    ("I'm sorry, we don't ship to Peru \u2013 yet.", ["We're sorry: we do not ship to Peru yet."]),
    ('He said &quot;hello&quot; & left', ['He said "hello" and left']),
    ('one two three four five six seven eight nine ten', ['ten nine eight seven six five four three two one']),
    ('a b a b a b', ['a b', 'a b a b']),
    ('Der schnelle braune Fuchs springt', ['Der schnelle Fuchs sprang', 'Ein schneller brauner Fuchs springt']),
    ('line one\nline two', ['line one line two']),
    ('Yes', ['yes']),
]
rng = random.Random(7)
words = 'the a refund order we will send your parcel today , . and not is to 24 hours please call us'.split()
for _ in range(40):
    pick = lambda: ' '.join(rng.choice(words) for _ in range(rng.randint(1, 14)))
    ANSWERS.append((pick(), [pick() for _ in range(rng.randint(1, 3))]))

bleu, chrf = BLEU(effective_order=True), CHRF()
rouge = rouge_scorer.RougeScorer(['rougeL'], use_stemmer=False)
out = []
for answer, references in ANSWERS:
    out.append({
        'answer': answer,
        'references': references,
        'f1': max(squad_f1(answer, r) for r in references),
        'rougeL': max(rouge.score(r, answer)['rougeL'].fmeasure for r in references),
        'bleu': bleu.sentence_score(answer, references).score / 100,
        'chrf': max(chrf.sentence_score(answer, [r]).score for r in references) / 100,
    })
json.dump(out, open(sys.argv[1], 'w'), indent=1)
